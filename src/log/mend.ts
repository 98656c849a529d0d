/** Makes the index of a finished segment anew when it is missing or not usable. */

import type { Files } from "./files.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLastReceivedUs,
  batchLength,
  SEGMENT_HEADER_BYTES,
} from "./format.ts";
import { type IndexEntry, IndexWriter, readIndex, type SegmentIndex } from "./index-file.ts";
import { segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/** Bytes of a segment between two pauses. */
const PIECE_BYTES = 1 << 20;

/**
 * Checks the index of one sealed segment and writes a new one if needed.
 *
 * Lane worker, or a tool that holds the lock of the data directory.
 *
 * @param indexBytes About how far entries lie apart.
 * @returns Whether a new one was written.
 * @throws The error of `files` if the segment cannot be read.
 */
export function mendIndex(files: Files, directory: string, baseOffset: number, indexBytes: number): boolean {
  const pieces = mendIndexByPieces(files, directory, { baseOffset, indexBytes, isThere: () => true });
  for (;;) {
    const { done, value } = pieces.next();
    if (done === true) return value;
  }
}

/**
 * The same, a MiB of the segment between two pauses: for a thread that has other things to do.
 *
 * @param isThere Whether the segment is still there: asked before the index is written.
 */
export function* mendIndexByPieces(
  files: Files,
  directory: string,
  { baseOffset, indexBytes, isThere }: {
    readonly baseOffset: number;
    readonly indexBytes: number;
    readonly isThere: () => boolean;
  },
): Generator<void, boolean> {
  const window = new SegmentWindow(files);
  try {
    window.open(segmentPath(directory, baseOffset, "log"));
    const path = segmentPath(directory, baseOffset, "idx");
    const { salt } = window;
    const index = readIndex(files, path, baseOffset, salt);
    if (salt === undefined || (index !== undefined && hasEnoughEntries(index, indexBytes))) return false;
    const { entries, endOffset, endPosition } = yield* entriesOf(window, baseOffset, indexBytes);
    if (index !== undefined && entries.length <= index.entries.length) return false;
    if (!isThere()) return false;
    const writer = new IndexWriter(files, path, baseOffset, salt, entries);
    writer.flush(endOffset, endPosition);
    writer.close();
    return true;
  } finally {
    window.close();
  }
}

/** Whether the index has about as many entries as the segment needs. */
function hasEnoughEntries(index: SegmentIndex, indexBytes: number): boolean {
  // A batch larger than the distance takes the place of several entries; half of them missing is damage.
  const wanted = Math.floor(index.durablePosition / indexBytes);
  return wanted <= 2 || index.entries.length * 2 >= wanted;
}

interface IndexContent {
  readonly entries: readonly IndexEntry[];
  readonly endOffset: number;
  readonly endPosition: number;
}

function* entriesOf(
  window: SegmentWindow,
  baseOffset: number,
  indexBytes: number,
): Generator<void, IndexContent> {
  const entries: IndexEntry[] = [];
  let indexedPosition = 0;
  let receivedUsMax = 0;
  let endOffset = baseOffset;
  let endPosition = SEGMENT_HEADER_BYTES;
  for (let pauseAt = PIECE_BYTES;;) {
    if (endPosition >= pauseAt) {
      yield;
      pauseAt = endPosition + PIECE_BYTES;
    }
    let at = window.headerAt(endPosition);
    if (at < 0) {
      const found = window.findBatch(endPosition + 8, endOffset);
      if (found < 0) return { entries, endOffset, endPosition };
      endPosition = found;
      at = window.headerAt(found);
    }
    const offset = batchBaseOffset(window.words, at);
    if (endPosition - indexedPosition >= indexBytes) {
      entries.push({ offset, position: endPosition, receivedUsMax });
      indexedPosition = endPosition;
    }
    receivedUsMax = Math.max(receivedUsMax, batchLastReceivedUs(window.words, at));
    endOffset = offset + batchCount(window.words, at);
    endPosition += batchLength(window.words, at);
  }
}
