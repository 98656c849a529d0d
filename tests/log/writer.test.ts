import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogDamage } from "../../src/log/damage.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LogReader } from "../../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT, type LogOptions } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { append, eventsOf, readAll } from "./runs.ts";

let directory = "";
let damages: LogDamage[] = [];
const report = (damage: LogDamage) => damages.push(damage);
const SMALL: LogOptions = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 4096, indexBytes: 512, minFreeBytes: 0 };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "esc-log-"));
  damages = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open(options: LogOptions = SMALL): LogWriter {
  return LogWriter.open(nodeFiles, directory, options, report);
}

test("append() numbers events densely from 0 and a reader gets them back in order", () => {
  const writer = open();
  expect(append(writer, ["a", "b"])).toBe(0);
  expect(append(writer, ["c"])).toBe(2);
  expect(writer.nextOffset).toBe(3);
  expect(writer.durableOffset).toBe(0);
  writer.sync();
  expect(writer.durableOffset).toBe(3);
  expect(readAll(nodeFiles, directory, 3)).toEqual(["0:a", "1:b", "2:c"]);
  writer.close();
  expect(damages).toEqual([]);
});

test("open() goes on where close() ended", () => {
  const first = open();
  append(first, ["a", "b"]);
  first.close();
  const second = open();
  expect(second.nextOffset).toBe(2);
  expect(append(second, ["c"])).toBe(2);
  second.close();
  expect(readAll(nodeFiles, directory, 3)).toEqual(["0:a", "1:b", "2:c"]);
  expect(damages).toEqual([]);
});

test("open() goes on after a writer that was never closed, without calling anything torn", () => {
  const killed = open();
  append(killed, ["a"]);
  append(killed, ["b"]);
  const second = open();
  expect(second.nextOffset).toBe(2);
  expect(second.durableOffset).toBe(2);
  expect(damages).toEqual([]);
  second.close();
});

test("append() rolls into new segments and a reader follows from any offset", () => {
  const writer = open();
  const expected: string[] = [];
  for (let index = 0; index < 500; index++) {
    append(writer, [`event ${index}`], index);
    expected.push(`${index}:event ${index}`);
  }
  writer.close();
  const segments = readdirSync(directory).filter((name) => name.endsWith(".log"));
  expect(segments.length).toBeGreaterThan(5);
  for (const fromOffset of [0, 1, 37, 250, 499]) {
    expect(readAll(nodeFiles, directory, 500, { fromOffset, report })).toEqual(expected.slice(fromOffset));
  }
  expect(damages).toEqual([]);
});

test("nextBatch() follows a writer batch by batch and never passes the visible offset", () => {
  const writer = open();
  const reader = new LogReader(nodeFiles, directory, report);
  for (let index = 0; index < 300; index++) {
    append(writer, [`x${index}`]);
    expect(reader.nextBatch(index)).toBeUndefined();
    const batch = reader.nextBatch(index + 1);
    expect(batch === undefined ? [] : eventsOf(batch)).toEqual([`${index}:x${index}`]);
    expect(reader.nextBatch(index + 1)).toBeUndefined();
  }
  reader.close();
  writer.close();
  expect(damages).toEqual([]);
});
