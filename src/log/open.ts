/** Opening a log: finding its last segment, repairing its end, and getting ready to append. */

import { dirname } from "node:path";
import { EscError } from "../errors.ts";
import { logUnavailable } from "./damage.ts";
import { fileErrorCode, type FileHandle, type Files } from "./files.ts";
import { SEGMENT_HEADER_BYTES } from "./format.ts";
import { readIndex } from "./index-file.ts";
import { type RecoveredTail, recoverTail } from "./recovery.ts";
import { ActiveSegment, createSegment, type LogPlace, removeQuietly } from "./segment.ts";
import { listSegments, listUnfinished, segmentPath } from "./segments.ts";
import { SegmentWindow, WINDOW_BYTES } from "./window.ts";

/** The shard's folder in the lane's, that in `log`, and that in the data directory. */
const PARENT_LEVELS = 3;

export interface OpenedLog {
  /** `undefined`: a new one is to be begun at `nextOffset`, or the disk failed. */
  readonly segment: ActiveSegment | undefined;
  /** Base offsets of all other segments, ascending. */
  readonly sealed: readonly number[];
  readonly nextOffset: number;
  readonly durableOffset: number;
  readonly receivedUsMax: number;
  /** Why the end could not be repaired; nothing was harmed, and it can be tried again. */
  readonly failure: unknown;
}

/**
 * Opens the last segment of a log and makes everything in it that counts durable.
 *
 * @throws {EscError} `LOG_VERSION`; `LOG_UNAVAILABLE` if the folder or the segment cannot be read.
 */
export function openLastSegment(place: LogPlace): OpenedLog {
  const { files, directory } = place;
  const window = new SegmentWindow(files);
  try {
    const bases = prepare(files, directory);
    const baseOffset = bases.at(-1);
    if (baseOffset === undefined) {
      return {
        segment: undefined,
        sealed: [],
        nextOffset: 0,
        durableOffset: 0,
        receivedUsMax: 0,
        failure: undefined,
      };
    }
    const path = segmentPath(directory, baseOffset, "log");
    openWindow(window, path);
    const index = readIndex(files, segmentPath(directory, baseOffset, "idx"), baseOffset, window.salt);
    const { indexBytes } = place.options;
    const tail = recoverTail(window, baseOffset, index, { indexBytes, report: place.report });
    const { nextOffset, receivedUsMax } = tail;
    const end = { nextOffset, receivedUsMax };
    try {
      const segment = takeOver(place, window, baseOffset, tail);
      const sealed = segment === undefined && nextOffset > baseOffset ? bases : bases.slice(0, -1);
      return { ...end, segment, sealed, durableOffset: nextOffset, failure: undefined };
    } catch (error) {
      // Readable, but not writable now: the log opens as failed, and everything durable can be read.
      const durableOffset = Math.max(baseOffset, tail.durableOffset);
      return { ...end, segment: undefined, sealed: bases, durableOffset, failure: error };
    }
  } finally {
    window.close();
  }
}

/** Makes the folder if needed, removes segments that were never finished, and lists the others. */
function prepare(files: Files, directory: string): number[] {
  try {
    files.makeDirectory(directory);
    const bases = listSegments(files, directory);
    if (bases.length === 0) syncParents(files, directory);
    for (const path of listUnfinished(files, directory)) removeQuietly(files, path);
    return bases;
  } catch (error) {
    throw logUnavailable(`open the log in '${directory}'`, error, fileErrorCode(error));
  }
}

/** Makes the names of a new folder and of the ones above it durable: `<data>/log/<lane>/<shard>`. */
function syncParents(files: Files, directory: string): void {
  let parent = directory;
  for (let level = 0; level < PARENT_LEVELS; level++) {
    parent = dirname(parent);
    try {
      files.syncDirectory(parent);
    } catch (error) {
      // Above the data directory somebody else owns the folders, and they were there before.
      if (fileErrorCode(error) !== "EACCES") throw error;
    }
  }
}

function openWindow(window: SegmentWindow, path: string): void {
  try {
    window.open(path);
  } catch (error) {
    if (error instanceof EscError) throw error;
    throw logUnavailable(`read '${path}'`, error, fileErrorCode(error));
  }
}

/**
 * Cuts the torn tail and makes the rest durable.
 *
 * @returns `undefined` when this segment cannot be continued and a new one must be begun.
 * @throws The error of `files`: then it may be tried again from the start.
 */
