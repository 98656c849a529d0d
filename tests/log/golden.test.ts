import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeFrame } from "../../src/event/decode.ts";
import { EventCursor } from "../../src/log/batch.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import { visitIds } from "../../src/log/id-scan.ts";
import { LogReader } from "../../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import {
  GOLDEN_EVENTS,
  GOLDEN_ID_HASH,
  GOLDEN_RECEIVED_US,
  GOLDEN_SEGMENT_BYTES,
  goldenFiles,
  goldenPayload,
} from "./golden.ts";

const ROOT = join(import.meta.dir, "../golden/log/v1/log");
const CLOSED = join(ROOT, "realtime/0");
const KILLED = join(ROOT, "batch/0");
const OPTIONS = {
  ...LOG_OPTIONS_DEFAULT,
  segmentBytes: GOLDEN_SEGMENT_BYTES,
  minFreeBytes: 0,
  idHash: GOLDEN_ID_HASH,
};

/** Copies a golden folder to a disk in memory: the files in the repository are never changed. */
function load(folder: string): SimDisk {
  const disk = new SimDisk(new SimRandom(1));
  for (const name of readdirSync(folder)) disk.overwrite(`log/${name}`, readFileSync(join(folder, name)));
  return disk;
}

function expectEvents(disk: SimDisk, damages: LogDamage[]): void {
  const reader = new LogReader(disk, "log", (damage) => damages.push(damage));
  const cursor = new EventCursor();
  let offset = 0;
  for (
    let batch = reader.nextBatch(GOLDEN_EVENTS);
    batch !== undefined;
    batch = reader.nextBatch(GOLDEN_EVENTS)
  ) {
    cursor.open(batch);
    while (cursor.next()) {
      expect(cursor.offset).toBe(offset);
      expect(cursor.receivedUs).toBe(GOLDEN_RECEIVED_US + Math.floor(offset / 3) * 3_000_000);
      const event = decodeFrame(cursor.bytes, cursor.frameAt);
      expect(event.topic).toBe("golden.topic");
      expect(event.priority).toBe(offset % 5);
      expect(new TextDecoder().decode(event.payload)).toBe(goldenPayload(offset));
      offset++;
    }
  }
  expect(offset).toBe(GOLDEN_EVENTS);
}

test("version 1, closed: every event is read, and the log goes on", () => {
  const disk = load(CLOSED);
  const damages: LogDamage[] = [];
  const writer = LogWriter.open(disk, "log", OPTIONS, (damage) => damages.push(damage));
  expect([writer.firstOffset, writer.nextOffset]).toEqual([0, GOLDEN_EVENTS]);
  expectEvents(disk, damages);
  expect(damages).toEqual([]);
});

test("version 1, killed: the torn tail is cut and kept, every event is read", () => {
  const disk = load(KILLED);
  const damages: LogDamage[] = [];
  const writer = LogWriter.open(disk, "log", OPTIONS, (damage) => damages.push(damage));
  expect(writer.nextOffset).toBe(GOLDEN_EVENTS);
  expectEvents(disk, damages);
  // 100 bytes were written, the last of them zeros.
  expect(damages).toMatchObject([{ kind: "torn", fromOffset: GOLDEN_EVENTS, toOffset: GOLDEN_EVENTS }]);
});

test("version 1: message ids come from the id files", () => {
  const disk = load(CLOSED);
  const offsets: number[] = [];
  const query = {
    hash: GOLDEN_ID_HASH,
    hashId: () => {
      throw new Error("An id had to be read from the log");
    },
    fromUs: 0,
    endOffset: GOLDEN_EVENTS,
    countMax: Infinity,
  };
  visitIds(disk, "log", query, (lo, hi, offset, receivedUs) => {
    expect([lo, hi]).toEqual([offset, ~offset]);
    expect(receivedUs).toBe(GOLDEN_RECEIVED_US + Math.floor(offset / 3) * 3_000_000);
    offsets.unshift(offset);
    return true;
  }, () => {});
  expect(offsets).toEqual(Array.from({ length: GOLDEN_EVENTS }, (_, offset) => offset));
});

test("what is written today is byte for byte what version 1 wrote", () => {
  for (const [folder, closed] of [[CLOSED, true], [KILLED, false]] as const) {
    const files = goldenFiles(closed);
    expect([...files.keys()].sort()).toEqual(readdirSync(folder).sort());
    for (const [name, content] of files) {
      expect(Buffer.from(content).equals(readFileSync(join(folder, name)))).toBe(true);
    }
  }
});
