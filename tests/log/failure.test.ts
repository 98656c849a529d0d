import { beforeEach, expect, test } from "bun:test";
import { EscError } from "../../src/errors.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import { LOG_OPTIONS_DEFAULT, type LogOptions } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { append, readAll } from "./runs.ts";

const DIRECTORY = "log";
const OPTIONS: LogOptions = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 1024, indexBytes: 256, minFreeBytes: 0 };
let disk: SimDisk;
let damages: LogDamage[];

beforeEach(() => {
  disk = new SimDisk(new SimRandom(3));
  damages = [];
});

function open(options: LogOptions = OPTIONS): LogWriter {
  return LogWriter.open(disk, DIRECTORY, options, (damage) => damages.push(damage));
}

/** The error that `action` throws. */
function errorOf(action: () => void): EscError {
  try {
    action();
  } catch (error) {
    if (error instanceof EscError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

test("sync() that fails makes nothing durable, and is not tried again", () => {
  const writer = open();
  append(writer, ["safe"]);
  writer.sync();
  append(writer, ["in doubt"]);
  disk.failsAtCall = 1;
  const error = errorOf(() => writer.sync());
  expect(error.code).toBe("LOG_UNAVAILABLE");
  expect(error.message).toBe("Cannot sync the log in 'log': EIO");
  expect(writer.durableOffset).toBe(1);
  expect(writer.failure).toBe(error);
  // The disk would say yes now; the log does not ask.
  expect(errorOf(() => writer.sync())).toBe(error);
  expect(errorOf(() => append(writer, ["more"]))).toBe(error);
});

test("recover() gives un-durable offsets back, so that the caller appends again", () => {
  const writer = open();
  append(writer, ["safe"]);
  writer.sync();
  append(writer, ["in doubt"]);
  disk.failsAtCall = 1;
  errorOf(() => writer.sync());
  writer.recover();
  expect([writer.nextOffset, writer.durableOffset]).toEqual([1, 1]);
  expect(append(writer, ["in doubt"])).toBe(1);
  writer.sync();
  disk.losePower();
  const reopened = open();
  expect(readAll(disk, DIRECTORY, reopened.nextOffset)).toEqual(["0:safe", "1:in doubt"]);
  expect(damages).toEqual([]);
});

test("recover() keeps what readers saw, if the machine still remembers it, and makes it durable", () => {
  let kept = 0;
  for (let seed = 0; seed < 20; seed++) {
    disk = new SimDisk(new SimRandom(seed));
    damages = [];
    const writer = open();
    append(writer, ["safe"]);
    writer.sync();
    append(writer, ["seen"]);
    append(writer, ["in hand"]);
    disk.failsAtCall = 1;
    errorOf(() => writer.sync());
    writer.recover(2);
    expect([writer.nextOffset, writer.durableOffset]).toEqual([2, 2]);
    disk.losePower();
    const events = readAll(disk, DIRECTORY, open().nextOffset);
    // The simulated machine drops its memory of failed writes now and then.
    if (damages.length === 0) kept++;
    expect(events).toEqual(damages.length === 0 ? ["0:safe", "1:seen"] : ["0:safe"]);
  }
  expect(kept).toBeGreaterThan(5);
});

test("recover() names exactly what readers saw and the disk lost, and does not use its offsets again", () => {
  const writer = open();
  append(writer, ["safe"]);
  writer.sync();
  append(writer, ["seen"]);
  disk.failsAtCall = 1;
  errorOf(() => writer.sync());
  const path = segments()[0] ?? "";
  disk.overwrite(path, disk.content(path).slice(0, 64 + 112));
  writer.recover(2);
  expect(damages).toMatchObject([{ kind: "lost", file: path, fromOffset: 1, toOffset: 2 }]);
  expect(append(writer, ["next"])).toBe(2);
  writer.sync();
  expect(readAll(disk, DIRECTORY, 3)).toEqual(["0:safe", "2:next"]);
});

function segments(): string[] {
  return disk.paths().filter((path) => path.endsWith(".log"));
}

test("append() on a full disk changes nothing, and goes on when there is room again", () => {
  disk.canPreallocate = false;
  const writer = open();
  append(writer, ["a"]);
  writer.sync();
  disk.capacityBytes = disk.usedBytes() + 10;
  const error = errorOf(() => append(writer, ["b"]));
  expect(error.message).toBe("Cannot append to the log in 'log': ENOSPC");
  expect(error.hint).toContain("Free space");
  expect(readAll(disk, DIRECTORY, writer.nextOffset)).toEqual(["0:a"]);
  expect(errorOf(() => writer.recover()).message).toBe("Cannot recover the log in 'log': ENOSPC");
  expect(readAll(disk, DIRECTORY, writer.nextOffset)).toEqual(["0:a"]);
  disk.heal();
  writer.recover();
  expect(writer.failure).toBeUndefined();
  expect(append(writer, ["b"])).toBe(1);
  writer.sync();
  disk.losePower();
  expect(readAll(disk, DIRECTORY, open().nextOffset)).toEqual(["0:a", "1:b"]);
  expect(damages).toEqual([]);
});

test("a segment is begun only above log.min_free: one byte below refuses, at it goes on", () => {
  const minFreeBytes = 4096;
  const writer = open({ ...OPTIONS, minFreeBytes });
  while (segments().length < 2) append(writer, ["fill the segment"]);
  const roll = () => {
    while (segments().length < 3) append(writer, ["fill the segment"]);
  };
  disk.capacityBytes = disk.usedBytes() + minFreeBytes - 1;
  expect(errorOf(roll).message).toBe("Cannot begin a segment in the log in 'log': ENOSPC");
  expect(writer.durableOffset).toBe(writer.nextOffset);
  disk.capacityBytes = disk.usedBytes() + minFreeBytes;
  writer.recover();
  expect(writer.failure).toBeUndefined();
});

test("retain() frees room in a log that failed for want of it", () => {
  const writer = open();
  for (let index = 0; index < 100; index++) append(writer, [`event ${index}`]);
  writer.sync();
  disk.capacityBytes = disk.usedBytes();
  errorOf(() => {
    for (let index = 0; index < 100; index++) append(writer, ["more"]);
  });
  const { nextOffset } = writer;
  expect(writer.retain({ maxBytes: 3000, nowUs: 0 }).segments).toBeGreaterThan(3);
  writer.recover(nextOffset);
  expect(append(writer, ["after"])).toBe(nextOffset);
});

test("open() on a disk that cannot be written opens as failed, reads on, and recovers", () => {
  const first = open();
  append(first, ["a"]);
  first.sync();
  disk.killProcess();
  disk.failureRate = 1;
  const writer = open();
  expect(writer.failure?.code).toBe("LOG_UNAVAILABLE");
  expect(readAll(disk, DIRECTORY, writer.nextOffset)).toEqual(["0:a"]);
  expect(writer.retain({ maxBytes: 0, nowUs: 0 })).toEqual({ segments: 0, bytes: 0 });
  expect(errorOf(() => writer.recover()).code).toBe("LOG_UNAVAILABLE");
  disk.heal();
  writer.recover();
  expect(append(writer, ["b"])).toBe(1);
  writer.sync();
  expect(readAll(disk, DIRECTORY, 2)).toEqual(["0:a", "1:b"]);
});

test("a torn tail that cannot be kept is not cut, however often it is tried, and leaves no copies", () => {
  const first = open();
  append(first, ["a"]);
  first.sync();
  const path = segments()[0] ?? "";
  const content = disk.content(path).slice();
  content.fill(7, 400, 500);
  disk.overwrite(path, content);
  disk.killProcess();
  disk.capacityBytes = disk.usedBytes();
  const writer = open();
  for (let count = 0; count < 3; count++) errorOf(() => writer.recover());
  expect(disk.content(path)).toEqual(content);
  expect(disk.paths().filter((name) => name.includes("torn"))).toEqual([]);
  disk.heal();
  writer.recover();
  expect(damages.map((damage) => damage.kind)).toEqual(["torn"]);
  expect(disk.paths().filter((name) => name.includes("torn"))).toHaveLength(1);
});

test("append() refuses sizes that make no sense", () => {
  const writer = open();
  const bytes = new Uint8Array(256);
  for (
    const [headerAt, bodyBytes, count] of [[0, 0, 1], [0, 12, 1], [4, 8, 1], [0, 8, 0], [0, 200, 1], [
      -8,
      8,
      1,
    ]] as const
  ) {
    expect(() => writer.append(bytes, headerAt, bodyBytes, count, 0, 0, 0)).toThrow(RangeError);
  }
  expect(writer.nextOffset).toBe(0);
});

test("close() gives back the room that was not used", () => {
  const writer = open();
  append(writer, ["a"]);
  const path = segments()[0] ?? "";
  expect(disk.content(path)).toHaveLength(1024);
  const { bytes } = writer;
  writer.close();
  expect(disk.content(path)).toHaveLength(bytes);
  expect(errorOf(() => append(writer, ["b"])).message).toBe("The log in 'log' is closed");
  writer.recover();
  writer.close();
  expect(errorOf(() => append(writer, ["b"])).message).toBe("The log in 'log' is closed");
});
