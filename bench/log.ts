/**
 * The log alone: append with and without a sync a batch, beside what the bare file does with the same bytes, and
 * reading everything back. Every event is read and compared.
 */
import { closeSync, existsSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeFrame } from "../src/event/encode.ts";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_LENGTH, RUN_RECEIVED_LO } from "../src/event/run.ts";
import { EventCursor } from "../src/log/batch.ts";
import { LOG_BATCH_HEADER_BYTES, writeU64 } from "../src/log/format.ts";
import { nodeFiles } from "../src/log/node-files.ts";
import { LogReader } from "../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT } from "../src/log/segment.ts";
import { LogWriter } from "../src/log/writer.ts";
import { preallocate } from "../src/system/fallocate.ts";
import { type Benchmark, type Sample, scaled } from "./benchmark.ts";

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

const BATCH_BYTES = 256 * 1024;
const EVENTS = 1_000_000;

export const log: Benchmark = {
  summary: "log: append, sync, read back, and the bare file beside it",
  open: (options) => {
    const events = scaled(EVENTS, options);
    const root = mkdtempSync(join(tmpdir(), "esc-bench-log-"));
    const batch = makeBatch(BATCH_BYTES);
    const batches = Math.ceil(events / batch.count);
    const written = join(root, "written");
    return [
      {
        name: "append, a sync for each batch of 256 KiB",
        round: () => inFolder(join(root, "synced"), (folder) => fill(folder, batch, batches, true)),
        close: () => rmSync(root, { recursive: true, force: true }),
      },
      {
        name: "bare file: the same writes and syncs",
        round: () => inFolder(join(root, "bare"), (folder) => fillBare(folder, batch, batches)),
      },
      {
        name: "append, one sync at the end",
        round: () => inFolder(join(root, "lazy"), (folder) => fill(folder, batch, batches, false)),
      },
      { name: "read from the page cache, event by event", round: () => readBack(written, batch, batches) },
    ];
  },
};

function inFolder(folder: string, work: (folder: string) => Sample): Sample {
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fill(folder: string, batch: HandBatch, batches: number, syncEach: boolean): Sample {
  const writer = LogWriter.open(nodeFiles, folder, OPTIONS, () => {});
  if (writer.failure !== undefined) throw writer.failure;
  const nowUs = Date.now() * 1000;
  const startedNs = Bun.nanoseconds();
  for (let index = 0; index < batches; index++) {
    writer.append(batch.bytes, 0, batch.bodyBytes, batch.count, nowUs, nowUs, 0);
    if (syncEach) writer.sync();
  }
  writer.sync();
  const ns = Bun.nanoseconds() - startedNs;
  const operations = batches * batch.count;
  if (writer.durableOffset !== operations) {
    throw new Error(`${writer.durableOffset} of ${operations} are durable`);
  }
  writer.close();
  return { operations, ns, remark: throughput(operations, ns) };
}

/** What the disk does without a log: the physical limit of the first case. */
function fillBare(folder: string, batch: HandBatch, batches: number): Sample {
  const file = openSync(`${folder}.bin`, "w");
  try {
    preallocate(file, batches * batch.bytes.length);
    fdatasyncSync(file);
    const startedNs = Bun.nanoseconds();
    for (let index = 0; index < batches; index++) {
      writeSync(file, batch.bytes, 0, batch.bytes.length, index * batch.bytes.length);
      fdatasyncSync(file);
    }
    const ns = Bun.nanoseconds() - startedNs;
    const operations = batches * batch.count;
    return { operations, ns, remark: throughput(operations, ns) };
  } finally {
    closeSync(file);
    rmSync(`${folder}.bin`);
  }
}

/** Reads everything, each event by the cursor. */
function readBack(folder: string, batch: HandBatch, batches: number): Sample {
  const { operations } = existsSync(folder)
    ? { operations: batches * batch.count }
    : fill(folder, batch, batches, false);
  const reader = new LogReader(nodeFiles, folder, (damage) => {
    throw new Error(`Damage: ${JSON.stringify(damage)}`);
  });
  const cursor = new EventCursor();
  let expected = 0;
  const startedNs = Bun.nanoseconds();
  for (let next = reader.nextBatch(operations); next !== undefined; next = reader.nextBatch(operations)) {
    cursor.open(next);
    while (cursor.next()) {
      if (cursor.offset !== expected || cursor.bodyBytes !== FRAME_BYTES - 4) {
        throw new Error(`Event ${expected} is wrong`);
      }
      expected++;
    }
  }
  const ns = Bun.nanoseconds() - startedNs;
  reader.close();
  if (expected !== operations) throw new Error(`${expected} events were read instead of ${operations}`);
  return { operations, ns, remark: throughput(operations, ns) };
}

function throughput(events: number, ns: number): string {
  return `${(events * FRAME_BYTES * 1000 / ns).toFixed(0)} MB/s`;
}
