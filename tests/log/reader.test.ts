import { afterEach, beforeEach, expect, test } from "bun:test";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { writeBatchHeader } from "../../src/log/format.ts";
import { LogReader } from "../../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT, type LogOptions } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { append, appendBatch, batchOf, batchOfFrames, eventsOf, readAll } from "./runs.ts";

const DIRECTORY = "log";
let nowUs = 0;
const OPTIONS: LogOptions = {
  ...LOG_OPTIONS_DEFAULT,
  segmentBytes: 1024,
  indexBytes: 256,
  minFreeBytes: 0,
  nowUs: () => nowUs,
};
let disk: SimDisk;
let damages: LogDamage[];
let writer: LogWriter;
const report = (damage: LogDamage) => damages.push(damage);

beforeEach(() => {
  nowUs = 1_000_000;
  disk = new SimDisk(new SimRandom(1));
  damages = [];
  writer = LogWriter.open(disk, DIRECTORY, OPTIONS, report);
});
afterEach(() => writer.close());

/** Appends `count` batches of one event each, a second apart. */
function fill(count: number): string[] {
  const expected: string[] = [];
  for (let index = 0; index < count; index++) {
    nowUs += 1_000_000;
    const offset = append(writer, [`e${index}`], nowUs);
    expected.push(`${offset}:e${index}`);
  }
  writer.sync();
  return expected;
}

function segments(): string[] {
  return disk.paths().filter((path) => path.endsWith(".log"));
}

/** Position in its segment, and path, of the batch that begins with `offset`. */
function placeOf(offset: number): { path: string; position: number } {
  for (const path of segments()) {
    const content = disk.content(path);
    const view = new DataView(content.buffer, content.byteOffset, content.length);
    for (
      let position = 64;
      position + 64 <= content.length && view.getUint32(position, true) === 0x42435345;
    ) {
      if (Number(view.getBigUint64(position + 16, true)) === offset) return { path, position };
      position += view.getUint32(position + 4, true);
    }
  }
  throw new Error(`No batch begins with ${offset}`);
}

test("seekTime() finds the first event received at or after a time, in any segment", () => {
  fill(40);
  expect(segments().length).toBeGreaterThan(3);
  const reader = new LogReader(disk, DIRECTORY, report);
  for (const index of [0, 1, 7, 8, 20, 39]) {
    const receivedUs = 2_000_000 + index * 1_000_000;
    expect(reader.seekTime(receivedUs, 40)).toBe(index);
    expect(reader.seekTime(receivedUs - 1, 40)).toBe(index);
    expect(reader.seekTime(receivedUs + 1, 40)).toBe(index + 1);
  }
  expect(reader.seekTime(0, 40)).toBe(0);
  expect(reader.seekTime(Number.MAX_SAFE_INTEGER, 40)).toBe(40);
  expect(damages).toEqual([]);
});

test("seekTime() finds the run within a batch", () => {
  const early = batchOf([["a", "b"]], 10);
  const late = batchOf([["c"]], 20);
  const body = new Uint8Array(64 + early.bodyBytes + late.bodyBytes);
  body.set(early.bytes.subarray(64), 64);
  body.set(late.bytes.subarray(64), 64 + early.bodyBytes);
  writer.append(body, 0, early.bodyBytes + late.bodyBytes, 3, 10, 20, 0);
  const reader = new LogReader(disk, DIRECTORY, report);
  expect(reader.seekTime(10, 3)).toBe(0);
  expect(reader.seekTime(11, 3)).toBe(2);
  expect(reader.seekTime(21, 3)).toBe(3);
});

test("seek() into the middle of a batch skips the events before, in whole runs and in parts of one", () => {
  appendBatch(writer, batchOf([["a", "b"], ["c", "d", "e"], ["f"]]));
  const expected = ["0:a", "1:b", "2:c", "3:d", "4:e", "5:f"];
  for (let fromOffset = 0; fromOffset <= 6; fromOffset++) {
    expect(readAll(disk, DIRECTORY, 6, { fromOffset })).toEqual(expected.slice(fromOffset));
  }
});

test("seek() to the future waits without cost", () => {
  const reader = new LogReader(disk, DIRECTORY, report);
  reader.seek(2);
  expect(reader.nextBatch(0)).toBeUndefined();
  append(writer, ["a"]);
  append(writer, ["b"]);
  expect(reader.nextBatch(2)).toBeUndefined();
  append(writer, ["c"]);
  const batch = reader.nextBatch(3);
  expect(batch && eventsOf(batch)).toEqual(["2:c"]);
});

test("nextBatch() skips a damaged body and names exactly its offsets", () => {
  const expected = fill(5);
  const { path, position } = placeOf(2);
  disk.flipBit(path, (position + 64 + 3) * 8);
  expect(readAll(disk, DIRECTORY, 5, { report })).toEqual(expected.filter((event) => event !== "2:e2"));
  expect(damages).toMatchObject([{ kind: "corrupt", file: path, position, fromOffset: 2, toOffset: 3 }]);
});

test("nextBatch() finds its way past a damaged header and names exactly its offsets", () => {
  const expected = fill(5);
  const { path, position } = placeOf(2);
  disk.flipBit(path, (position + 4) * 8 + 6);
  expect(readAll(disk, DIRECTORY, 5, { report })).toEqual(expected.filter((event) => event !== "2:e2"));
  const bytes = placeOfNext(path, position) - position;
  expect(damages).toEqual([{ kind: "corrupt", file: path, position, bytes, fromOffset: 2, toOffset: 3 }]);
});

