/** Judges a log at the end of a simulated life: what must be in it, once, in order, and what may be missing. */

import type { LogDamage } from "../../src/log/damage.ts";
import { idOf, type SimEvent } from "./events.ts";

/** What the world knows of a life that is over. */
export interface Life {
  /** Everything read from the log, by offset. */
  readonly found: ReadonlyMap<number, SimEvent>;
  readonly firstOffset: number;
  readonly nextOffset: number;
  /** Offset each acknowledged id was acknowledged for. */
  readonly acknowledged: ReadonlyMap<string, number>;
  /** Sent and not acknowledged. */
  readonly unacknowledged: readonly SimEvent[];
  /** Whether the lane answers its producers. */
  readonly answers: boolean;
  /** Whether every producer's events came to the lane in order, again and again from the first unacknowledged one. */
  readonly wasSentInOrder: boolean;
  /** Batch of each offset, as far as known. */
  readonly batchOf: ReadonlyMap<number, string>;
  readonly flips: number;
  /** What the log reported while it lived, and what the last reading of it reported. */
  readonly damages: readonly LogDamage[];
  readonly damagesAtEnd: readonly LogDamage[];
}

/** Calls `fail` with the first promise that is broken. */
export function judge(life: Life, fail: (what: string) => never): void {
  const offsetOf = judgeOrder(life, fail);
  judgeMissing(life, fail);
  judgeAcknowledged(life, offsetOf, fail);
}

/** Each id once, each producer in its order. @returns Offset of each id. */
function judgeOrder(life: Life, fail: (what: string) => never): Map<string, number> {
  const offsetOf = new Map<string, number>();
  const lastSeq = new Map<number, number>();
  const isOrdered = life.flips === 0 && life.wasSentInOrder &&
    !life.damages.some(({ kind }) => kind === "lost");
  for (const [offset, event] of life.found) {
    const id = idOf(event);
    const other = offsetOf.get(id);
    if (other !== undefined) fail(`'${id}' is in the log twice, at ${other} and ${offset}`);
    offsetOf.set(id, offset);
    const last = lastSeq.get(event.producer) ?? 0;
    if (isOrdered && event.seq <= last) {
      fail(`'${id}' at ${offset} comes after event ${last} of its producer`);
    }
    lastSeq.set(event.producer, event.seq);
  }
  return offsetOf;
}

/** Offsets are dense, but for damage that was done and losses that were reported. */
function judgeMissing(life: Life, fail: (what: string) => never): void {
  const isIn = (damages: readonly LogDamage[], offset: number) =>
    damages.some(({ fromOffset, toOffset }) => offset >= fromOffset && offset < toOffset);
  const lost = life.damages.filter(({ kind }) => kind === "lost");
  for (let offset = life.firstOffset; offset < life.nextOffset; offset++) {
    if (life.found.has(offset)) continue;
    if (!isIn(life.damagesAtEnd, offset)) fail(`offset ${offset} is missing and nobody says so`);
    if (life.flips === 0 && !isIn(lost, offset)) fail(`offset ${offset} is missing without a cause`);
  }
  const groundless = life.damagesAtEnd.find(({ kind }) => life.flips === 0 && kind !== "missing");
  if (groundless !== undefined) fail(`damage without a cause: ${JSON.stringify(groundless)}`);
}

/** Whatever was acknowledged is where it was said to be; a flipped bit may cost one batch. */
function judgeAcknowledged(
  life: Life,
  offsetOf: ReadonlyMap<string, number>,
  fail: (what: string) => never,
): void {
  const lostBatches = new Set<string | undefined>();
  for (const [id, offset] of life.acknowledged) {
    // Retention took it, and its producer was told long ago that it was safe.
    if (offset < life.firstOffset) continue;
    const found = offsetOf.get(id);
    if (found === offset) continue;
    const place = found === undefined ? "gone" : `at ${found}`;
    if (life.flips === 0 || found !== undefined) {
      fail(`'${id}' was acknowledged at ${offset} and is ${place}`);
    }
    lostBatches.add(life.batchOf.get(offset));
  }
  if (lostBatches.size > life.flips) {
    fail(`${life.flips} flipped bits destroyed acknowledged events of ${lostBatches.size} batches`);
  }
  const [waiting] = life.unacknowledged;
  if (waiting === undefined) return;
  if (life.answers) fail(`${life.unacknowledged.length} events were never acknowledged`);
  const gone = life.unacknowledged.find((event) => !offsetOf.has(idOf(event)));
  if (gone !== undefined && life.flips === 0) fail(`'${idOf(gone)}' was taken and is not in the log`);
}
