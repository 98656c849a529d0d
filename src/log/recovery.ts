/**
 * Finds the end of a log that may have been cut off at any moment: which bytes of its last segment count.
 *
 * Batches are read from the last index entry that is durable and confirmed. Where something is not whole:
 *
 *     … | whole | whole | ?????? | whole | ?????? | zeros
 *                           │                │
 *                           │                └ nothing says that this was ever durable: a torn tail, cut
 *                           └ events behind it were durable: damage inside the log, skipped, all else kept
 *
 * What was durable is known from the batches themselves (each carries the durable offset of its time) and
 * from the mark in the index. Whole batches behind a torn one are cut as well: they were written in the same
 * un-synced stretch, and keeping them would put later events of a producer before the ones it sends again.
 */

import type { DamageReport } from "./damage.ts";
import {
  batchBaseOffset,
  batchCount,
  batchDurableOffset,
  batchLastReceivedUs,
  batchLength,
  SEGMENT_HEADER_BYTES,
} from "./format.ts";
import type { IndexEntry, SegmentIndex } from "./index-file.ts";
import type { SegmentWindow } from "./window.ts";

export interface RecoveredTail {
  /** Where the next batch goes, and the offset of its first event. */
  readonly endPosition: number;
  readonly nextOffset: number;
  /** Everything before this position was durable for certain, and need not be written anew. */
  readonly confirmedPosition: number;
  /** Every event below was durable, as the index and the batches say. */
  readonly durableOffset: number;
  /** Bytes from `endPosition` on that are not zeros, and the offsets of whole batches among them. */
  readonly torn:
    | { readonly bytes: number; readonly fromOffset: number; readonly toOffset: number }
    | undefined;
  /** The index as it should be. */
  readonly entries: readonly IndexEntry[];
  readonly receivedUsMax: number;
}

/** A stretch of the segment from the first damage on. */
interface Span {
  readonly position: number;
  readonly end: number;
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly isWhole: boolean;
}

/**
 * Reads the end of the segment that is open in `window`. Changes nothing.
 *
 * @param index What the index file says, if it could be read. A wrong one costs time, never events.
 * @param report Is told of damage inside the log, not of the torn tail.
 */
export function recoverTail(
  window: SegmentWindow,
  baseOffset: number,
  index: SegmentIndex | undefined,
  options: { readonly indexBytes: number; readonly report: DamageReport },
): RecoveredTail {
  const start = startOf(window, baseOffset, index);
  const entries: IndexEntry[] = (index?.entries ?? []).filter((entry) => entry.position <= start.position);
  let indexedPosition = entries.at(-1)?.position ?? 0;
  let { position, offset: next, receivedUsMax } = start;
  let durable = index?.durableOffset ?? 0;
  // Empty as long as everything is whole, so that a healthy log costs no memory.
  const spans: Span[] = [];
  for (;;) {
    const at = window.headerAt(position);
    if (at < 0 || batchBaseOffset(window.words, at) < next) {
      const found = window.findBatch(position + 8, next);
      if (found < 0) break;
      const foundOffset = batchBaseOffset(window.words, window.headerAt(found));
      spans.push({ position, end: found, fromOffset: next, toOffset: foundOffset, isWhole: false });
      position = found;
      next = foundOffset;
      continue;
    }
    const { words } = window;
    const fromOffset = batchBaseOffset(words, at);
    const toOffset = fromOffset + batchCount(words, at);
    const end = position + batchLength(words, at);
    const lastReceivedUs = batchLastReceivedUs(words, at);
    durable = Math.max(durable, batchDurableOffset(words, at));
    const isWhole = window.batchAt(position) >= 0;
    if (!isWhole || spans.length > 0) spans.push({ position, end, fromOffset, toOffset, isWhole });
    if (isWhole) {
      if (position - indexedPosition >= options.indexBytes) {
        entries.push({ offset: fromOffset, position, receivedUsMax });
        indexedPosition = position;
      }
      receivedUsMax = Math.max(receivedUsMax, lastReceivedUs);
    }
    position = end;
    next = toOffset;
  }
  const cut = spans.find((span) => !span.isWhole && span.fromOffset >= durable);
  const dataEnd = window.endOfData(cut?.position ?? position);
  for (const span of spans) {
    if (span === cut) break;
    if (!span.isWhole) {
      const { fromOffset, toOffset } = span;
      const bytes = span.end - span.position;
      options.report({
        kind: "corrupt",
        file: window.path,
        position: span.position,
        bytes,
        fromOffset,
        toOffset,
      });
    }
  }
  const common = { confirmedPosition: start.position, receivedUsMax };
  if (cut !== undefined) {
    return {
      ...common,
      endPosition: cut.position,
      nextOffset: cut.fromOffset,
      durableOffset: durable,
      torn: { bytes: dataEnd - cut.position, fromOffset: cut.fromOffset, toOffset: next },
      entries: entries.filter((entry) => entry.position < cut.position),
    };
  }
  let endPosition = position;
  if (next < durable) {
    // The index knows of durable events that are not here: their offsets are not given away again.
    const isThere = dataEnd > position;
    if (isThere) endPosition = Math.max(position, index?.durablePosition ?? 0);
    const [kind, bytes] = isThere ? ["corrupt", endPosition - position] as const : ["missing", 0] as const;
    options.report({ kind, file: window.path, position, bytes, fromOffset: next, toOffset: durable });
    next = durable;
  }
  const tornBytes = dataEnd - endPosition;
  return {
    ...common,
    endPosition,
    nextOffset: next,
    durableOffset: durable,
    torn: tornBytes > 0 ? { bytes: tornBytes, fromOffset: next, toOffset: next } : undefined,
    entries,
  };
}

/** The last index entry that was durable and that the segment confirms, else the first batch. */
function startOf(window: SegmentWindow, baseOffset: number, index: SegmentIndex | undefined): IndexEntry {
  const entry = index?.entries.findLast(({ offset, position }) => {
    if (offset >= index.durableOffset) return false;
    const at = window.headerAt(position);
    return at >= 0 && batchBaseOffset(window.words, at) === offset;
  });
  return entry ?? { offset: baseOffset, position: SEGMENT_HEADER_BYTES, receivedUsMax: 0 };
}
