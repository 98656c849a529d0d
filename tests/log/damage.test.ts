import { expect, test } from "bun:test";
import type { LogDamage } from "../../src/log/damage.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { makeLog, restore, sweepBits, sweepCuts } from "./sweeps.ts";
import { append, readAll } from "./runs.ts";

const SEGMENT_BYTES = 4096;
const CUT_BYTES = 8192;
/** Prime to 8, so that every bit of a byte has its turn. The drill opens at each. */
const OPEN_EVERY = 13;
const TIMEOUT_MS = 60_000;
const log = makeLog(SEGMENT_BYTES);
const NOTHING = /^$/;
const SIDE_FILES = /\.(idx|ids)$/;
const PATH = "log/00000000000000000000.log";

test("any flipped bit of a segment costs at most its batch, which is named exactly", () => {
  expect(sweepBits(log, NOTHING, OPEN_EVERY)).toBeGreaterThanOrEqual(SEGMENT_BYTES * 8);
}, TIMEOUT_MS);

test("any flipped bit costs at most its batch without the index too", () => {
  expect(sweepBits(log, SIDE_FILES, OPEN_EVERY)).toBeGreaterThanOrEqual(SEGMENT_BYTES * 8);
}, TIMEOUT_MS);

test("every file may be cut at any byte", () => {
  expect(sweepCuts(log, CUT_BYTES, NOTHING)).toBeGreaterThanOrEqual(SEGMENT_BYTES);
  expect(sweepCuts(log, CUT_BYTES, SIDE_FILES)).toBeGreaterThanOrEqual(SEGMENT_BYTES);
}, TIMEOUT_MS);

test("open() cuts a torn tail, keeps its bytes beside the log and says so once", () => {
  const disk = restore(log, SIDE_FILES);
  const content = log.files.get(PATH) ?? new Uint8Array(0);
  const size = content.length - 5;
  disk.overwrite(PATH, content.slice(0, size));
  const damages: LogDamage[] = [];
  const writer = LogWriter.open(disk, "log", log.options, (damage) => damages.push(damage));
  const fromOffset = log.bounds.at(-2) ?? 0;
  const toOffset = log.bounds.at(-1) ?? 0;
  const [torn] = damages;
  const keptAs = `${PATH}.torn-${torn?.position}`;
  const bytes = size - (torn?.position ?? 0);
  expect(damages).toEqual([
    { kind: "torn", file: PATH, position: size - bytes, bytes, fromOffset, toOffset, keptAs },
  ]);
  expect(disk.content(keptAs)).toEqual(content.slice(size - bytes, size));
  expect(writer.nextOffset).toBe(fromOffset);
  writer.close();
  LogWriter.open(disk, "log", log.options, (damage) => damages.push(damage)).close();
  expect(damages).toHaveLength(1);
});

test("open() does not give durable offsets away again when the log is shorter than its index knows", () => {
  const disk = restore(log);
  const content = log.files.get(PATH) ?? new Uint8Array(0);
  disk.overwrite(PATH, content.slice(0, 64));
  const damages: LogDamage[] = [];
  const writer = LogWriter.open(disk, "log", log.options, (damage) => damages.push(damage));
  const end = log.events.length;
  expect(damages).toMatchObject([{ kind: "missing", fromOffset: 0, toOffset: end }]);
  expect(append(writer, ["new"])).toBe(end);
  expect(readAll(disk, "log", end + 1)).toEqual([`${end}:new`]);
  writer.close();
});

test("open() leaves files it does not know alone", () => {
  const disk = restore(log);
  const names = [
    "log/notes.txt",
    "log/123.log",
    "log/00000000000000000000.log.bak",
    "log/00000000000000000000.log.torn-64",
  ];
  for (const name of names) disk.overwrite(name, new Uint8Array([1, 2, 3]));
  const writer = LogWriter.open(disk, "log", log.options, () => {});
  writer.retain({ maxBytes: 0, nowUs: 0 });
  writer.close();
  for (const name of names) expect(disk.content(name)).toEqual(new Uint8Array([1, 2, 3]));
});
