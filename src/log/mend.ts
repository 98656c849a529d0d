/** Makes the index of a finished segment anew when it is missing or not usable. */

import type { Files } from "./files.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLastReceivedUs,
  batchLength,
  SEGMENT_HEADER_BYTES,
} from "./format.ts";
import { type IndexEntry, IndexWriter, readIndex } from "./index-file.ts";
import { segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

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
  const window = new SegmentWindow(files);
  try {
    window.open(segmentPath(directory, baseOffset, "log"));
    const path = segmentPath(directory, baseOffset, "idx");
    const { salt } = window;
    if (salt === undefined || isUsable(files, path, baseOffset, window, indexBytes)) return false;
    const { entries, endOffset, endPosition } = entriesOf(window, baseOffset, indexBytes);
    const index = new IndexWriter(files, path, baseOffset, salt, entries);
    index.flush(endOffset, endPosition);
    index.close();
    return true;
  } finally {
    window.close();
  }
}

/** Whether the index has about as many entries as the segment needs. */
function isUsable(
  files: Files,
  path: string,
  baseOffset: number,
  window: SegmentWindow,
  indexBytes: number,
): boolean {
  const index = readIndex(files, path, baseOffset, window.salt);
  if (index === undefined) return false;
  // A batch larger than the distance takes the place of several entries; half of them missing is damage.
  const wanted = Math.floor(index.durablePosition / indexBytes);
  return wanted <= 2 || index.entries.length * 2 >= wanted ||
    entriesOf(window, baseOffset, indexBytes).entries.length <= index.entries.length;
}

function entriesOf(window: SegmentWindow, baseOffset: number, indexBytes: number) {
  const entries: IndexEntry[] = [];
  let indexedPosition = 0;
  let receivedUsMax = 0;
  let endOffset = baseOffset;
  let endPosition = SEGMENT_HEADER_BYTES;
  for (;;) {
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
