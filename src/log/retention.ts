/** The segments behind the one being written, and removing those that are too old or too many. */

import { logUnavailable } from "./damage.ts";
import { fileErrorCode, type FileHandle, type Files } from "./files.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./format.ts";
import type { LogPlace } from "./segment.ts";
import { segmentPath } from "./segments.ts";

/** What may be kept; a missing limit is none. */
export interface Retention {
  /** Events received longer ago may go. */
  readonly maxAgeUs?: number | undefined;
  /** Above this the oldest segments go. */
  readonly maxBytes?: number | undefined;
  /** Events below may go. */
  readonly dispensableOffset?: number | undefined;
  readonly nowUs: number;
}

export interface RetentionResult {
  readonly segments: number;
  readonly bytes: number;
}

interface SealedSegment {
  readonly baseOffset: number;
  readonly bytes: number;
  /** No event in it was received later; `undefined`: ask when the next segment was begun. */
  readonly endUs: number | undefined;
}

/** All segments but the one being written, oldest first. Lane worker only. */
export class SegmentLedger {
  readonly #place: LogPlace;
  readonly #sealed: SealedSegment[] = [];
  readonly #createdUs = new Map<number, number | undefined>();
  #bytes = 0;

  constructor(place: LogPlace, baseOffsets: readonly number[]) {
    this.#place = place;
    for (const baseOffset of baseOffsets) this.add(baseOffset, sizeOf(place, baseOffset));
  }

  get firstOffset(): number | undefined {
    return this.#sealed[0]?.baseOffset;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Ascending. */
  baseOffsets(): number[] {
    return this.#sealed.map((segment) => segment.baseOffset);
  }

  add(baseOffset: number, bytes: number, endUs?: number): void {
    this.#sealed.push({ baseOffset, bytes, endUs });
    this.#bytes += bytes;
  }

  get first(): SealedSegment | undefined {
    return this.#sealed[0];
  }

  get second(): SealedSegment | undefined {
    return this.#sealed[1];
  }

  removeFirst(): void {
    const removed = this.#sealed.shift();
    if (removed === undefined) return;
    this.#bytes -= removed.bytes;
    this.#createdUs.delete(removed.baseOffset);
  }

  /** When a segment was begun; `undefined` if its header cannot be read. */
  createdUs(baseOffset: number): number | undefined {
    if (!this.#createdUs.has(baseOffset)) {
      this.#createdUs.set(baseOffset, readCreatedUs(this.#place, baseOffset));
    }
    return this.#createdUs.get(baseOffset);
  }
}

/**
 * Removes segments from the oldest on, as long as a limit is exceeded.
 *
 * A segment is dispensable when all in it is. It is too old when all in it is: at the latest when the one after it was begun before the age limit.
 *
 * @param active The segment being written: counted, never removed. A failed log may have none.
 * @throws {EscError} `LOG_UNAVAILABLE` if a file cannot be removed.
 */
export function retainSegments(
  place: LogPlace,
  ledger: SegmentLedger,
  retention: Retention,
  active: { readonly bytes: number; readonly baseOffset: number | undefined },
): RetentionResult {
  let segments = 0;
  let bytes = 0;
  for (;;) {
    const oldest = ledger.first;
    if (oldest === undefined) break;
    const follower = ledger.second?.baseOffset ?? active.baseOffset;
    // The last segment stays in any case: its name is what the next offset is known by.
    if (follower === undefined) break;
    const isDispensable = follower <= (retention.dispensableOffset ?? 0);
    if (
      !isDispensable && !isTooMuch(ledger, retention, active.bytes) && !isTooOld(ledger, retention, follower)
    ) break;
    try {
      removeSegment(place, oldest.baseOffset);
    } catch (error) {
      throw logUnavailable(
        `remove old segments of the log in '${place.directory}'`,
        error,
        fileErrorCode(error),
      );
    }
    ledger.removeFirst();
    segments++;
    bytes += oldest.bytes;
  }
  return { segments, bytes };
}

function isTooMuch(ledger: SegmentLedger, retention: Retention, activeBytes: number): boolean {
  return retention.maxBytes !== undefined && ledger.bytes + activeBytes > retention.maxBytes;
}

function isTooOld(ledger: SegmentLedger, retention: Retention, follower: number): boolean {
  if (retention.maxAgeUs === undefined) return false;
  const endUs = ledger.first?.endUs ?? ledger.createdUs(follower);
  return endUs !== undefined && endUs < retention.nowUs - retention.maxAgeUs;
}

/** Hints first: without them a segment is whole, without a segment they are rubbish that nobody removes. */
function removeSegment(place: LogPlace, baseOffset: number): void {
  const { files, directory } = place;
  removeIfThere(files, segmentPath(directory, baseOffset, "idx"));
  removeIfThere(files, segmentPath(directory, baseOffset, "ids"));
  removeIfThere(files, segmentPath(directory, baseOffset, "log"));
  // Durable before the next one goes: a crash may otherwise bring back an older segment and not a newer one.
  files.syncDirectory(directory);
}

function removeIfThere(files: Files, path: string): void {
  try {
    files.unlink(path);
  } catch (error) {
    if (fileErrorCode(error) !== "ENOENT") throw error;
  }
}

/** Runs `use` on the open segment; `undefined` if it cannot be read. */
function withSegment<T>(
  place: LogPlace,
  baseOffset: number,
  use: (handle: FileHandle, path: string) => T,
): T | undefined {
  const { files, directory } = place;
  const path = segmentPath(directory, baseOffset, "log");
  let handle: FileHandle | undefined;
  try {
    handle = files.openRead(path);
    return use(handle, path);
  } catch {
    // Sizes and times serve retention only; readers report what is wrong with the segment.
    return undefined;
  } finally {
    if (handle !== undefined) files.close(handle);
  }
}

function sizeOf(place: LogPlace, baseOffset: number): number {
  return withSegment(place, baseOffset, (handle) => place.files.size(handle)) ?? 0;
}

function readCreatedUs(place: LogPlace, baseOffset: number): number | undefined {
  return withSegment(place, baseOffset, (handle, path) => {
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
    const length = place.files.read(handle, bytes, 0, bytes.length, 0);
    return decodeSegmentHeader(bytes.subarray(0, length), path)?.createdUs;
  });
}
