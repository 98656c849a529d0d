/** Walks all batches of one segment in order and says of every offset whether it is there. */

import type { DamageReport } from "./damage.ts";
import {
  batchBaseOffset,
  batchCount,
  batchFirstReceivedUs,
  batchFlags,
  batchLastReceivedUs,
  batchLength,
  SEGMENT_HEADER_BYTES,
} from "./format.ts";
import type { SegmentWindow } from "./window.ts";

/** One whole batch. */
export interface BatchSummary {
  readonly position: number;
  readonly bytes: number;
  readonly baseOffset: number;
  readonly count: number;
  readonly firstReceivedUs: number;
  readonly lastReceivedUs: number;
  readonly flags: number;
}

/** Where a segment begins and ends. */
export interface SegmentBounds {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly endPosition: number;
}

/**
 * Reads the segment that is open in `window`.
 *
 * @param onBatch Is told of every batch that is whole.
 * @param report Is told of everything else: together they cover `[baseOffset, endOffset)` exactly once.
 * @returns Position behind the last batch, or behind the damage at the end.
 */
export function walkSegment(
  window: SegmentWindow,
  bounds: SegmentBounds,
  onBatch: (batch: BatchSummary) => void,
  report: DamageReport,
): number {
  const { endOffset, endPosition } = bounds;
  const file = window.path;
  let position = SEGMENT_HEADER_BYTES;
  let next = bounds.baseOffset;
  const tell = (end: number, toOffset: number) => {
    const bytes = end - position;
    const kind = bytes > 0 ? "corrupt" : "missing";
    if (bytes > 0 || toOffset > next) report({ kind, file, position, bytes, fromOffset: next, toOffset });
    position = end;
    next = toOffset;
  };
  while (position < endPosition) {
    // The next batch that belongs here, right at the position or behind something else.
    const found = window.findBatch(position, next);
    const at = found < 0 ? -1 : window.headerAt(found);
    const offset = at < 0 ? Infinity : batchBaseOffset(window.words, at);
    if (found >= endPosition || offset >= endOffset) {
      // Zeros behind the last batch are room that was never used.
      tell(Math.min(window.endOfData(position), found < 0 ? endPosition : found, endPosition), endOffset);
      return position;
    }
    tell(found, offset);
    const batch = summaryOf(window, at, found);
    if (window.batchAt(found) >= 0) {
      onBatch(batch);
      position += batch.bytes;
      next += batch.count;
    } else tell(found + batch.bytes, offset + batch.count);
  }
  tell(position, endOffset);
  return position;
}

function summaryOf({ words }: SegmentWindow, at: number, position: number): BatchSummary {
  return {
    position,
    bytes: batchLength(words, at),
    baseOffset: batchBaseOffset(words, at),
    count: batchCount(words, at),
    firstReceivedUs: batchFirstReceivedUs(words, at),
    lastReceivedUs: batchLastReceivedUs(words, at),
    flags: batchFlags(words, at),
  };
}