function takeOver(
  place: LogPlace,
  window: SegmentWindow,
  baseOffset: number,
  tail: RecoveredTail,
): ActiveSegment | undefined {
  const { files, report, directory } = place;
  const isHeaderDamaged = window.header === undefined;
  // The process before may have died between giving the segment its name and making that name durable.
  files.syncDirectory(directory);
  const { torn, endPosition: position, nextOffset } = tail;
  const isEmpty = nextOffset === baseOffset;
  // A segment begun behind a damaged header ends this one: its torn bytes can stay where they are.
  const keptAs = torn !== undefined && (isEmpty || !isHeaderDamaged)
    ? keepTorn(place, window, isEmpty ? 0 : position, torn.bytes + (isEmpty ? position : 0))
    : undefined;
  let segment: ActiveSegment | undefined;
  try {
    segment = isEmpty && (torn !== undefined || isHeaderDamaged)
      ? createSegment(place, { baseOffset, nextOffset, createdUs: createdUs(place, tail) })
      : continueSegment(place, window, baseOffset, tail);
    if (isEmpty) files.syncDirectory(directory);
  } catch (error) {
    // It is all still in the segment, and the next attempt makes another copy.
    if (keptAs !== undefined) removeQuietly(files, keptAs);
    throw error;
  }
  const at = { file: window.path, fromOffset: baseOffset, toOffset: baseOffset };
  if (isHeaderDamaged) report({ kind: "header", ...at, position: 0, bytes: SEGMENT_HEADER_BYTES });
  if (torn !== undefined) {
    report({ kind: "torn", ...at, position, ...torn, ...(keptAs === undefined ? {} : { keptAs }) });
  }
  return segment;
}

function createdUs(place: LogPlace, tail: RecoveredTail): number {
  return Math.max(place.options.nowUs(), tail.receivedUsMax);
}

/** Makes the segment's events durable, and gets it ready to be appended to if its header allows. */
function continueSegment(
  place: LogPlace,
  window: SegmentWindow,
  baseOffset: number,
  tail: RecoveredTail,
): ActiveSegment | undefined {
  const { files, options } = place;
  const salt = window.header?.salt;
  const handle = files.openWrite(window.path);
  try {
    if (tail.torn !== undefined && salt !== undefined) files.truncate(handle, tail.endPosition);
    rewrite(files, window, handle, tail);
    files.sync(handle);
    if (salt !== undefined) {
      files.preallocate(handle, options.segmentBytes);
      return new ActiveSegment(place, handle, { ...tail, baseOffset, salt });
    }
  } catch (error) {
    files.close(handle);
    throw error;
  }
  files.close(handle);
  return undefined;
}

/**
 * Writes what nobody confirmed as durable once more, unchanged.
 *
 * A process that died may have met a failed sync. The kernel then holds pages that are right in memory, called
 * clean, and not on the disk: a sync alone would say "done" and do nothing. Written again, they are dirty.
 */
function rewrite(files: Files, window: SegmentWindow, handle: FileHandle, tail: RecoveredTail): void {
  let position = tail.confirmedPosition;
  while (position < tail.endPosition) {
    const length = Math.min(WINDOW_BYTES, tail.endPosition - position);
    const at = window.load(position, length);
    // The file is shorter than its durable end: damage, reported already.
    if (at < 0) return;
    files.write(handle, window.bytes, at, length, position);
    position += length;
  }
}

/** Copies torn bytes into a file of their own, durable before anything is cut. @returns Its path. */
function keepTorn(place: LogPlace, window: SegmentWindow, position: number, bytes: number): string {
  const { files, directory } = place;
  const path = keptPath(files, window.path, position);
  const handle = files.create(path);
  try {
    for (let done = 0; done < bytes;) {
      const length = Math.min(WINDOW_BYTES, bytes - done);
      const at = window.load(position + done, length);
      if (at < 0) break;
      files.write(handle, window.bytes, at, length, done);
      done += length;
    }
    files.sync(handle);
    files.syncDirectory(directory);
  } catch (error) {
    removeQuietly(files, path);
    throw error;
  } finally {
    files.close(handle);
  }
  return path;
}

/** A name that no file has yet. */
function keptPath(files: Files, path: string, position: number): string {
  const slash = path.lastIndexOf("/");
  const names = new Set(files.list(path.slice(0, slash)));
  const kept = `${path}.torn-${position}`;
  for (let number = 1;; number++) {
    const candidate = number === 1 ? kept : `${kept}.${number}`;
    if (!names.has(candidate.slice(slash + 1))) return candidate;
  }
}
