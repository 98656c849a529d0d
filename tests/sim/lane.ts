/**
 * The model of a lane: takes events from a queue, drops repeats, appends, syncs, acknowledges, over the real log.
 *
 * Reduced to what the log's promises are about, and to be understood at a glance: when the real lane
 * (`real-lane.ts`) fails where this one does not, the lane is wrong and not the log.
 */

import { encodeFrame } from "../../src/event/encode.ts";
import { EscError } from "../../src/errors.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import type { Files } from "../../src/log/files.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { visitIds } from "../../src/log/id-scan.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { batchOfFrames } from "../log/runs.ts";
import {
  idOf,
  type LaneUnderTest,
  payloadOf,
  type SimEvent,
  type SimLaneEvents,
  type SimLaneOptions,
} from "./events.ts";

interface Waiting {
  readonly event: SimEvent;
  readonly offset: number;
}

const ID_HASH = 1;

/** Both halves of a 53-bit number: the simulation's ids are hashed without collisions. */
function hashOf(event: SimEvent): { lo: number; hi: number } {
  return { lo: event.seq, hi: event.producer };
}

export class SimLane implements LaneUnderTest {
  protected readonly writer: LogWriter;
  readonly #queue: SimEvent[] = [];
  visibleOffset: number;
  readonly #options: SimLaneOptions;
  readonly #events: SimLaneEvents;
  /** Offset of each id in the log. */
  readonly #seen = new Map<string, number>();
  /** Taken from the queue and not yet known to be in the log. */
  #hand: SimEvent[] = [];
  /** Offset that `append` gave the hand; `undefined`: not appended. */
  #handOffset: number | undefined;
  #attempts = 0;
  /** In the log, not yet acknowledged. */
  #waiting: Waiting[] = [];

