import { beforeEach, expect, test } from "bun:test";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { append, readAll } from "./runs.ts";

const SECOND_US = 1_000_000;
let disk: SimDisk;
let nowUs: number;
let writer: LogWriter;

beforeEach(() => {
  disk = new SimDisk(new SimRandom(5));
  nowUs = 1000 * SECOND_US;
  writer = LogWriter.open(disk, "log", {
    ...LOG_OPTIONS_DEFAULT,
    segmentBytes: 512,
    minFreeBytes: 0,
    idHash: 1,
    nowUs: () => nowUs,
  }, () => {});
});

/** Appends `count` events, a second apart; about three make a segment. */
function fill(count: number): void {
  for (let index = 0; index < count; index++) {
    nowUs += SECOND_US;
    append(writer, [`event ${index}`], nowUs);
  }
  writer.sync();
}

function paths(extension: string): string[] {
  return disk.paths().filter((path) => path.endsWith(extension));
}

test("retain() by bytes removes the oldest segments until the rest fits, at the limit and one byte below", () => {
  fill(30);
  const { bytes } = writer;
  expect(writer.retain({ maxBytes: bytes, nowUs })).toEqual({ segments: 0, bytes: 0 });
  const oldest = disk.content(paths(".log")[0] ?? "").length;
  expect(writer.retain({ maxBytes: bytes - 1, nowUs })).toEqual({ segments: 1, bytes: oldest });
  expect(writer.bytes).toBe(bytes - oldest);
  expect(readAll(disk, "log", 30, { fromOffset: writer.firstOffset })).toHaveLength(30 - writer.firstOffset);
});

test("retain() removes the side files with their segment", () => {
  fill(30);
  writer.retain({ maxBytes: 0, nowUs });
  expect([paths(".log").length, paths(".idx").length, paths(".ids").length]).toEqual([1, 1, 1]);
});

test("retain() never removes the segment being written, and offsets go on", () => {
  fill(30);
  writer.retain({ maxBytes: 0, nowUs });
  expect(writer.firstOffset).toBeGreaterThan(0);
  expect(append(writer, ["next"])).toBe(30);
});

test("retain() by age removes a segment once everything in it is too old, not before", () => {
  fill(30);
  const second = Number(paths(".log")[1]?.slice(4, 24));
  // Event n is received in second 1001 + n; the second segment begins with the first event behind the first.
  const youngestUs = (1000 + second) * SECOND_US;
  const maxAgeUs = 10 * SECOND_US;
  writer.retain({ maxAgeUs, nowUs: youngestUs + maxAgeUs });
  expect(writer.firstOffset).toBe(0);
  writer.retain({ maxAgeUs, nowUs: youngestUs + maxAgeUs + 1 });
  expect(writer.firstOffset).toBe(second);
});

test("retain() by age empties an idle log too, and keeps counting", () => {
  fill(5);
  nowUs += 1000 * SECOND_US;
  writer.retain({ maxAgeUs: 10 * SECOND_US, nowUs });
  expect([writer.firstOffset, writer.nextOffset, writer.durableOffset]).toEqual([5, 5, 5]);
  expect(paths(".log")).toHaveLength(1);
  writer.retain({ maxAgeUs: 10 * SECOND_US, nowUs });
  expect(paths(".log")).toHaveLength(1);
  expect(append(writer, ["next"])).toBe(5);
});

test("a removal that fails is an error, and the log stays whole", () => {
  fill(30);
  disk.failsAtCall = 1;
  expect(() => writer.retain({ maxBytes: 0, nowUs })).toThrow(
    "Cannot remove old segments of the log in 'log': EIO",
  );
  expect(readAll(disk, "log", 30, { fromOffset: writer.firstOffset })).toHaveLength(30);
  writer.retain({ maxBytes: 0, nowUs });
  expect(writer.firstOffset).toBeGreaterThan(0);
});
