/** How much of a segment is there for good while its writer goes on: what a backup may take. */

import { batchBaseOffset, batchCount, batchLength, SEGMENT_HEADER_BYTES } from "./format.ts";
import type { Files } from "./files.ts";
import { readIndex } from "./index-file.ts";
import { segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

export interface SegmentPrefix {
  /** Bytes of the file that count. */
  readonly endPosition: number;
  /** Behind the last event among them. */
  readonly nextOffset: number;
}

/**
 * Finds the end of the whole batches of the last segment, while a server may append to it.
 *
 * Damage among events that the index calls durable is stepped over; the first batch behind them that is not whole
 * is the end, since it may be under way. Not durable by itself: sync the file before relying on it.
 *
 * @throws {EscError} `LOG_VERSION`. File errors are passed on.
 */
export function findPrefix(files: Files, directory: string, baseOffset: number): SegmentPrefix {
  const window = new SegmentWindow(files);
  try {
    window.open(segmentPath(directory, baseOffset, "log"));
    const index = readIndex(files, segmentPath(directory, baseOffset, "idx"), baseOffset, window.salt);
    // Asked before the first batch is looked at: everything below was whole then.
    const durableOffset = index?.durableOffset ?? 0;
    let endPosition = SEGMENT_HEADER_BYTES;
    let nextOffset = baseOffset;
    for (;;) {
      const isDurable = nextOffset < durableOffset;
      const position = isDurable ? window.findBatch(endPosition, nextOffset) : endPosition;
      const header = position < 0 ? -1 : window.headerAt(position);
      if (header < 0) return { endPosition, nextOffset };
      const { words } = window;
      const toOffset = batchBaseOffset(words, header) + batchCount(words, header);
      const end = position + batchLength(words, header);
      const isOwn = batchBaseOffset(words, header) >= nextOffset;
      if (!isOwn || (!isDurable && window.batchAt(position) < 0)) return { endPosition, nextOffset };
      nextOffset = toOffset;
      endPosition = end;
    }
  } finally {
    window.close();
  }
}
