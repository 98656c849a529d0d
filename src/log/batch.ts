/** What a reader hands out: one batch of the log, and a cursor over the events in it. */

import { EscError } from "../errors.ts";
import { FRAME_PREFIX_BYTES } from "../event/frame.ts";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_LENGTH, RUN_RECEIVED_LO } from "../event/run.ts";
import { readU64 } from "./format.ts";

/**
 * A batch in its reader's buffer, both checks passed. Reused: valid until the reader's next call.
 *
 * Its body holds run records (event/run.ts), each padded to 8 bytes, in `bytes[bodyAt, bodyEnd)`.
 */
export interface LogBatch {
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly words: Int32Array;
  readonly bodyAt: number;
  readonly bodyEnd: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly firstReceivedUs: number;
  readonly lastReceivedUs: number;
  /** `BATCH_HAS_IDS` */
  readonly flags: number;
}

/**
 * Walks the events of batches without allocating:
 *
 *     cursor.open(batch, fromOffset);
 *     while (cursor.next()) use(cursor.bytes, cursor.bodyAt, cursor.bodyBytes, cursor.offset);
 *
 * Reused from batch to batch; its fields are those of the event `next()` came to.
 */
export class EventCursor {
  bytes: Uint8Array = new Uint8Array(0);
  words: Int32Array = new Int32Array(0);
  /** Offset of the event. */
  offset = -1;
  /** Index of its frame (the length prefix). */
  frameAt = 0;
  /** Index of its body (the head byte), and the body's bytes. */
  bodyAt = 0;
  bodyBytes = 0;
  /** Index of the header of its run; its words are those of event/run.ts. */
  runAt = 0;
  /** When its run was read, microseconds since the Unix epoch. */
  receivedUs = 0;
  #end = 0;
  #runEnd = 0;
  #runLeft = 0;
  #nextRunAt = 0;
  #nextFrameAt = 0;

  /** Starts before the first event of `batch` with an offset of at least `fromOffset`. */
  open(batch: LogBatch, fromOffset: number = batch.baseOffset): void {
    this.bytes = batch.bytes;
    this.words = batch.words;
    this.offset = batch.baseOffset - 1;
    this.#end = batch.bodyEnd;
    this.#nextRunAt = batch.bodyAt;
    this.#runLeft = 0;
    while (this.offset + 1 < fromOffset && this.#skip(fromOffset)) { /* whole runs, then single events */ }
  }

  /** Steps over one run that lies before `fromOffset`, or over one event of the run it lies in. */
  #skip(fromOffset: number): boolean {
    if (this.#runLeft > 0) return this.next();
    const at = this.#nextRunAt;
    if (at >= this.#end) return false;
    const count = this.words[(at >> 2) + RUN_COUNT] as number;
    if (this.offset + count >= fromOffset) return this.next();
    this.offset += count;
    this.#nextRunAt = at + (((this.words[(at >> 2) + RUN_LENGTH] as number) + 7) & ~7);
    return true;
  }

  /**
   * Steps to the next event.
   *
   * @returns `false` at the end of the batch.
   * @throws {EscError} `LOG_CORRUPT` if the body passed its check and still makes no sense: its writer
   *   had a bug. Nothing outside the batch is read even then.
   */
  next(): boolean {
    if (this.#runLeft === 0 && !this.#enterRun()) return false;
    const at = this.#nextFrameAt;
    const { bytes } = this;
    const bodyBytes = ((bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 |
      (bytes[at + 2] as number) << 8 | (bytes[at + 3] as number)) >>> 0;
    this.#nextFrameAt = at + FRAME_PREFIX_BYTES + bodyBytes;
    if (this.#nextFrameAt > this.#runEnd) throw nonsense(this.offset + 1);
    this.frameAt = at;
    this.bodyAt = at + FRAME_PREFIX_BYTES;
    this.bodyBytes = bodyBytes;
    this.#runLeft--;
    this.offset++;
    return true;
  }

  #enterRun(): boolean {
    const at = this.#nextRunAt;
    if (at >= this.#end) return false;
    const { words } = this;
    const word = at >> 2;
    const length = (words[word + RUN_LENGTH] as number) >>> 0;
    this.#runLeft = words[word + RUN_COUNT] as number;
    this.#runEnd = at + length;
    if (length <= RUN_HEADER_BYTES || this.#runEnd > this.#end || this.#runLeft <= 0) {
      throw nonsense(this.offset + 1);
    }
    this.runAt = at;
    this.receivedUs = readU64(words, word + RUN_RECEIVED_LO);
    this.#nextFrameAt = at + RUN_HEADER_BYTES;
    this.#nextRunAt = at + ((length + 7) & ~7);
    return true;
  }
}

function nonsense(offset: number): EscError {
  return new EscError(
    "LOG_CORRUPT",
    `Cannot read event ${offset}: its run and its frames do not fit each other`,
  );
}
