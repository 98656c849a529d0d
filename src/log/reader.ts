/**
 * Reads a shard's log from any offset or time, on any thread, while its writer appends.
 *
 * Each reader has its own files and buffer and shares nothing with the writer but the files: it never
 * reads past the visible offset that the caller passes in (from `ShardState`), checks every batch, and
 * steps over damage and removed segments with a report of the exact offsets.
 *
 * nextOffset ≤ offsets in the buffer that may be used = visible when it was read ≤ visible now
 */

import { RUN_COUNT, RUN_LENGTH, RUN_RECEIVED_LO } from "../event/run.ts";
import type { LogBatch } from "./batch.ts";
import type { DamageKind, DamageReport } from "./damage.ts";
import { fileErrorCode, type Files } from "./files.ts";
import {
  batchBaseOffset,
  batchCount,
  batchFirstReceivedUs,
  batchFlags,
  batchLastReceivedUs,
  batchLength,
  LOG_BATCH_HEADER_BYTES,
  readU64,
  SEGMENT_HEADER_BYTES,
} from "./format.ts";
import { type IndexEntry, readIndex } from "./index-file.ts";
import { listSegments, segmentIndexOf, segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/** The one `LogBatch` of a reader. */
class BatchView implements LogBatch {
  bytes: Uint8Array = new Uint8Array(0);
  words: Int32Array = new Int32Array(0);
  bodyAt = 0;
  bodyEnd = 0;
  baseOffset = 0;
  count = 0;
  firstReceivedUs = 0;
  lastReceivedUs = 0;
  flags = 0;
}

/**
 * A reading position in one shard's log. Opens files read-only, and only when something is to be read.
 *
 * Methods throw the file system's error when the folder or a segment cannot be read at all, and
 * `LOG_VERSION` for a segment of a newer esc.
 */
export class LogReader {
  readonly #files: Files;
  readonly #directory: string;
  readonly #report: DamageReport;
  readonly #window: SegmentWindow;
  readonly #batch = new BatchView();
  /** Base offset of the open segment. */
  #base = -1;
  /** Base offset of the segment behind it, as far as known when it was opened. */
  #limit = Infinity;
  #position = 0;
  #next = 0;
  /** What the buffer holds is good below this offset only: the rest was read while being written. */
  #goodBelow = 0;
  #isLocated = false;
  readonly #flagsWanted: number;

  /**
   * @param report Is told of damage and of removed offsets, whenever this reader meets them.
   * @param flagsWanted Batches without all of these flags are passed over by their header, and not read.
   */
  constructor(files: Files, directory: string, report: DamageReport, flagsWanted = 0) {
    this.#files = files;
    this.#directory = directory;
    this.#report = report;
    this.#flagsWanted = flagsWanted;
    this.#window = new SegmentWindow(files);
  }

  /** Offset of the first event the next batch may begin with. */
  get nextOffset(): number {
    return this.#next;
  }

  /** Goes to `offset`. Costs nothing until a batch is asked for; may lie in the future. */
  seek(offset: number): void {
    this.#next = offset;
    this.#isLocated = false;
  }

  /**
   * Goes to the first event received at or after `timeUs`, as exactly as runs are stamped.
   *
   * Times ascend as far as the machine's clock does; where it was set back, an event may be missed by as much.
   *
   * @param timeUs Microseconds since the Unix epoch.
   * @returns Its offset; `visibleOffset` if all that is visible was received before.
   */
  seekTime(timeUs: number, visibleOffset: number): number {
    const bases = listSegments(this.#files, this.#directory);
    // A segment is created after everything in the one before it was received.
    let low = 0;
    let high = bases.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#open(bases, middle) && (this.#window.header?.createdUs ?? Infinity) <= timeUs) {
        low = middle + 1;
      } else high = middle;
    }
    const index = Math.max(0, low - 1);
    if (bases.length > 0 && this.#open(bases, index)) {
      const entry = this.#lastEntry((entry) => entry.receivedUsMax < timeUs);
      this.seek(entry?.offset ?? this.#base);
    } else this.seek(0);
    this.seek(this.#scanTo(timeUs, visibleOffset));
    return this.#next;
  }

  #scanTo(timeUs: number, visibleOffset: number): number {
    for (;;) {
      const batch = this.nextBatch(visibleOffset);
      if (batch === undefined) return visibleOffset;
      if (batch.lastReceivedUs < timeUs) continue;
      let offset = batch.baseOffset;
      for (let at = batch.bodyAt; at < batch.bodyEnd;) {
        const word = at >> 2;
        if (readU64(batch.words, word + RUN_RECEIVED_LO) >= timeUs) return offset;
        offset += batch.words[word + RUN_COUNT] as number;
        at += ((batch.words[word + RUN_LENGTH] as number) + 7) & ~7;
      }
    }
  }

  /**
   * The next batch that is visible and whole, or `undefined` when there is none below `visibleOffset`.
   *
   * After `seek()` into the middle of a batch the batch also holds events before that offset: give the
   * offset to `EventCursor.open()`.
   *
   * @param visibleOffset From the shard's state. Never smaller than in the call before.
   * @returns A view that is valid until the next call.
   */
  nextBatch(visibleOffset: number): LogBatch | undefined {
    const window = this.#window;
    while (this.#next < visibleOffset) {
      if (!this.#isLocated) {
        this.#locate(visibleOffset);
        continue;
      }
      if (this.#next >= this.#goodBelow) this.#refresh(visibleOffset);
      const position = this.#position;
      const at = window.headerAt(position);
      const baseOffset = at < 0 ? -1 : batchBaseOffset(window.words, at);
      const endOffset = at < 0 ? -1 : baseOffset + batchCount(window.words, at);
      if (baseOffset > this.#next || endOffset <= this.#next || baseOffset >= this.#limit) {
        this.#findWay(visibleOffset);
        continue;
      }
      if (endOffset > visibleOffset) return undefined;
      if (endOffset > this.#goodBelow) {
        this.#refresh(visibleOffset);
        continue;
      }
      const length = batchLength(window.words, at);
      const isWanted = (batchFlags(window.words, at) & this.#flagsWanted) === this.#flagsWanted;
      const batchAt = isWanted ? window.batchAt(position) : -1;
      this.#position = position + length;
      const fromOffset = this.#next;
      this.#next = endOffset;
      if (!isWanted) continue;
      if (batchAt >= 0) return this.#view(batchAt, length);
      this.#tell("corrupt", position, length, fromOffset, endOffset);
    }
    return undefined;
  }

  /** Drops what was read when less was visible: the writer may have been in the middle of it. */
  #refresh(visibleOffset: number): void {
    this.#window.forget();
    this.#goodBelow = visibleOffset;
  }

  #view(at: number, length: number): LogBatch {
    const { bytes, words } = this.#window;
    const batch = this.#batch;
    batch.bytes = bytes;
    batch.words = words;
    batch.bodyAt = at + LOG_BATCH_HEADER_BYTES;
    batch.bodyEnd = at + length;
    batch.baseOffset = batchBaseOffset(words, at);
    batch.count = batchCount(words, at);
    batch.firstReceivedUs = batchFirstReceivedUs(words, at);
    batch.lastReceivedUs = batchLastReceivedUs(words, at);
    batch.flags = batchFlags(words, at);
    return batch;
  }

  /** Opens the segment that `#next` lies in and goes to the batch that holds it, or to where it should be. */
  #locate(visibleOffset: number): void {
    const bases = listSegments(this.#files, this.#directory);
    let index = segmentIndexOf(bases, this.#next);
    if (index < 0) {
      const first = bases[0] ?? visibleOffset;
      this.#tell("removed", 0, 0, this.#next, Math.min(first, visibleOffset));
      this.#next = Math.min(first, visibleOffset);
      if (this.#next >= visibleOffset) return;
      index = 0;
    }
    if (!this.#open(bases, index)) return;
    this.#goodBelow = visibleOffset;
    const entry = this.#lastEntry((entry) => entry.offset <= this.#next);
    this.#walkTo(entry?.position ?? SEGMENT_HEADER_BYTES);
    this.#isLocated = true;
  }

  /** Opens a segment. @returns `false` if retention was quicker: list again. */
  #open(bases: readonly number[], index: number): boolean {
    this.#base = bases[index] as number;
    this.#limit = bases[index + 1] ?? Infinity;
    this.#position = SEGMENT_HEADER_BYTES;
    this.#isLocated = false;
    const path = segmentPath(this.#directory, this.#base, "log");
    try {
      this.#window.open(path);
    } catch (error) {
      if (fileErrorCode(error) === "ENOENT") return false;
      throw error;
    }
    if (this.#window.header === undefined) {
      this.#tell("header", 0, SEGMENT_HEADER_BYTES, this.#base, this.#base);
    }
    return true;
  }

  /** The last index entry that `isBefore` accepts and the segment itself confirms. */
  #lastEntry(isBefore: (entry: IndexEntry) => boolean): IndexEntry | undefined {
    const window = this.#window;
    const path = segmentPath(this.#directory, this.#base, "idx");
    const index = readIndex(this.#files, path, this.#base, window.salt);
    return index?.entries.findLast((entry) => {
      if (!isBefore(entry)) return false;
      const at = window.headerAt(entry.position);
      return at >= 0 && batchBaseOffset(window.words, at) === entry.offset;
    });
  }

  /** Walks headers from `position` to the batch that ends behind `#next`, past damage that lies before it. */
  #walkTo(position: number): void {
    const window = this.#window;
    for (let from = position;;) {
      this.#position = from;
      let at = window.headerAt(from);
      if (at < 0) {
        from = window.findBatch(from + 8, 0);
        // Damage that may hold the offset sought: `nextBatch` meets it and reports it.
        if (from < 0) return;
        at = window.headerAt(from);
        if (batchBaseOffset(window.words, at) > this.#next) return;
        continue;
      }
      if (batchBaseOffset(window.words, at) + batchCount(window.words, at) > this.#next) return;
      from += batchLength(window.words, at);
    }
  }

  /** There is no batch with `#next` at the position: the segment ends here, was replaced, or is damaged. */
  #findWay(visibleOffset: number): void {
    const bases = listSegments(this.#files, this.#directory);
    const index = segmentIndexOf(bases, this.#next);
    const isOther = index < 0 || bases[index] !== this.#base || this.#wasReplaced();
    if (isOther) {
      this.#isLocated = false;
      return;
    }
    this.#limit = bases[index + 1] ?? Infinity;
    const limit = Math.min(this.#limit, visibleOffset);
    const window = this.#window;
    this.#refresh(visibleOffset);
    const position = this.#position;
    const found = window.findBatch(position, this.#next);
    const foundBase = found < 0 ? Infinity : batchBaseOffset(window.words, window.headerAt(found));
    if (foundBase === this.#next) {
      // Came into being between two looks, or lies behind damage that held no offsets.
      if (found > position) this.#tell("corrupt", position, found - position, this.#next, this.#next);
      this.#position = found;
      return;
    }
    const from = this.#next;
    this.#next = Math.min(foundBase, limit);
    // A batch of the next segment's offsets is what a failed log could not cut off any more: no damage, and not ours.
    const end = found >= 0 ? found : window.endOfData(position);
    this.#tell(end > position ? "corrupt" : "missing", position, end - position, from, this.#next);
    if (foundBase < limit) this.#position = found;
  }

  /** Whether the name of the open segment now means another file (a failed one was replaced). */
  #wasReplaced(): boolean {
    const { salt } = this.#window;
    const other = new SegmentWindow(this.#files);
    try {
      other.open(this.#window.path);
      return other.salt?.lo !== salt?.lo || other.salt?.hi !== salt?.hi;
    } catch (error) {
      if (fileErrorCode(error) === "ENOENT") return true;
      throw error;
    } finally {
      other.close();
    }
  }

  #tell(kind: DamageKind, position: number, bytes: number, fromOffset: number, toOffset: number): void {
    this.#report({ kind, file: this.#window.path || this.#directory, position, bytes, fromOffset, toOffset });
  }

  /** Closes the open file. The reader can still be used and opens it again. */
  close(): void {
    this.#window.close();
    this.#isLocated = false;
    this.#base = -1;
  }
}
