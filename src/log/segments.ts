/**
 * Names of the files of a log folder.
 *
 *     00000000000000004711.log        segment whose first event has offset 4711
 *     00000000000000004711.idx        its index, a hint       (index-file.ts)
 *     00000000000000004711.ids        its message ids, a hint (id-file.ts)
 *     00000000000000004711.log.new    a segment that is being made; removed when the log is opened
 *     00000000000000004711.log.torn-8192   bytes cut off at position 8192, for a person to look at
 *
 * A segment ends where the next one begins: batches in it at or behind the next base offset are leftovers
 * of a failed sync and belong to nobody. Files with other names are never touched.
 */

import { fileErrorCode, type Files } from "./files.ts";

const SEGMENT_NAME = /^(\d{20})\.log$/;
const UNFINISHED_NAME = /^\d{20}\.log\.new$/;
const OFFSET_DIGITS = 20;

export type SegmentExtension = "log" | "idx" | "ids" | "log.new";

/** Path of one file of the segment that begins at `baseOffset`. */
export function segmentPath(directory: string, baseOffset: number, extension: SegmentExtension): string {
  return `${directory}/${String(baseOffset).padStart(OFFSET_DIGITS, "0")}.${extension}`;
}

/**
 * Base offsets of all segments in a folder, ascending.
 *
 * @returns Empty when the folder does not exist.
 */
export function listSegments(files: Files, directory: string): number[] {
  return matchingNames(files, directory, SEGMENT_NAME)
    .map((name) => Number(name.slice(0, OFFSET_DIGITS)))
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);
}

/** Paths of segments that were never finished. */
export function listUnfinished(files: Files, directory: string): string[] {
  return matchingNames(files, directory, UNFINISHED_NAME).map((name) => `${directory}/${name}`);
}

/** Index of the last segment that begins at or before `offset`, -1 if all begin later. */
export function segmentIndexOf(baseOffsets: readonly number[], offset: number): number {
  let low = 0;
  let high = baseOffsets.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((baseOffsets[middle] as number) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function matchingNames(files: Files, directory: string, pattern: RegExp): string[] {
  try {
    return files.list(directory).filter((name) => pattern.test(name));
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
