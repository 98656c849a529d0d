import { beforeEach, expect, test } from "bun:test";
import { encodeFrame } from "../../src/event/encode.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { PENDING_IDS_MAX } from "../../src/log/id-file.ts";
import { type IdQuery, visitIds } from "../../src/log/id-scan.ts";
import { LOG_OPTIONS_DEFAULT, type LogOptions } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { batchOfFrames } from "./runs.ts";

const HASH = 9;
const SECOND_US = 1_000_000;
let disk: SimDisk;
let nowUs: number;
let options: LogOptions;

beforeEach(() => {
  disk = new SimDisk(new SimRandom(5));
  nowUs = SECOND_US;
  options = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 2048, minFreeBytes: 0, idHash: HASH, nowUs: () => nowUs };
});

function open(): LogWriter {
  return LogWriter.open(disk, "log", options, () => {});
}

/** Appends events with ids `0`, `1` … as their offsets are; the hash of an id is its number. */
function append(writer: LogWriter, count: number): void {
  const from = writer.nextOffset;
  const frames = Array.from(
    { length: count },
    (_, index) => encodeFrame({ topic: "t", payload: "x", id: String(from + index) }),
  );
  nowUs += SECOND_US;
  const { bytes, bodyBytes } = batchOfFrames([frames], nowUs);
  const offset = writer.append(bytes, 0, bodyBytes, count, nowUs, nowUs, BATCH_HAS_IDS);
  for (let index = 0; index < count; index++) writer.addId(offset + index, 0, offset + index, nowUs);
}

/** The hash of id `7` is 7; counts how often it is asked for: once for each id read from the log itself. */
function query(endOffset: number, given: Partial<IdQuery> = {}): IdQuery & { readonly fromLog: number } {
  let fromLog = 0;
  return {
    hash: HASH,
    hashId: (bytes, start, length, words) => {
      words[0] = Number(new TextDecoder().decode(bytes.slice(start, start + length)));
      words[1] = 0;
      fromLog++;
    },
    fromUs: 0,
    endOffset,
    countMax: 1e9,
    ...given,
    get fromLog() {
      return fromLog;
    },
  };
}

/** Offsets of the ids visited, oldest first, and how many of them came from the log itself. */
function visit(endOffset: number, given?: Partial<IdQuery>): { offsets: number[]; fromLog: number } {
  const asked = query(endOffset, given);
  const offsets: number[] = [];
  visitIds(disk, "log", asked, (lo, hi, offset) => {
    expect([lo, hi]).toEqual([offset, 0]);
    offsets.push(offset);
    return offsets.length < asked.countMax;
  }, () => {});
  return { offsets: offsets.reverse(), fromLog: asked.fromLog };
}

const upTo = (end: number) => Array.from({ length: end }, (_, offset) => offset);

test("visitIds() finds every id in order, from the files alone after a close", () => {
  const writer = open();
  for (let count = 0; count < 30; count++) append(writer, 7);
  writer.close();
  expect(visit(210)).toEqual({ offsets: upTo(210), fromLog: 0 });
});

test("visitIds() reads from the log what a kill kept out of the files", () => {
  const writer = open();
  for (let count = 0; count < 30; count++) append(writer, 7);
  writer.sync();
  disk.killProcess();
  const { nextOffset } = open();
  const { offsets, fromLog } = visit(nextOffset);
  expect(offsets).toEqual(upTo(210));
  expect(fromLog).toBeGreaterThan(0);
  expect(fromLog).toBeLessThan(210);
});

test("visitIds() does without any id file, or with garbage in it", () => {
  const writer = open();
  for (let count = 0; count < 30; count++) append(writer, 7);
  writer.close();
  const files = disk.paths().filter((path) => path.endsWith(".ids"));
  expect(files.length).toBeGreaterThan(2);
  disk.overwrite(files[0] ?? "", new Uint8Array(500).fill(0x45));
  disk.flipBit(files[1] ?? "", 100 * 8);
  disk.erase(files[2] ?? "");
  expect(visit(210).offsets).toEqual(upTo(210));
});

test("visitIds() does not use files of another hash function", () => {
  const writer = open();
  append(writer, 7);
  writer.close();
  const { offsets, fromLog } = visit(7, { hash: HASH + 1 });
  expect(fromLog).toBe(7);
  expect(offsets).toEqual(upTo(7));
});

