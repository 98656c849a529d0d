/**
 * Lists the message ids of the newest part of a log, newest first, to rebuild a deduplication table at start: from
 * the id files where they are good, from the log itself where they are not.
 *
 * Newest first, because a table has an end: a start reads as much as the table holds, however much log there is.
 */

import { findTag } from "../event/ext.ts";
import { TAG_ID } from "../event/frame.ts";
import { EventCursor } from "./batch.ts";
import type { DamageReport } from "./damage.ts";
import { fileErrorCode, type Files } from "./files.ts";
import { BATCH_HAS_IDS, type Salt } from "./format.ts";
import { IdFile, type IdSink, type OffsetRange } from "./id-file.ts";
import { readIndex } from "./index-file.ts";
import { NewestIds } from "./newest-ids.ts";
import { LogReader } from "./reader.ts";
import { listSegments, segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/** Index entries that a piece of the log spans when its ids are read from it: some MiB. */
const PIECE_ENTRIES = 64;

/** Which ids are wanted. */
export interface IdQuery {
  /** Number of the hash function, as in `LogOptions.idHash`: files of another are not used. */
  readonly hash: number;
  /** The function: takes `bytes[start, start + length)`, leaves the low and the high word. */
  readonly hashId: (bytes: Uint8Array, start: number, length: number, words: Int32Array) => void;
  /** Ids received before are not needed; some may be visited all the same. */
  readonly fromUs: number;
  /** `LogWriter.nextOffset` after opening. */
  readonly endOffset: number;
  /** More are not needed. */
  readonly countMax: number;
}

interface IdSegment extends OffsetRange {
  readonly salt: Salt | undefined;
}

/**
 * Visits the message ids of the log received at or after `fromUs`, newest first, until `sink` has enough.
 *
 * Lane worker, at start, after `LogWriter.open()`. Reads only id files and batches that may hold ids.
 */
export function visitIds(
  files: Files,
  directory: string,
  query: IdQuery,
  sink: IdSink,
  report: DamageReport,
): void {
  const scan = new LogScan(files, directory, query, report);
  try {
    for (const segment of newestSegments(files, directory, query)) {
      if (!visitSegment(files, directory, { segment, query, scan }, sink)) return;
    }
  } finally {
    scan.close();
  }
}

/** Segments that may hold events received at or after `fromUs`, newest first. */
function* newestSegments(
  files: Files,
  directory: string,
  { fromUs, endOffset }: IdQuery,
): Generator<IdSegment> {
  const bases = listSegments(files, directory);
  const window = new SegmentWindow(files);
  try {
    for (let index = bases.length - 1; index >= 0; index--) {
      const fromOffset = bases[index] as number;
      try {
        window.open(segmentPath(directory, fromOffset, "log"));
      } catch (error) {
        // Retention was quicker: what it removed is not wanted.
        if (fileErrorCode(error) === "ENOENT") return;
        throw error;
      }
      const { salt, header } = window;
      yield { fromOffset, toOffset: Math.min(bases[index + 1] ?? endOffset, endOffset), salt };
      // Everything in the segments before was received before this one was begun.
      if ((header?.createdUs ?? Infinity) <= fromUs) return;
    }
  } finally {
    window.close();
  }
}

/** @returns `false` when the sink has enough. */
function visitSegment(
  files: Files,
  directory: string,
  { segment, query, scan }: {
    readonly segment: IdSegment;
    readonly query: IdQuery;
    readonly scan: LogScan;
  },
  sink: IdSink,
): boolean {
  const { fromOffset, toOffset, salt } = segment;
  if (salt === undefined) return scan.visit(segment, segment, sink);
  const owner = { baseOffset: fromOffset, salt, hash: query.hash };
  const file = IdFile.open(files, segmentPath(directory, fromOffset, "ids"), owner, toOffset);
  let end = toOffset;
  try {
    for (const block of file?.blocks.toReversed() ?? []) {
      if (block.toOffset < end && !scan.visit(segment, { fromOffset: block.toOffset, toOffset: end }, sink)) {
        return false;
      }
      // A damaged block covers nothing: `end` stays, and the log is read from the block before on.
      end = Math.min(end, block.toOffset);
      const goesOn = file?.readBlock(block, sink);
      if (goesOn === false) return false;
      if (goesOn === true) end = Math.min(end, block.fromOffset);
    }
  } finally {
    file?.close();
  }
  return end <= fromOffset || scan.visit(segment, { fromOffset, toOffset: end }, sink);
}

/** Reads ids from the log itself. */
class LogScan {
  readonly #files: Files;
  readonly #directory: string;
  readonly #query: IdQuery;
  readonly #reader: LogReader;
  readonly #cursor = new EventCursor();
  readonly #hash = new Int32Array(2);

  constructor(files: Files, directory: string, query: IdQuery, report: DamageReport) {
    this.#files = files;
    this.#directory = directory;
    this.#query = query;
    this.#reader = new LogReader(files, directory, report, BATCH_HAS_IDS);
  }

  close(): void {
    this.#reader.close();
  }

  /** Visits a part of a segment, newest piece first. @returns `false` when the sink has enough. */
  visit(segment: IdSegment, range: OffsetRange, sink: IdSink): boolean {
    let { toOffset } = range;
    for (const fromOffset of [...this.#pieces(segment, range).reverse(), range.fromOffset]) {
      const ids = new NewestIds(this.#query.countMax);
      this.#read({ fromOffset, toOffset }, ids);
      if (!ids.visit(sink)) return false;
      toOffset = fromOffset;
    }
    return true;
  }

  /** Offsets at which the range may be cut into pieces. */
  #pieces({ fromOffset: baseOffset, salt }: IdSegment, { fromOffset, toOffset }: OffsetRange): number[] {
    const index = readIndex(this.#files, segmentPath(this.#directory, baseOffset, "idx"), baseOffset, salt);
    return (index?.entries ?? [])
      .filter(({ offset }, number) =>
        number % PIECE_ENTRIES === 0 && offset > fromOffset && offset < toOffset
      )
      .map(({ offset }) => offset);
  }

  #read(range: OffsetRange, ids: NewestIds): void {
    const reader = this.#reader;
    const cursor = this.#cursor;
    const hash = this.#hash;
    reader.seek(range.fromOffset);
    for (;;) {
      const batch = reader.nextBatch(range.toOffset);
      if (batch === undefined) return;
      cursor.open(batch, range.fromOffset);
      while (cursor.next()) {
        const id = findTag(cursor.bytes, cursor.frameAt, TAG_ID);
        if (id === undefined) continue;
        this.#query.hashId(cursor.bytes, id.start, id.length, hash);
        ids.add(hash[0] as number, hash[1] as number, cursor.offset, cursor.receivedUs);
      }
    }
  }
}