function placeOfNext(path: string, position: number): number {
  const content = disk.content(path);
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let next = position + 8;
  while (view.getUint32(next, true) !== 0x42435345) next += 8;
  return next;
}

test("nextBatch() reads all batches of a segment whose own header is damaged", () => {
  const expected = fill(20);
  const path = segments()[1] ?? "";
  disk.flipBit(path, 8 * 20);
  expect(readAll(disk, DIRECTORY, 20, { report })).toEqual(expected);
  expect(damages).toMatchObject([{ kind: "header", file: path }]);
});

/** Appends a batch whose one payload holds a whole batch of its own, as any sender could make it, then damages its header. */
function appendForgery(salt: { lo: number; hi: number }): void {
  append(writer, ["first"]);
  const inner = batchOf([["forged"]]);
  const innerBytes = 64 + inner.bodyBytes;
  const fields = { length: innerBytes, count: 1, baseOffset: 1, firstReceivedUs: 1, lastReceivedUs: 1 };
  writeBatchHeader(inner.bytes, new Int32Array(inner.bytes.buffer), 0, {
    ...fields,
    durableOffset: 0,
    salt,
    flags: 0,
  });
  // Run header 32, frame prefix 4, head and topic length 3, topic 1: the payload begins at a multiple of 8.
  const frame = encodeFrame({ topic: "t", payload: new Uint8Array(inner.bytes) });
  appendBatch(writer, batchOfFrames([[frame]], 1));
  append(writer, ["last"]);
  const { path, position } = placeOf(1);
  disk.flipBit(path, (position + 4) * 8);
}

test("a payload that looks like a batch is not taken for one behind damage", () => {
  appendForgery({ lo: 0, hi: 0 });
  expect(readAll(disk, DIRECTORY, 3, { report })).toEqual(["0:first", "2:last"]);
  expect(damages).toMatchObject([{ kind: "corrupt", fromOffset: 1, toOffset: 2 }]);
});

test("it is the secret salt that tells a payload from a batch", () => {
  const content = disk.content(segments()[0] ?? "");
  const words = new Int32Array(content.slice(0, 64).buffer);
  appendForgery({ lo: words[8] ?? 0, hi: words[9] ?? 0 });
  expect(readAll(disk, DIRECTORY, 3)).toEqual(["0:first", "1:forged", "2:last"]);
});

test("nextBatch() jumps to what retention has left and says what it missed", () => {
  const expected = fill(40);
  const reader = new LogReader(disk, DIRECTORY, report);
  writer.retain({ maxBytes: 2000, nowUs });
  const { firstOffset } = writer;
  expect(firstOffset).toBeGreaterThan(10);
  const events: string[] = [];
  for (let batch = reader.nextBatch(40); batch !== undefined; batch = reader.nextBatch(40)) {
    events.push(...eventsOf(batch));
  }
  expect(events).toEqual(expected.slice(firstOffset));
  expect(damages).toMatchObject([{ kind: "removed", fromOffset: 0, toOffset: firstOffset }]);
});

test("a reader keeps reading the removed segment it has open, then goes on with the next one kept", () => {
  const expected = fill(40);
  const reader = new LogReader(disk, DIRECTORY, report);
  const events: string[] = [];
  const first = reader.nextBatch(40);
  events.push(...(first === undefined ? [] : eventsOf(first)));
  writer.retain({ maxBytes: 0, nowUs });
  for (let batch = reader.nextBatch(40); batch !== undefined; batch = reader.nextBatch(40)) {
    events.push(...eventsOf(batch));
  }
  const removed = damages[0];
  expect(removed?.kind).toBe("removed");
  expect(removed?.toOffset).toBe(writer.firstOffset);
  expect(events).toEqual([...expected.slice(0, removed?.fromOffset), ...expected.slice(writer.firstOffset)]);
});

test("a reader at the tail follows into the segment that replaces a failed one", () => {
  const reader = new LogReader(disk, DIRECTORY, report);
  append(writer, ["a"]);
  writer.sync();
  append(writer, ["seen"]);
  expect(reader.nextBatch(2)?.baseOffset).toBe(0);
  expect(reader.nextBatch(2)?.baseOffset).toBe(1);
  disk.failsAtCall = 1;
  expect(() => writer.sync()).toThrow();
  writer.recover(2);
  append(writer, ["b"]);
  writer.sync();
  const batch = reader.nextBatch(3);
  expect(batch && eventsOf(batch)).toEqual(["2:b"]);
});

test("a segment of a newer format is refused with its version", () => {
  fill(1);
  writer.close();
  const path = segments()[0] ?? "";
  const content = disk.content(path).slice();
  content[8] = 2;
  new DataView(content.buffer).setUint32(60, Bun.hash.crc32(content.subarray(0, 60)), true);
  disk.overwrite(path, content);
  const refusal = /is version 2, this esc knows versions up to 1/;
  expect(() => readAll(disk, DIRECTORY, 1)).toThrow(refusal);
  expect(() => LogWriter.open(disk, DIRECTORY, OPTIONS, report)).toThrow(refusal);
});
