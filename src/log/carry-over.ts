/** Saves what readers saw and a failed sync left in doubt: reads it back and writes it into a new segment. */

import {
  batchBaseOffset,
  batchCount,
  batchFirstReceivedUs,
  batchFlags,
  batchLastReceivedUs,
  batchLength,
  type Salt,
  SEGMENT_HEADER_BYTES,
  writeBatchHeader,
} from "./format.ts";
import type { FileHandle } from "./files.ts";
import type { ActiveSegment, LogPlace } from "./segment.ts";
import { SegmentWindow } from "./window.ts";

/** The new segment, and which events it begins with. */
export interface CarryTarget {
  readonly handle: FileHandle;
  readonly salt: Salt;
  readonly fromOffset: number;
  readonly toOffset: number;
}

/**
 * Copies the batches in `[fromOffset, toOffset)` that lie behind the durable end of `old`.
 *
 * After a failed sync the kernel may still hold them in memory, or have dropped them: each is checked, and
 * what is not whole is reported as `lost`.
 *
 * @returns End position in the new segment. Not synced.
 */
export function carryOver(place: LogPlace, old: ActiveSegment | undefined, target: CarryTarget): number {
  let end = SEGMENT_HEADER_BYTES;
  if (old === undefined || target.fromOffset === target.toOffset) return end;
  const { files, report } = place;
  const window = new SegmentWindow(files);
  let next = target.fromOffset;
  let position = old.durablePosition;
  const tellLost = (toOffset: number) => {
    if (toOffset > next) {
      report({ kind: "lost", file: old.path, position, bytes: 0, fromOffset: next, toOffset });
    }
  };
  try {
    window.open(old.path);
    while (next < target.toOffset) {
      position = window.findBatch(position, next);
      if (position < 0) break;
      const at = window.headerAt(position);
      const baseOffset = batchBaseOffset(window.words, at);
      if (baseOffset >= target.toOffset) break;
      tellLost(baseOffset);
      next = baseOffset;
      const length = batchLength(window.words, at);
      const endOffset = baseOffset + batchCount(window.words, at);
      const whole = window.batchAt(position);
      if (whole >= 0) {
        const { bytes, words } = window;
        const fields = {
          length,
          count: endOffset - baseOffset,
          baseOffset,
          firstReceivedUs: batchFirstReceivedUs(words, whole),
          lastReceivedUs: batchLastReceivedUs(words, whole),
          durableOffset: target.fromOffset,
          salt: target.salt,
          flags: batchFlags(words, whole),
        };
        writeBatchHeader(bytes, words, whole, fields);
        files.write(target.handle, bytes, whole, length, end);
        // The copy in memory is no longer what the file holds.
        window.forget();
        end += length;
      } else tellLost(endOffset);
      next = endOffset;
      position += length;
    }
    position = Math.max(position, old.durablePosition);
    tellLost(target.toOffset);
  } finally {
    window.close();
  }
  return end;
}
