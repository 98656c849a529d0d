/**
 * Walks the runs in hand: which events are new, which are duplicates, what the batch amounts to.
 *
 * Runs without message ids cost one look at their header. The order of the hand is the order of the log:
 * new events get the offsets from `baseOffset` on. Lane worker thread only.
 */
import { findTag, frameLength } from "../event/ext.ts";
import { TAG_ID } from "../event/frame.ts";
import {
  ACKS_DURABLE,
  RUN_COUNT,
  RUN_HAS_IDS,
  RUN_HEADER_BYTES,
  RUN_LENGTH,
  RUN_ORIGIN,
  RUN_RECEIVED_HI,
  RUN_RECEIVED_LO,
} from "../event/run.ts";
import { align8 } from "../queue/ring.ts";
import { type Dedup, UNKNOWN_ID } from "./dedup.ts";
import { hashId } from "./id-hash.ts";

/** Runs without duplicates need no answer event by event. */
const ALL_NEW = -1;

export class Sift {
  /** Runs in hand, and for each: where it lies, offset of its first new event, how many are new. */
  runCount = 0;
  runAt = new Int32Array(256);
  runOffset = new Float64Array(256);
  runStored = new Int32Array(256);
  /** For each run: where its events' offsets begin in `eventOffsets`, or -1 when all of it is new. */
  runEvents = new Int32Array(256);
  /** Offset of each event of runs with duplicates: below `baseOffset` or repeated for a duplicate. */
  eventOffsets = new Float64Array(1024);
  baseOffset = 0;
  /** New events, and duplicates. */
  stored = 0;
  duplicates = 0;
  receivedMinUs = 0;
  receivedMaxUs = 0;
  hasIds = false;
  /** At least one producer waits for its events to be durable. */
  wantsDurable = false;
  #eventCount = 0;
  readonly #hash = new Int32Array(2);

  /**
   * @param bytes The hand. @param words The same memory.
   * @param from First run. @param to Behind the last, padding included.
   * @param dedup Learns the new ids. `undefined`: every event is new.
   */
  walk(
    bytes: Uint8Array,
    words: Int32Array,
    from: number,
    to: number,
    baseOffset: number,
    dedup: Dedup | undefined,
  ): void {
    this.baseOffset = baseOffset;
    this.runCount =
      this.stored =
      this.duplicates =
      this.#eventCount =
        0;
    this.receivedMinUs = Infinity;
    this.receivedMaxUs = 0;
    this.hasIds = this.wantsDurable = false;
    for (let at = from; at < to;) {
      const word = at >> 2;
      const length = words[word + RUN_LENGTH] as number;
      const origin = words[word + RUN_ORIGIN] as number;
      const receivedUs = runReceivedUs(words, at);
      if (receivedUs < this.receivedMinUs) this.receivedMinUs = receivedUs;
      if (receivedUs > this.receivedMaxUs) this.receivedMaxUs = receivedUs;
      if (((origin >>> 16) & 0xff) === ACKS_DURABLE) this.wantsDurable = true;
      if (this.runCount === this.runAt.length) this.#growRuns();
      this.runAt[this.runCount] = at;
      this.runOffset[this.runCount] = baseOffset + this.stored;
      this.runEvents[this.runCount] = ALL_NEW;
      const events = words[word + RUN_COUNT] as number;
      let stored = events;
      if (((origin >>> 24) & RUN_HAS_IDS) !== 0) {
        this.hasIds = true;
        if (dedup !== undefined) {
          stored = this.#walkIds(bytes, at + RUN_HEADER_BYTES, at + length, receivedUs, dedup);
        }
      }
      this.runStored[this.runCount] = stored;
      this.runCount++;
      this.stored += stored;
      this.duplicates += events - stored;
      at += align8(length);
    }
  }

  /** @returns New events among the frames. */
  #walkIds(bytes: Uint8Array, from: number, to: number, receivedUs: number, dedup: Dedup): number {
    const hash = this.#hash;
    const firstEvent = this.#eventCount;
    const firstOffset = this.baseOffset + this.stored;
    let next = firstOffset;
    let hasDuplicates = false;
    for (let at = from; at < to; at += frameLength(bytes, at)) {
      let offset = next;
      const id = findTag(bytes, at, TAG_ID);
      if (id !== undefined) {
        hashId(bytes, id.start, id.length, hash);
        const known = dedup.find(hash[0] as number, hash[1] as number);
        if (known === UNKNOWN_ID) dedup.add(hash[0] as number, hash[1] as number, next, receivedUs);
        else offset = known;
      }
      if (this.#eventCount === this.eventOffsets.length) this.eventOffsets = grown(this.eventOffsets);
      this.eventOffsets[this.#eventCount++] = offset;
      if (offset === next) next++;
      else hasDuplicates = true;
    }
    if (hasDuplicates) this.runEvents[this.runCount] = firstEvent;
    else this.#eventCount = firstEvent;
    return next - firstOffset;
  }

  /**
   * Writes the runs again with their new events only.
   *
   * @param at Index of the first run's new place, a multiple of 8; the memory there is not part of the hand.
   * @returns Bytes written, padding included.
   */
  rewrite(bytes: Uint8Array, words: Int32Array, at: number): number {
    let end = at;
    for (let run = 0; run < this.runCount; run++) {
      const stored = this.runStored[run] as number;
      if (stored === 0) continue;
      const from = this.runAt[run] as number;
      const length = words[(from >> 2) + RUN_LENGTH] as number;
      if (this.runEvents[run] === ALL_NEW) {
        bytes.copyWithin(end, from, from + align8(length));
        end += align8(length);
      } else {
        end = this.#rewriteRun(bytes, words, run, end);
      }
    }
    return end - at;
  }

  #rewriteRun(bytes: Uint8Array, words: Int32Array, run: number, to: number): number {
    const from = this.runAt[run] as number;
    const runEnd = from + (words[(from >> 2) + RUN_LENGTH] as number);
    bytes.copyWithin(to, from, from + RUN_HEADER_BYTES);
    let end = to + RUN_HEADER_BYTES;
    let event = this.runEvents[run] as number;
    let next = this.runOffset[run] as number;
    for (let at = from + RUN_HEADER_BYTES; at < runEnd; event++) {
      const length = frameLength(bytes, at);
      if (this.eventOffsets[event] === next) {
        bytes.copyWithin(end, at, at + length);
        end += length;
        next++;
      }
      at += length;
    }
    words[(to >> 2) + RUN_LENGTH] = end - to;
    words[(to >> 2) + RUN_COUNT] = this.runStored[run] as number;
    const padded = to + align8(end - to);
    bytes.fill(0, end, padded);
    return padded;
  }

  #growRuns(): void {
    this.runAt = grownInts(this.runAt);
    this.runStored = grownInts(this.runStored);
    this.runEvents = grownInts(this.runEvents);
    this.runOffset = grown(this.runOffset);
  }
}

/** When the run at `at` was read, microseconds since the Unix epoch. */
export function runReceivedUs(words: Int32Array, at: number): number {
  const word = at >> 2;
  const low = (words[word + RUN_RECEIVED_LO] as number) >>> 0;
  return ((words[word + RUN_RECEIVED_HI] as number) >>> 0) * 4294967296 + low;
}

// At most as large as the hand has room for events: 12 bytes each.
function grown(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2);
  larger.set(values);
  return larger;
}

function grownInts(values: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(values.length * 2);
  larger.set(values);
  return larger;
}
