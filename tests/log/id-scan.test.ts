import { beforeEach, expect, test } from "bun:test";
import { encodeFrame } from "../../src/event/encode.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { PENDING_IDS_MAX } from "../../src/log/id-file.ts";
import { visitIds } from "../../src/log/id-scan.ts";
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

/** Offsets of all ids visited, and how many of them came from the log itself. */
function visit(endOffset: number, fromUs = 0): { offsets: number[]; fromLog: number } {
  const offsets: number[] = [];
  let fromLog = 0;
  visitIds(disk, "log", { hash: HASH, fromUs, endOffset }, {
    onHash: (lo, hi, offset) => {
      expect([lo, hi]).toEqual([offset, 0]);
      offsets.push(offset);
    },
    onId: (bytes, start, length, offset) => {
      expect(new TextDecoder().decode(bytes.slice(start, start + length))).toBe(String(offset));
      offsets.push(offset);
      fromLog++;
    },
  }, () => {});
  return { offsets, fromLog };
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
  const offsets: number[] = [];
  const fail = () => {
    throw new Error("The hash is of another kind");
  };
  const onId = (_bytes: Uint8Array, _start: number, _length: number, offset: number) => offsets.push(offset);
  visitIds(disk, "log", { hash: HASH + 1, fromUs: 0, endOffset: 7 }, { onHash: fail, onId }, () => {});
  expect(offsets).toEqual(upTo(7));
});

test("visitIds() leaves out segments that were over before the window", () => {
  const writer = open();
  for (let count = 0; count < 60; count++) append(writer, 7);
  writer.close();
  const fromUs = nowUs - 5 * SECOND_US;
  const { offsets } = visit(420, fromUs);
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
