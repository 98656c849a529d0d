/** Builds run records and batches for the log's tests, and reads events back in a comparable form. */

import { encodeFrame } from "../../src/event/encode.ts";
import { payloadEnd, payloadStart } from "../../src/event/ext.ts";
import { EventCursor, type LogBatch } from "../../src/log/batch.ts";
import { LOG_BATCH_HEADER_BYTES, writeU64 } from "../../src/log/format.ts";
import { LogReader } from "../../src/log/reader.ts";
import type { LogWriter } from "../../src/log/writer.ts";
import type { DamageReport } from "../../src/log/damage.ts";
import type { Files } from "../../src/log/files.ts";
import {
  ACKS_DURABLE,
  packOrigin,
  RUN_COUNT,
  RUN_HEADER_BYTES,
  RUN_LENGTH,
  RUN_ORIGIN,
  RUN_RECEIVED_LO,
} from "../../src/event/run.ts";

/** A buffer as a lane worker has it: room for the header, then the body. */
export interface Batch {
  readonly bytes: Uint8Array;
  readonly bodyBytes: number;
  readonly count: number;
  readonly receivedUs: number;
}

/** A batch of runs of events, each event given by its text. */
export function batchOf(runs: readonly (readonly string[])[], receivedUs: number = 1): Batch {
  return batchOfFrames(
    runs.map((run) => run.map((payload) => encodeFrame({ topic: "t", payload }))),
    receivedUs,
  );
}

/** A batch of runs of frames. In shared memory, as in a lane worker. */
export function batchOfFrames(runs: readonly (readonly Uint8Array[])[], receivedUs: number): Batch {
  const lengths = runs.map((run) => run.reduce((sum, frame) => sum + frame.length, RUN_HEADER_BYTES));
  const bodyBytes = lengths.reduce((sum, length) => sum + ((length + 7) & ~7), 0);
  const bytes = new Uint8Array(new SharedArrayBuffer(LOG_BATCH_HEADER_BYTES + bodyBytes));
  const words = new Int32Array(bytes.buffer);
  let at = LOG_BATCH_HEADER_BYTES;
  runs.forEach((run, index) => {
    const length = lengths[index] ?? 0;
    const word = at >> 2;
    words[word + RUN_LENGTH] = length;
    words[word + RUN_COUNT] = run.length;
    writeU64(words, word + RUN_RECEIVED_LO, receivedUs);
    words[word + RUN_ORIGIN] = packOrigin(0, 0, ACKS_DURABLE, 0);
    let frameAt = at + RUN_HEADER_BYTES;
    for (const frame of run) {
      bytes.set(frame, frameAt);
      frameAt += frame.length;
    }
    at += (length + 7) & ~7;
  });
  return { bytes, bodyBytes, count: runs.reduce((sum, run) => sum + run.length, 0), receivedUs };
}

/** Appends one batch of events. @returns Its first offset. */
export function append(writer: LogWriter, texts: readonly string[], receivedUs: number = 1): number {
  return appendBatch(writer, batchOf([texts], receivedUs));
}

export function appendBatch(writer: LogWriter, batch: Batch): number {
  return writer.append(batch.bytes, 0, batch.bodyBytes, batch.count, batch.receivedUs, batch.receivedUs, 0);
}

/** `offset:text` of every event of a batch. */
export function eventsOf(batch: LogBatch, fromOffset?: number): string[] {
  const cursor = new EventCursor();
  const texts: string[] = [];
  cursor.open(batch, fromOffset);
  while (cursor.next()) {
    const { bytes, frameAt } = cursor;
    const payload = bytes.slice(payloadStart(bytes, frameAt), payloadEnd(bytes, frameAt));
    texts.push(`${cursor.offset}:${new TextDecoder().decode(payload)}`);
  }
  return texts;
}

/** `offset:text` of everything from `fromOffset` up to `visibleOffset`. */
export function readAll(
  files: Files,
  directory: string,
  visibleOffset: number,
  options: { fromOffset?: number; report?: DamageReport } = {},
): string[] {
  const { fromOffset = 0, report = () => {} } = options;
  const reader = new LogReader(files, directory, report);
  reader.seek(fromOffset);
  const texts: string[] = [];
  for (;;) {
    const batch = reader.nextBatch(visibleOffset);
    if (batch === undefined) break;
    texts.push(...eventsOf(batch, fromOffset));
  }
  reader.close();
  return texts;
}