test("visitIds() stops when there is enough, with id files and without, and reads no more of the log", () => {
  options = { ...options, segmentBytes: 8192, indexBytes: 64 };
  const writer = open();
  for (let count = 0; count < 300; count++) append(writer, 7);
  writer.close();
  const newest = upTo(2100).slice(-500);
  expect(visit(2100, { countMax: 500 })).toEqual({ offsets: newest, fromLog: 0 });
  for (const path of disk.paths()) if (path.endsWith(".ids")) disk.erase(path);
  const { offsets, fromLog } = visit(2100, { countMax: 500 });
  expect(offsets).toEqual(newest);
  // Pieces of a segment, and not the whole of it.
  expect(fromLog).toBeLessThan(500 + 64 * 7 + 7);
});

test("visitIds() finds every id whatever one block of one file has come to", () => {
  options = { ...options, segmentBytes: 1 << 20 };
  const writer = open();
  for (let count = 0; count < 8; count++) {
    append(writer, 1100);
    writer.sync();
  }
  writer.close();
  const path = disk.paths().find((candidate) => candidate.endsWith(".ids")) ?? "";
  const whole = disk.content(path).slice();
  const random = new SimRandom(11);
  let least = Infinity;
  for (let time = 0; time < 300; time++) {
    disk.overwrite(path, whole.slice());
    disk.flipBit(path, random.below(whole.length * 8));
    const { offsets, fromLog } = visit(8800);
    expect(offsets).toEqual(upTo(8800));
    least = Math.min(least, fromLog);
  }
  // One damaged block costs its own events only.
  expect(least).toBe(1100);
});

test("visitIds() passes over batches without ids by their header", () => {
  const writer = open();
  for (let count = 0; count < 30; count++) {
    const { bytes, bodyBytes } = batchOfFrames([[encodeFrame({ topic: "t", payload: "no id" })]], nowUs);
    writer.append(bytes, 0, bodyBytes, 1, nowUs, nowUs, 0);
  }
  append(writer, 7);
  writer.close();
  for (const path of disk.paths()) if (path.endsWith(".ids")) disk.erase(path);
  const hashed: number[] = [];
  const asked = query(37, {
    hashId: (bytes, start, length, words) => {
      words[0] = hashed.push(Number(new TextDecoder().decode(bytes.slice(start, start + length))));
    },
  });
  const offsets: number[] = [];
  visitIds(disk, "log", asked, (_lo, _hi, offset) => offsets.push(offset) > 0, () => {});
  expect(hashed).toEqual([30, 31, 32, 33, 34, 35, 36]);
  expect(offsets).toEqual([36, 35, 34, 33, 32, 31, 30]);
});

test("visitIds() leaves out segments that were over before the window", () => {
  const writer = open();
  for (let count = 0; count < 60; count++) append(writer, 7);
  writer.close();
  const fromUs = nowUs - 5 * SECOND_US;
  const { offsets } = visit(420, { fromUs });
  expect(offsets.at(-1)).toBe(419);
  expect(offsets[0]).toBeGreaterThan(100);
  expect(offsets[0]).toBeLessThanOrEqual(420 - 6 * 7);
});

test("no id outlives its event: after a power loss the files speak only of what is in the log", () => {
  for (let seed = 0; seed < 50; seed++) {
    disk = new SimDisk(new SimRandom(seed));
    const writer = open();
    for (let count = 0; count < 12; count++) {
      append(writer, 200);
      if (count % 4 === 3) writer.sync();
    }
    append(writer, 100);
    disk.losePower();
    const { nextOffset } = open();
    expect(visit(nextOffset).offsets).toEqual(upTo(nextOffset));
  }
});

test("addId() gives up beyond its limit, and the ids come from the log", () => {
  options = { ...options, segmentBytes: 64 * 1024 * 1024 };
  const writer = open();
  const batch = 10_000;
  const batches = Math.ceil(PENDING_IDS_MAX / batch) + 1;
  for (let count = 0; count < batches; count++) append(writer, batch);
  writer.close();
  const { offsets, fromLog } = visit(batches * batch);
  expect(offsets).toHaveLength(batches * batch);
  expect(fromLog).toBe(batches * batch);
});
