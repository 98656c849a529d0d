/**
 * One subscription's place in one shard: finds the next stretch of consecutive matching events.
 *
 * A stretch never leaves its run, so all of it has one `received_us` and lies in one piece of memory:
 * it can be copied with one `set`. Stretches that do not match are stepped over and never looked at
 * again, also when the subscriber takes nothing for a while.
 *
 * Owned by one subscription; no allocation per event.
 */
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_LENGTH, RUN_RECEIVED_LO } from "../event/run.ts";
import type { TopicMatcher } from "../event/topic.ts";
import type { LogBatch } from "../log/batch.ts";
import { readU64 } from "../log/format.ts";
import type { ShardTails } from "./tail.ts";

/** Nothing to read now. */
export const SCAN_END = 0;
/** A stretch was found; the cursor is behind it. */
export const SCAN_FOUND = 1;
/** The next matching event alone is larger than `bytesMax`; the cursor is before it. */
export const SCAN_TOO_LARGE = 2;
/** Much was read and nothing matched: let others have their turn, then go on. */
export const SCAN_YIELD = 3;

/** Bytes of unmatching events after which a scan gives way. At 1 GB/s: 4 ms. */
export const SCAN_BYTES_MAX = 4 * 1024 * 1024;

export class ShardCursor {
  readonly shardIndex: number;
  /** Offset of the next event not looked at. */
  position: number;

  // The stretch found by the last scan; valid until the next scan of this thread.
  bytes: Uint8Array;
  /** First byte of its first frame, and the byte after its last. */
  at = 0;
  end = 0;
  baseOffset = 0;
  count = 0;
  receivedUs = 0;

  readonly #tails: ShardTails;
  readonly #patterns: TopicMatcher;
  /** Where `position` lies in its batch, relative to the batch's body: batches move in memory. */
  #batchBase = -1;
  #runAt = 0;
  #runEnd = 0;
  #runOffsetEnd = 0;
  #frameAt = 0;
  #scannedBytes = 0;

  constructor(tails: ShardTails, shardIndex: number, patterns: TopicMatcher, position: number) {
    this.#tails = tails;
    this.shardIndex = shardIndex;
    this.#patterns = patterns;
    this.position = position;
    this.bytes = EMPTY;
  }

  /** Whether events wait that were not looked at. */
  isBehind(): boolean {
    return this.position < this.#tails.visibleOffset(this.shardIndex);
  }

