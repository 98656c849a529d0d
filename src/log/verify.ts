/**
 * Reads a whole log and says what is in it and what is wrong with it. Changes nothing, needs no lock: it may run
 * beside a server that appends and removes.
 */

import type { LogDamage } from "./damage.ts";
import { fileErrorCode, type Files } from "./files.ts";
import { SEGMENT_HEADER_BYTES } from "./format.ts";
import { readIndex, type SegmentIndex } from "./index-file.ts";
import { recoverTail } from "./recovery.ts";
import { listSegments, segmentPath } from "./segments.ts";
import { type BatchSummary, type SegmentBounds, walkSegment } from "./walk.ts";
import { SegmentWindow } from "./window.ts";

/** One segment: what it holds, and its side files. */
export interface SegmentSummary {
  readonly path: string;
  readonly baseOffset: number;
  /** Behind the last event it holds. */
  readonly endOffset: number;
  /** When it was begun; `undefined` if its header is damaged. */
  readonly createdUs: number | undefined;
  /** Bytes of the file, and of header and batches in it; the rest is room not yet used. */
  readonly fileBytes: number;
  readonly usedBytes: number;
  readonly batches: number;
  readonly events: number;
  /** 0 when it holds no event. */
  readonly firstReceivedUs: number;
  readonly lastReceivedUs: number;
  /** Bytes behind the end that the next start will cut off; 0 in a healthy log, or while a server writes. */
  readonly tornBytes: number;
  /** Entries of its index; `undefined` if there is none that can be used. */
  readonly indexEntries: number | undefined;
  readonly damages: readonly LogDamage[];
}

/**
 * Reads every segment in the folder from beginning to end, oldest first.
 *
 * @param onBatch Is told of every whole batch, before its segment is yielded.
 * @throws {EscError} `LOG_VERSION`. File errors are passed on, except for segments that retention removes
 *   meanwhile: those are left out.
 */
export function* verifySegments(
  files: Files,
  directory: string,
  onBatch: (batch: BatchSummary) => void = () => {},
): Generator<SegmentSummary> {
  const bases = listSegments(files, directory);
  const window = new SegmentWindow(files);
  try {
    for (const [index, baseOffset] of bases.entries()) {
      const limitOffset = bases[index + 1];
      try {
        yield verifySegment(files, window, { directory, baseOffset, limitOffset }, onBatch);
      } catch (error) {
        if (fileErrorCode(error) !== "ENOENT") throw error;
      }
    }
  } finally {
    window.close();
  }
}

interface SegmentPlace {
  readonly directory: string;
  readonly baseOffset: number;
  /** Where the next segment begins; `undefined` for the last one. */
  readonly limitOffset: number | undefined;
}

function verifySegment(
  files: Files,
  window: SegmentWindow,
  place: SegmentPlace,
  onBatch: (batch: BatchSummary) => void,
): SegmentSummary {
  const { directory, baseOffset } = place;
  const path = segmentPath(directory, baseOffset, "log");
  window.open(path);
  const index = readIndex(files, segmentPath(directory, baseOffset, "idx"), baseOffset, window.salt);
  const damages: LogDamage[] = [];
  if (window.header === undefined) {
    const bytes = SEGMENT_HEADER_BYTES;
    damages.push({
      kind: "header",
      file: path,
      position: 0,
      bytes,
      fromOffset: baseOffset,
      toOffset: baseOffset,
    });
  }
  const { tornBytes, ...bounds } = boundsOf(window, place, index);
  const totals = { batches: 0, events: 0, firstReceivedUs: Infinity, lastReceivedUs: 0 };
  const usedBytes = walkSegment(window, bounds, (batch) => {
    totals.batches++;
    totals.events += batch.count;
    totals.firstReceivedUs = Math.min(totals.firstReceivedUs, batch.firstReceivedUs);
    totals.lastReceivedUs = Math.max(totals.lastReceivedUs, batch.lastReceivedUs);
    onBatch(batch);
  }, (damage) => damages.push(damage));
  return {
    path,
    baseOffset,
    endOffset: bounds.endOffset,
    createdUs: window.header?.createdUs,
    fileBytes: window.fileBytes(),
    usedBytes,
    ...totals,
    firstReceivedUs: totals.batches === 0 ? 0 : totals.firstReceivedUs,
    tornBytes,
    indexEntries: index?.entries.length,
    damages,
  };
}

/** Where the segment ends: at the next one's first offset, or where the next start would go on appending. */
function boundsOf(
  window: SegmentWindow,
  { baseOffset, limitOffset }: SegmentPlace,
  index: SegmentIndex | undefined,
): SegmentBounds & { readonly tornBytes: number } {
  if (limitOffset !== undefined) {
    return { baseOffset, endOffset: limitOffset, endPosition: window.fileBytes(), tornBytes: 0 };
  }
  // From the very beginning, not from the index: all of it is to be read, the end with the rest.
  const hint = index === undefined ? undefined : { ...index, entries: [] };
  const tail = recoverTail(window, baseOffset, hint, { indexBytes: Infinity, report: () => {} });
  const { endPosition, nextOffset, torn } = tail;
  return { baseOffset, endOffset: nextOffset, endPosition, tornBytes: torn?.bytes ?? 0 };
}
