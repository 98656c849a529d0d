/**
 * Exhaustive damage: every bit of a segment flipped, every truncation point of every file. CI runs it on 4 KiB,
 * `bun tests/log/sweeps.ts --bytes 65536` (the drill) on 64 KiB.
 */

import { parseArgs } from "node:util";
import type { LogDamage } from "../../src/log/damage.ts";
import { LOG_OPTIONS_DEFAULT, type LogOptions } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { append, readAll } from "./runs.ts";

const DIRECTORY = "log";
const HASH = 1;

/** A finished log, as the contents of its files. */
export interface SavedLog {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** `offset:text` of every event. */
  readonly events: readonly string[];
  /** First offset of each batch, and the end. */
  readonly bounds: readonly number[];
  readonly options: LogOptions;
}

/** Makes a log of one segment of at least `bytes`, each batch synced by itself. */
export function makeLog(bytes: number): SavedLog {
  const random = new SimRandom(7);
  const disk = new SimDisk(random);
  // Without reserved room the file is exactly as long as what it holds.
  disk.canPreallocate = false;
  const options = {
    ...LOG_OPTIONS_DEFAULT,
    segmentBytes: 2 * bytes,
    indexBytes: 512,
    minFreeBytes: 0,
    idHash: HASH,
  };
  const writer = LogWriter.open(disk, DIRECTORY, options, () => {});
  const events: string[] = [];
  const bounds: number[] = [0];
  while (writer.bytes < bytes) {
    const texts = Array.from(
      { length: random.between(1, 6) },
      (_, index) => `${writer.nextOffset + index} ${"x".repeat(random.below(80))}`,
    );
    const offset = append(writer, texts, 1000 + writer.nextOffset);
    texts.forEach((text, index) => {
      events.push(`${offset + index}:${text}`);
      writer.addId(offset + index, 0, offset + index, 1000);
    });
    writer.sync();
    bounds.push(writer.nextOffset);
  }
  writer.close();
  const files = new Map(disk.paths().map((path) => [path, disk.content(path).slice()]));
  return { files, events, bounds, options };
}

/** Puts a saved log on a fresh disk. */
export function restore(log: SavedLog, without: RegExp = /^$/): SimDisk {
  const disk = new SimDisk(new SimRandom(1));
  for (const [path, content] of log.files) if (!without.test(path)) disk.overwrite(path, content);
  return disk;
}

/** Why a sweep failed; names the place. */
function check(condition: boolean, place: string, what: string): void {
  if (!condition) throw new Error(`${place}: ${what}`);
}

/**
 * Flips every bit of the segment, one at a time, and reads the log each time.
 *
 * @param without Side files to remove before.
 * @param openEvery At every so many bits the log is also opened, read again and appended to.
 * @returns How many flips were tried.
 */
export function sweepBits(log: SavedLog, without: RegExp, openEvery: number): number {
  const path = [...log.files.keys()].find((name) => name.endsWith(".log")) ?? "";
  const bits = (log.files.get(path)?.length ?? 0) * 8;
  const next = log.bounds.at(-1) ?? 0;
  for (let bit = 0; bit < bits; bit++) {
    const place = `bit ${bit}`;
    const disk = restore(log, without);
    disk.flipBit(path, bit);
    const before = readChecked(log, disk, next, place);
    if (bit % openEvery !== 0) continue;
    const writer = LogWriter.open(disk, DIRECTORY, log.options, () => {});
    check(writer.failure === undefined, place, `does not open: ${writer.failure?.message}`);
    const after = readChecked(log, disk, Math.min(next, writer.nextOffset), place);
    check(after === before, place, `opening changed ${before} readable events to ${after}`);
    const offset = append(writer, ["new"]);
    const events = readAll(disk, DIRECTORY, offset + 1, { fromOffset: offset });
    check(events.join() === `${offset}:new`, place, `appended event reads as '${events}'`);
    writer.close();
  }
  return bits;
}

/** Reads everything and checks that at most one batch is missing, that it is named, and nothing is wrong. */
function readChecked(log: SavedLog, disk: SimDisk, visibleOffset: number, place: string): number {
  const damages: LogDamage[] = [];
  const events = readAll(disk, DIRECTORY, visibleOffset, { report: (damage) => damages.push(damage) });
  const good = new Set(log.events);
  for (const event of events) check(good.has(event), place, `reads '${event}', which nobody wrote`);
  const lost = damages.filter(({ fromOffset, toOffset }) => toOffset > fromOffset);
  check(lost.length <= 1, place, `one bit damages ${lost.length} places`);
  const { fromOffset, toOffset } = lost[0] ?? { fromOffset: 0, toOffset: 0 };
  const isBatch = lost.length === 0 || log.bounds.indexOf(toOffset) === log.bounds.indexOf(fromOffset) + 1;
  check(isBatch, place, `offsets ${fromOffset} to ${toOffset} are not one batch`);
  const count = visibleOffset - (toOffset - fromOffset);
  check(events.length === count, place, `${events.length} events are read instead of ${count}`);
  return events.length;
}

/**
 * Cuts every file at every point of its last `bytes`, one at a time, and opens and reads the log each time.
 *
 * @returns How many cuts were tried.
 */
export function sweepCuts(log: SavedLog, bytes: number, without: RegExp): number {
  let cuts = 0;
  for (const [path, content] of log.files) {
    if (without.test(path)) continue;
    for (let size = Math.max(0, content.length - bytes); size < content.length; size++) {
      cut(log, path, size, without);
      cuts++;
    }
  }
  return cuts;
}

function cut(log: SavedLog, path: string, size: number, without: RegExp): void {
  const place = `'${path}' cut to ${size} bytes`;
  const disk = restore(log, without);
  disk.overwrite(path, (log.files.get(path) ?? new Uint8Array(0)).slice(0, size));
  const damages: LogDamage[] = [];
  const writer = LogWriter.open(disk, DIRECTORY, log.options, (damage) => damages.push(damage));
  check(writer.failure === undefined, place, `does not open: ${writer.failure?.message}`);
  // What is readable is a beginning of what was written, and all batches that are whole are in it.
  const events = readAll(disk, DIRECTORY, writer.nextOffset);
  check(
    events.join() === log.events.slice(0, events.length).join(),
    place,
    "what is read was not written so",
  );
  const isWhole = !path.endsWith(".log");
  check(log.bounds.includes(events.length), place, `${events.length} events are no whole batches`);
  check(!isWhole || events.length === log.events.length, place, "a cut side file costs events");
  check(
    !isWhole || damages.length === 0,
    place,
    `a cut side file is called damage: ${JSON.stringify(damages)}`,
  );
  const offset = append(writer, ["new"]);
  check(
    readAll(disk, DIRECTORY, offset + 1, { fromOffset: offset }).join() === `${offset}:new`,
    place,
    "cannot go on",
  );
  check(offset === events.length || damages.length > 0, place, "offsets are skipped and nobody says so");
  writer.close();
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { bytes: { type: "string", default: "65536" } } });
  const log = makeLog(Number(values.bytes));
  for (const without of [/^$/, /\.(idx|ids)$/]) {
    console.log(`${sweepBits(log, without, 1)} flipped bits and ${sweepCuts(log, 8192, without)} cuts clean`);
  }
}