  /**
   * Steps to the next stretch of matching events.
   *
   * @param bytesMax Most bytes of frames in it.
   * @param countMax Most events in it, ≥ 1.
   * @returns One of SCAN_*; the stretch is in the cursor's fields after SCAN_FOUND.
   */
  scan(bytesMax: number, countMax: number): number {
    this.#scannedBytes = 0;
    for (;;) {
      // The end lies before only after a failed disk took back events that were visible.
      const visible = this.#tails.visibleOffset(this.shardIndex);
      if (this.position > visible) this.position = visible;
      const batch = this.#tails.batchAt(this.shardIndex, this.position);
      if (batch === undefined) {
        // Damage up to the end is not looked at again.
        this.position = Math.max(this.position, this.#tails.lookedTo);
        return SCAN_END;
      }
      if (batch.baseOffset !== this.#batchBase || this.position < batch.baseOffset) this.#enter(batch);
      while (this.position < batch.baseOffset + batch.count) {
        if (this.position === this.#runOffsetEnd) this.#enterRun(batch, this.#runEnd);
        const result = this.#patterns.matchesAll
          ? this.#takeAll(batch, bytesMax, countMax)
          : this.#takeMatching(batch, bytesMax, countMax);
        if (result !== SCAN_END) return result;
      }
      if (this.#scannedBytes > SCAN_BYTES_MAX) return SCAN_YIELD;
    }
  }

  /** Finds `position` in a batch it was not in before. */
  #enter(batch: LogBatch): void {
    // Retention or damage may have taken what lay before.
    if (this.position < batch.baseOffset) this.position = batch.baseOffset;
    const wanted = this.position;
    this.#batchBase = batch.baseOffset;
    this.position = batch.baseOffset;
    this.#enterRun(batch, 0);
    while (this.#runOffsetEnd <= wanted) {
      this.position = this.#runOffsetEnd;
      this.#enterRun(batch, this.#runEnd);
    }
    while (this.position < wanted) {
      const at = batch.bodyAt + this.#frameAt;
      this.#frameAt += 4 + readU32(batch.bytes, at);
      this.position++;
    }
  }

  /** Stands before the first event of the run at `runAt`; `position` is its offset. */
  #enterRun(batch: LogBatch, runAt: number): void {
    const word = (batch.bodyAt + runAt) >> 2;
    this.#runAt = runAt;
    this.#runEnd = runAt + (((batch.words[word + RUN_LENGTH] as number) + 7) & ~7);
    this.#runOffsetEnd = this.position + (batch.words[word + RUN_COUNT] as number);
    this.#frameAt = runAt + RUN_HEADER_BYTES;
  }

  #takeAll(batch: LogBatch, bytesMax: number, countMax: number): number {
    const word = (batch.bodyAt + this.#runAt) >> 2;
    const at = batch.bodyAt + this.#frameAt;
    const end = batch.bodyAt + this.#runAt + (batch.words[word + RUN_LENGTH] as number);
    const count = this.#runOffsetEnd - this.position;
    if (end - at <= bytesMax && count <= countMax) {
      this.#found(batch, at, end, this.position, count);
      return SCAN_FOUND;
    }
    const bytes = batch.bytes;
    let cut = at;
    let taken = 0;
    while (taken < countMax && taken < count) {
      const next = cut + 4 + readU32(bytes, cut);
      if (next - at > bytesMax) break;
      cut = next;
      taken++;
    }
    if (taken === 0) return SCAN_TOO_LARGE;
    this.#found(batch, at, cut, this.position, taken);
    return SCAN_FOUND;
  }

  /** SCAN_END here means: nothing more in this run. */
  #takeMatching(batch: LogBatch, bytesMax: number, countMax: number): number {
    const { bytes } = batch;
    const patterns = this.#patterns;
    const offsetEnd = this.#runOffsetEnd;
    let offset = this.position;
    let frame = batch.bodyAt + this.#frameAt;
    const scanStart = frame;
    let start = -1;
    let count = 0;
    let topicAt = -1;
    let topicBytes = 0;
    let isMatch = false;
    while (offset < offsetEnd) {
      const next = frame + 4 + readU32(bytes, frame);
      const length = ((bytes[frame + 5] as number) << 8) | (bytes[frame + 6] as number);
      // Producers repeat themselves: comparing with the last topic is cheaper than matching again.
      if (topicAt < 0 || length !== topicBytes || !isSame(bytes, topicAt, frame + 7, length)) {
        isMatch = patterns.matches(bytes, frame + 7, length);
        topicAt = frame + 7;
        topicBytes = length;
      }
      if (isMatch) {
        if (start < 0) {
          if (next - frame > bytesMax) {
            this.#moveTo(batch, frame, offset);
            return SCAN_TOO_LARGE;
          }
          start = frame;
        } else if (next - start > bytesMax || count === countMax) {
          break;
        }
        count++;
      } else if (start >= 0) {
        break;
      }
      frame = next;
      offset++;
    }
    if (start < 0) {
      this.#scannedBytes += frame - scanStart;
      this.#moveTo(batch, frame, offset);
      return SCAN_END;
    }
    this.#found(batch, start, frame, offset - count, count);
    return SCAN_FOUND;
  }

  #found(batch: LogBatch, at: number, end: number, baseOffset: number, count: number): void {
    const word = (batch.bodyAt + this.#runAt) >> 2;
    this.bytes = batch.bytes;
    this.at = at;
    this.end = end;
    this.baseOffset = baseOffset;
    this.count = count;
    this.receivedUs = readU64(batch.words, word + RUN_RECEIVED_LO);
    this.#moveTo(batch, end, baseOffset + count);
  }

  #moveTo(batch: LogBatch, frame: number, offset: number): void {
    this.#frameAt = frame - batch.bodyAt;
    this.position = offset;
  }
}

const EMPTY = new Uint8Array(0);

/** Reads an unsigned 32-bit number, big-endian. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}

function isSame(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (bytes[a + i] !== bytes[b + i]) return false;
  }
  return true;
}