  /** Opens the log and rebuilds the table of ids from it. @throws What opening throws. */
  constructor(files: Files, options: SimLaneOptions, events: SimLaneEvents) {
    this.#options = options;
    this.#events = events;
    const report = (damage: LogDamage) => this.#onDamage(damage);
    this.writer = LogWriter.open(files, options.directory, { ...options.log, idHash: ID_HASH }, report);
    this.visibleOffset = this.writer.durableOffset;
    const query = {
      hash: ID_HASH,
      hashId: hashSimId,
      fromUs: 0,
      endOffset: this.writer.nextOffset,
      countMax: Infinity,
    };
    visitIds(files, options.directory, query, (lo, hi, offset) => {
      const id = `p${hi}-${lo}`;
      // Newest first: an older event with the same id says nothing.
      if (!this.#seen.has(id)) this.#seen.set(id, offset);
      return true;
    }, report);
  }

  #onDamage(damage: LogDamage): void {
    this.#events.onDamage(damage);
    if (damage.kind !== "lost") return;
    // Their producers have no acknowledgement and send them again.
    const isLost = (offset: number) => offset >= damage.fromOffset && offset < damage.toOffset;
    for (const [id, offset] of this.#seen) if (isLost(offset)) this.#seen.delete(id);
    this.#waiting = this.#waiting.filter((waiting) => !isLost(waiting.offset));
  }

  /** One turn: recover if needed, take what is queued, append, sync if told to. */
  turn(options: { readonly sync: boolean; readonly countMax: number }): void {
    try {
      if (this.writer.failure !== undefined) this.#recover();
      if (this.#hand.length === 0) this.#take(options.countMax);
      if (this.#hand.length > 0) this.#append();
      this.#settle();
      if (this.#options.durability === "fsync" || options.sync) this.writer.sync();
      this.#settle();
    } catch (error) {
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
    }
    this.visibleOffset = this.#options.durability === "fsync"
      ? this.writer.durableOffset
      : this.#visibleNow();
  }

  /** What is in the log for good or as good as any un-synced write; never less than before. */
  #visibleNow(): number {
    return this.writer.failure === undefined ? this.writer.nextOffset : this.visibleOffset;
  }

  #recover(): void {
    this.writer.recover(this.visibleOffset);
    const { nextOffset } = this.writer;
    if (this.#handOffset !== undefined && this.#handOffset < nextOffset) this.#emptyHand(this.#handOffset);
    this.#handOffset = undefined;
    this.#settle();
  }

  #take(countMax: number): void {
    const taken = new Set<string>();
    while (this.#queue.length > 0 && this.#hand.length < Math.min(countMax, this.#options.batchCountMax)) {
      const event = this.#queue.shift();
      if (event === undefined) return;
      const id = idOf(event);
      const offset = this.#seen.get(id);
      // A repeat is acknowledged like the first, once that is durable.
      if (offset !== undefined) this.#waiting.push({ event, offset });
      else if (!taken.has(id)) {
        taken.add(id);
        this.#hand.push(event);
      }
    }
  }

  #append(): void {
    const frames = this.#hand.map((event) =>
      encodeFrame({ topic: "t", payload: payloadOf(event), id: idOf(event) })
    );
    const receivedUs = this.#options.log.nowUs();
    const { bytes, bodyBytes, count } = batchOfFrames([frames], receivedUs);
    this.#handOffset = undefined;
    // Told before: an append that fails may have written all that matters, and a successor finds it whole.
    const { nextOffset } = this.writer;
    this.#attempts++;
    this.#hand.forEach((event, index) => this.#events.onAppending(event, nextOffset + index, this.#attempts));
    const offset = this.writer.append(bytes, 0, bodyBytes, count, receivedUs, receivedUs, BATCH_HAS_IDS);
    this.#handOffset = offset;
    this.#hand.forEach((event, index) => {
      const { lo, hi } = hashOf(event);
      this.writer.addId(lo, hi, offset + index, receivedUs);
    });
    if (this.#options.durability === "fsync") return;
    // Readers may see it from now on, and nobody holds it any more: before a sync can fail.
    this.visibleOffset = this.writer.nextOffset;
    this.#emptyHand(offset);
  }

  /** The batch in hand needs no second append: it is durable, or readers may see it un-synced. */
  #emptyHand(offset: number): void {
    this.#hand.forEach((event, index) => {
      this.#seen.set(idOf(event), offset + index);
      this.#waiting.push({ event, offset: offset + index });
    });
    this.#hand = [];
    this.#handOffset = undefined;
  }

  #settle(): void {
    const handOffset = this.#handOffset;
    if (handOffset !== undefined && this.isAcknowledgeable(handOffset)) this.#emptyHand(handOffset);
    const ready = this.#waiting.filter((waiting) => this.isAcknowledgeable(waiting.offset));
    this.#waiting = this.#waiting.filter((waiting) => !this.isAcknowledgeable(waiting.offset));
    for (const { event, offset } of ready) this.#events.onAcknowledged(event, offset);
  }

  /** Whether an event at `offset` may be acknowledged as durable. */
  protected isAcknowledgeable(offset: number): boolean {
    return offset < this.writer.durableOffset;
  }

  send(events: readonly SimEvent[]): void {
    this.#queue.push(...events);
  }

  retain(maxBytes: number, nowUs: number): void {
    this.writer.retain({ maxBytes, nowUs });
  }

  close(): void {
    this.writer.close();
  }

  /** All its memory dies with it. */
  succeed(): undefined {
    return undefined;
  }

  get firstOffset(): number {
    return this.writer.firstOffset;
  }

  get nextOffset(): number {
    return this.writer.nextOffset;
  }

  readonly answers = true;

  get trouble(): string {
    return this.writer.failure?.message ?? "";
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#hand.length === 0 && this.#waiting.length === 0;
  }
}

/** The hash of an id are its two numbers: `p2-17` is 17, 2. */
function hashSimId(bytes: Uint8Array, start: number, length: number, words: Int32Array): void {
  const [producer, number] = new TextDecoder().decode(bytes.slice(start + 1, start + length)).split("-");
  words[0] = Number(number);
  words[1] = Number(producer);
}
