import { afterEach, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { NEWEST_BYTES, NewestBatches } from "../../src/deliver/newest.ts";
import { READERS_MAX, ShardTails } from "../../src/deliver/tail.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { LogRig } from "./log-rig.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const closeable of open.splice(0)) closeable.close();
});

function setUp(segmentBytes?: number) {
  const folder = new TemporaryFolder("tail");
  const rig = new LogRig(folder.root, { rt: 1 }, segmentBytes);
  const damages: LogDamage[] = [];
  const tails = new ShardTails(rig.infos, (damage) => damages.push(damage));
  open.push(rig, tails, { close: () => folder.remove() });
  const append = (payload: string, count = 1) =>
    rig.append(0, [{
      receivedUs: 1,
      events: Array.from({ length: count }, () => ({ topic: "t", payload })),
    }]);
  return { rig, tails, append, damages };
}

/** Open files of this process below a folder. */
function openFiles(directory: string): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link: string) => link.startsWith(directory)).length;
}

test("batchAt() gives the batch that holds an offset, and nothing past what is visible", () => {
  const { tails, append } = setUp();
  append("a", 3);
  append("b", 2);
  const bases = [0, 1, 2, 3, 4].map((offset) => tails.batchAt(0, offset)?.baseOffset);
  expect(bases).toEqual([0, 0, 0, 3, 3]);
  expect(tails.batchAt(0, 5)).toBeUndefined();
  expect([tails.firstOffset(0), tails.visibleOffset(0)]).toEqual([0, 5]);
});

test("subscribers at the tail read memory: the same batch is handed out again without its file", () => {
  const { tails, append } = setUp();
  append("first");
  tails.batchAt(0, 0);
  for (let index = 0; index < 5; index++) append(`new ${index}`);
  const reader = [1, 2, 3, 4, 5].map((offset) => tails.batchAt(0, offset)?.bytes);
  const again = [1, 2, 3, 4, 5].map((offset) => tails.batchAt(0, offset)?.bytes);
  // The second round comes from one place: the copies.
  expect(new Set(again).size).toBe(1);
  expect(again[0]).not.toBe(reader[0] as Uint8Array);
});

test("any number of places in the past is read through READERS_MAX readers", () => {
  const { rig, tails, append } = setUp(1 << 16);
  for (let index = 0; index < 200; index++) append("x".repeat(2000), 4);
  for (let round = 0; round < 3; round++) {
    for (let place = 0; place < 40; place++) {
      const offset = place * 20 + round;
      const batch = tails.batchAt(0, offset);
      expect(batch && batch.baseOffset <= offset && offset < batch.baseOffset + batch.count).toBe(true);
    }
  }
  // The writer has a file open, too.
  expect(openFiles(rig.at(0).info.directory)).toBeLessThanOrEqual(READERS_MAX + 2);
  tails.close();
  expect(openFiles(rig.at(0).info.directory)).toBeLessThanOrEqual(2);
});

test("sweep() closes what was not used since the sweep before, and nothing else", () => {
  const { rig, tails, append } = setUp(1 << 16);
  const { directory } = rig.at(0).info;
  for (let index = 0; index < 50; index++) append("x".repeat(2000), 4);
  const writers = openFiles(directory);
  for (const offset of [0, 60, 120]) tails.batchAt(0, offset);
  expect(openFiles(directory)).toBe(writers + 3);
  tails.sweep();
  expect(openFiles(directory)).toBe(writers + 3);
  tails.batchAt(0, 60);
  tails.sweep();
  expect(openFiles(directory)).toBe(writers + 1);
  expect(tails.batchAt(0, 0)?.baseOffset).toBe(0);
});

test("a damaged batch is stepped over and told once, also when it is the last one", () => {
  const { rig, tails, append, damages } = setUp();
  append("good");
  append("D".repeat(100));
  const { directory } = rig.at(0).info;
  const path = `${directory}/${readdirSync(directory).find((name) => name.endsWith(".log"))}`;
  const bytes = readFileSync(path);
  const file = openSync(path, "r+");
  writeSync(file, "X", bytes.indexOf("DDDD"));
  closeSync(file);
  expect(tails.batchAt(0, 1)).toBeUndefined();
  expect(tails.lookedTo).toBe(2);
  append("after");
  expect(tails.batchAt(0, 1)?.baseOffset).toBe(2);
  expect(damages.map(({ kind, fromOffset, toOffset }) => [kind, fromOffset, toOffset])).toContainEqual([
    "corrupt",
    1,
    2,
  ]);
});

test("NewestBatches keeps what follows, drops the oldest for room, and begins anew after a gap", () => {
  const newest = new NewestBatches();
  const batch = (baseOffset: number, bodyBytes: number) => {
    const bytes = new Uint8Array(bodyBytes).fill(baseOffset & 0xff);
    const words = new Int32Array(bytes.buffer);
    return {
      bytes,
      words,
      bodyAt: 0,
      bodyEnd: bodyBytes,
      baseOffset,
      count: 10,
      firstReceivedUs: 1,
      lastReceivedUs: 1,
      flags: 0,
    };
  };
  expect(newest.endOffset).toBe(-1);
  const size = NEWEST_BYTES / 8;
  for (let index = 0; index < 20; index++) newest.add(batch(index * 10, size));
  expect(newest.endOffset).toBe(200);
  const kept = Array.from({ length: 20 }, (_, index) => newest.find(index * 10 + 5)).filter((found) =>
    found !== undefined
  );
  expect(kept.map((found) => found.baseOffset)).toEqual([120, 130, 140, 150, 160, 170, 180, 190]);
  for (const found of kept) {
    expect([found.bytes[found.bodyAt], found.bytes[found.bodyEnd - 1]]).toEqual([
      found.baseOffset & 0xff,
      found.baseOffset & 0xff,
    ]);
    expect(found.words.buffer).toBe(found.bytes.buffer as ArrayBuffer);
  }
  newest.add(batch(500, 64));
  expect([newest.find(195), newest.find(505)?.baseOffset]).toEqual([undefined, 500]);
  newest.add(batch(510, NEWEST_BYTES));
  expect([newest.endOffset, newest.find(505)]).toEqual([-1, undefined]);
});
