/**
 * The log alone: append with and without a sync a batch, reading from the page cache, opening.
 *
 *     bun bench/log.ts [--events 2000000] [--batch-bytes 262144] [--open-gib 0] [--dir FOLDER]
 *
 * Reads everything back and compares before it prints a figure. With `--open-gib 10` it also builds a log of
 * that size and measures opening it, once with its indexes and once after a kill.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeFrame } from "../src/event/encode.ts";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_LENGTH, RUN_RECEIVED_LO } from "../src/event/run.ts";
import { EventCursor } from "../src/log/batch.ts";
import { LOG_BATCH_HEADER_BYTES, writeU64 } from "../src/log/format.ts";
import { nodeFiles } from "../src/log/node-files.ts";
import { LogReader } from "../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT } from "../src/log/segment.ts";
import { LogWriter } from "../src/log/writer.ts";

const FRAME_BYTES = 128;
/** As a listener makes them: runs of at most 64 KiB. */
const RUN_BYTES = 64 * 1024;
const OPTIONS = { ...LOG_OPTIONS_DEFAULT, minFreeBytes: 0 };

/** A batch in shared memory, as a lane worker has it in hand. */
interface HandBatch {
  readonly bytes: Uint8Array;
  readonly bodyBytes: number;
  readonly count: number;
}

function makeBatch(batchBytes: number): HandBatch {
  const frame = encodeFrame({ topic: "bench", payload: "x".repeat(FRAME_BYTES - 4 - 3 - 5) });
  const framesARun = Math.floor((RUN_BYTES - RUN_HEADER_BYTES) / FRAME_BYTES);
  const runBytes = RUN_HEADER_BYTES + framesARun * FRAME_BYTES;
  const runs = Math.max(1, Math.floor(batchBytes / runBytes));
  const bytes = new Uint8Array(new SharedArrayBuffer(LOG_BATCH_HEADER_BYTES + runs * runBytes));
  const words = new Int32Array(bytes.buffer);
  for (let run = 0; run < runs; run++) {
    const at = LOG_BATCH_HEADER_BYTES + run * runBytes;
    words[(at >> 2) + RUN_LENGTH] = runBytes;
    words[(at >> 2) + RUN_COUNT] = framesARun;
    writeU64(words, (at >> 2) + RUN_RECEIVED_LO, Date.now() * 1000);
    for (let index = 0; index < framesARun; index++) {
      bytes.set(frame, at + RUN_HEADER_BYTES + index * FRAME_BYTES);
    }
  }
  return { bytes, bodyBytes: runs * runBytes, count: runs * framesARun };
}

/** Appends at least `events`. @returns Seconds. */
function fill(writer: LogWriter, batch: HandBatch, events: number, syncEach: boolean): number {
  const end = writer.nextOffset + events;
  const nowUs = Date.now() * 1000;
  const started = Bun.nanoseconds();
  while (writer.nextOffset < end) {
    writer.append(batch.bytes, 0, batch.bodyBytes, batch.count, nowUs, nowUs, 0);
    if (syncEach) writer.sync();
  }
  writer.sync();
  return (Bun.nanoseconds() - started) / 1e9;
}

/** Reads everything, each event by the cursor. @returns Seconds. @throws If an event is missing or wrong. */
function readBack(directory: string, nextOffset: number): number {
  const reader = new LogReader(nodeFiles, directory, (damage) => {
    throw new Error(`Damage: ${JSON.stringify(damage)}`);
  });
  const cursor = new EventCursor();
  let expected = 0;
  const started = Bun.nanoseconds();
  for (let batch = reader.nextBatch(nextOffset); batch !== undefined; batch = reader.nextBatch(nextOffset)) {
    cursor.open(batch);
    while (cursor.next()) {
      if (cursor.offset !== expected || cursor.bodyBytes !== FRAME_BYTES - 4) {
        throw new Error(`Event ${expected} is wrong`);
      }
      expected++;
    }
  }
  const seconds = (Bun.nanoseconds() - started) / 1e9;
  if (expected !== nextOffset) throw new Error(`${expected} events were read instead of ${nextOffset}`);
  reader.close();
  return seconds;
}

function print(name: string, events: number, seconds: number): void {
  const perSecond = (events / seconds / 1e6).toFixed(2);
  const megabytes = (events * FRAME_BYTES / seconds / 1e6).toFixed(0);
  const nanoseconds = (seconds * 1e9 / events).toFixed(1);
  console.log(
    `${name.padEnd(34)} ${perSecond.padStart(7)} M events/s  ${
      megabytes.padStart(6)
    } MB/s  ${nanoseconds} ns/event`,
  );
}

function open(directory: string): LogWriter {
  const writer = LogWriter.open(
    nodeFiles,
    directory,
    OPTIONS,
    (damage) => console.log(JSON.stringify(damage)),
  );
  if (writer.failure !== undefined) throw writer.failure;
  return writer;
}

function timeOpen(name: string, directory: string, nextOffset: number): LogWriter {
  const started = Bun.nanoseconds();
  const writer = open(directory);
  const milliseconds = (Bun.nanoseconds() - started) / 1e6;
  if (writer.nextOffset !== nextOffset) {
    throw new Error(`Opened at ${writer.nextOffset} instead of ${nextOffset}`);
  }
  console.log(`${name.padEnd(34)} ${milliseconds.toFixed(1).padStart(7)} ms`);
  return writer;
}

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "2000000" },
    "batch-bytes": { type: "string", default: "262144" },
    "open-gib": { type: "string", default: "0" },
    dir: { type: "string", default: tmpdir() },
  },
});
const events = Number(values.events);
const batch = makeBatch(Number(values["batch-bytes"]));
const root = mkdtempSync(join(values.dir, "esc-bench-log-"));
try {
  console.log(
    `${cpus().length} x ${
      cpus()[0]?.model
    }, bun ${Bun.version}, ${FRAME_BYTES}-byte frames, batches of ${batch.bodyBytes} bytes`,
  );
  const synced = join(root, "synced");
  const writer = open(synced);
  const appendSeconds = fill(writer, batch, events, true);
  const { nextOffset } = writer;
  readBack(synced, nextOffset);
  const readSeconds = readBack(synced, nextOffset);
  print("append, a sync for each batch", nextOffset, appendSeconds);
  const lazy = open(join(root, "lazy"));
  const lazySeconds = fill(lazy, batch, events, false);
  print("append, one sync at the end", lazy.nextOffset, lazySeconds);
  print("read from the page cache", nextOffset, readSeconds);
  writer.close();
  lazy.close();
  timeOpen("open, closed before", synced, nextOffset).close();
  const bytes = Number(values["open-gib"]) * 2 ** 30;
  if (bytes > 0) {
    const large = join(root, "large");
    const filler = open(large);
    while (filler.bytes < bytes) fill(filler, batch, events, false);
    const end = filler.nextOffset;
    const reopened = timeOpen(`open ${values["open-gib"]} GiB, killed before`, large, end);
    reopened.close();
    timeOpen(`open ${values["open-gib"]} GiB, closed before`, large, end).close();
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
