/**
 * Lists the message ids of the newest part of a log, to rebuild a deduplication table at start: from the id
 * files where they are good, from the log itself where they are not.
 */

import { findTag } from "../event/ext.ts";
import { TAG_ID } from "../event/frame.ts";
import { EventCursor, hasIds } from "./batch.ts";
import type { DamageReport } from "./damage.ts";
import { fileErrorCode, type Files } from "./files.ts";
import { type IdSink, type OffsetRange, readIds } from "./id-file.ts";
import { LogReader } from "./reader.ts";
import { listSegments, segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/** Takes the ids, in the order of their offsets within each segment. */
export interface IdVisitor {
  /** An id from an id file, as the hash that was given to `LogWriter.addId()`. */
  readonly onHash: IdSink;
  /** An id from the log, `bytes[start, start + length)`, valid during the call. */
  onId(bytes: Uint8Array, start: number, length: number, offset: number, receivedUs: number): void;
}

/** Which ids are wanted. */
export interface IdQuery {
  /** Number of the hash function, as in `LogOptions.idHash`: files of another are not used. */
  readonly hash: number;
  /** Ids received before are not needed; some may be visited all the same. */
  readonly fromUs: number;
  /** `LogWriter.nextOffset` after opening. */
  readonly endOffset: number;
}

/**
 * Visits every message id of the log received at or after `fromUs`, segment by segment, oldest first.
 *
 * Lane worker, at start, after `LogWriter.open()`. Reads only id files and batches that may hold ids.
 */
export function visitIds(
  files: Files,
  directory: string,
  query: IdQuery,
  visitor: IdVisitor,
  report: DamageReport,
): void {
  const segments = newestSegments(files, directory, query);
  const reader = new LogReader(files, directory, report);
  try {
    for (const segment of segments) {
      const scan = (range: OffsetRange) => scanLog(reader, range, visitor);
      if (segment.salt === undefined) {
        scan({ fromOffset: segment.baseOffset, toOffset: segment.endOffset });
        continue;
      }
      const path = segmentPath(directory, segment.baseOffset, "ids");
      const { baseOffset, salt, endOffset } = segment;
      readIds(files, path, { baseOffset, salt, hash: query.hash }, endOffset, visitor.onHash, scan);
    }
  } finally {
    reader.close();
  }
}

/** Segments that may hold events received at or after `fromUs`, oldest first. */
function newestSegments(files: Files, directory: string, { fromUs, endOffset }: IdQuery) {
  const bases = listSegments(files, directory);
  const window = new SegmentWindow(files);
  const found: { baseOffset: number; endOffset: number; salt: SegmentWindow["salt"] }[] = [];
  try {
    for (let index = bases.length - 1; index >= 0; index--) {
      const baseOffset = bases[index] as number;
      try {
        window.open(segmentPath(directory, baseOffset, "log"));
      } catch (error) {
        // Retention was quicker: what it removed is not wanted.
        if (fileErrorCode(error) === "ENOENT") break;
        throw error;
      }
      found.push({
        baseOffset,
        endOffset: Math.min(bases[index + 1] ?? endOffset, endOffset),
        salt: window.salt,
      });
      // Everything in the segments before was received before this one was begun.
      if ((window.header?.createdUs ?? Infinity) <= fromUs) break;
    }
  } finally {
    window.close();
  }
  return found.reverse();
}

function scanLog(reader: LogReader, range: OffsetRange, visitor: IdVisitor): void {
  const cursor = new EventCursor();
  reader.seek(range.fromOffset);
  for (;;) {
    const batch = reader.nextBatch(range.toOffset);
    if (batch === undefined) return;
    if (!hasIds(batch)) continue;
    cursor.open(batch, range.fromOffset);
    while (cursor.next()) {
      const id = findTag(cursor.bytes, cursor.frameAt, TAG_ID);
      if (id !== undefined) visitor.onId(cursor.bytes, id.start, id.length, cursor.offset, cursor.receivedUs);
    }
  }
}
