/** The one segment of a log that is written to. Lane worker only. */

import { type DamageReport } from "./damage.ts";
import type { FileHandle, Files } from "./files.ts";
import { encodeSegmentHeader, type Salt, SEGMENT_HEADER_BYTES } from "./format.ts";
import { IdWriter } from "./id-file.ts";
import { type IndexEntry, IndexWriter } from "./index-file.ts";
import { segmentPath } from "./segments.ts";

/** Settings of one log. */
export interface LogOptions {
  /** Size of a segment file. A larger batch gets a segment of its own. */
  readonly segmentBytes: number;
  /** One index entry for about so many bytes. */
  readonly indexBytes: number;
  /** Free bytes on the disk below which no new segment is begun (`log.min_free`). */
  readonly minFreeBytes: number;
  /** Number of the hash function behind `addId()`; `undefined` when nobody adds ids. */
  readonly idHash: number | undefined;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Fills the words with random bits. */
  readonly random: (words: Int32Array<ArrayBuffer>) => void;
}

export const LOG_OPTIONS_DEFAULT: LogOptions = {
  segmentBytes: 64 * 1024 * 1024,
  indexBytes: 64 * 1024,
  minFreeBytes: 256 * 1024 * 1024,
  idHash: undefined,
  nowUs: () => Date.now() * 1000,
  random: (words) => {
    crypto.getRandomValues(words);
  },
};

/** Where the files of a log are, and how it is set up. */
export interface LogPlace {
  readonly files: Files;
  readonly directory: string;
  readonly options: LogOptions;
  readonly report: DamageReport;
}

/** Positions and side files of the segment being written. */
export class ActiveSegment {
  readonly path: string;
  readonly baseOffset: number;
  readonly salt: Salt;
  readonly handle: FileHandle;
  /** End of what was written, and of what is durable. */
  position: number;
  durablePosition: number;
  readonly #index: IndexWriter;
  readonly #ids: IdWriter | undefined;
  readonly #place: LogPlace;
  #indexedPosition = 0;

  constructor(
    place: LogPlace,
    handle: FileHandle,
    segment: {
      baseOffset: number;
      salt: Salt;
      endPosition: number;
      nextOffset: number;
      entries: readonly IndexEntry[];
    },
  ) {
    const { files, directory, options } = place;
    this.#place = place;
    this.handle = handle;
    this.baseOffset = segment.baseOffset;
    this.salt = segment.salt;
    this.path = segmentPath(directory, segment.baseOffset, "log");
    this.position = segment.endPosition;
    this.durablePosition = segment.endPosition;
    this.#indexedPosition = segment.entries.at(-1)?.position ?? 0;
    const sidePath = (extension: "idx" | "ids") => segmentPath(directory, segment.baseOffset, extension);
    this.#index = new IndexWriter(files, sidePath("idx"), segment.baseOffset, segment.salt, segment.entries);
    this.#index.flush(segment.nextOffset, segment.endPosition);
    this.#ids = options.idHash === undefined
      ? undefined
      : new IdWriter(files, sidePath("ids"), { ...segment, hash: options.idHash }, segment.nextOffset);
  }

  /** Whether a batch of `length` bytes belongs into this segment and not into a new one. */
  hasRoomFor(length: number): boolean {
    return this.position + length <= this.#place.options.segmentBytes ||
      this.position === SEGMENT_HEADER_BYTES;
  }

  /**
   * Writes one whole batch behind the last. On a throw nothing counts as written.
   *
   * @param receivedUsMax Of everything before it.
   */
  write(bytes: Uint8Array, at: number, length: number, offset: number, receivedUsMax: number): void {
    this.#place.files.write(this.handle, bytes, at, length, this.position);
    if (this.position - this.#indexedPosition >= this.#place.options.indexBytes) {
      this.#index.note(offset, this.position, receivedUsMax);
      this.#indexedPosition = this.position;
    }
    this.position += length;
  }

  addId(hashLo: number, hashHi: number, offset: number, receivedUs: number): void {
    this.#ids?.add(hashLo, hashHi, offset, receivedUs);
  }

  /** Makes everything written durable. @param nextOffset Offset behind the last event written. */
  sync(nextOffset: number): void {
    this.#place.files.sync(this.handle);
    this.durablePosition = this.position;
    this.#index.flush(nextOffset, this.position);
    this.#ids?.flush(nextOffset);
  }

  /** Ends a segment that is wholly durable: gives back the room it did not use, and closes it. */
  seal(nextOffset: number): void {
    const { files } = this.#place;
    this.#ids?.seal(nextOffset);
    this.#index.close();
    try {
      files.truncate(this.handle, this.position);
      files.sync(this.handle);
    } catch {
      // Its events are durable already; zeros behind them only cost room, and readers know them as the end.
    } finally {
      files.close(this.handle);
    }
  }

  /** Gives the file up as it is, closes its side files, and hands its handle to the caller to close. */
  release(): FileHandle {
    this.#ids?.abandon();
    this.#index.close();
    return this.handle;
  }
}

/**
 * Makes a new segment, durable under its name before anything can be appended to it.
 *
 * It is built under another name, so that a segment file always has a header: of a crash on the way only
 * the unfinished file remains, which the next `open` removes.
 *
 * @param fill Writes what the segment begins with behind its header, and returns the end position.
 * @throws The error of `files`; the unfinished file is removed if possible. An existing segment with this
 *   base offset is replaced only by a complete new one.
 */
export function createSegment(
  place: LogPlace,
  segment: { baseOffset: number; nextOffset: number; createdUs: number },
  fill?: (handle: FileHandle, salt: Salt) => number,
): ActiveSegment {
  const { files, directory, options } = place;
  const { baseOffset, createdUs } = segment;
  const unfinished = segmentPath(directory, baseOffset, "log.new");
  const random = new Int32Array(2);
  options.random(random);
  const salt = { lo: random[0] as number, hi: random[1] as number };
  const handle = files.create(unfinished);
  let endPosition = SEGMENT_HEADER_BYTES;
  try {
    // Without reserved room the file grows as it is written: slower, and a full disk shows itself there.
    if (!files.preallocate(handle, options.segmentBytes)) files.truncate(handle, 0);
    const header = encodeSegmentHeader({ baseOffset, createdUs, salt });
    files.write(handle, header, 0, header.length, 0);
    if (fill !== undefined) endPosition = fill(handle, salt);
    files.sync(handle);
    files.rename(unfinished, segmentPath(directory, baseOffset, "log"));
  } catch (error) {
    files.close(handle);
    removeQuietly(files, unfinished);
    throw error;
  }
  return new ActiveSegment(place, handle, { ...segment, salt, endPosition, entries: [] });
}

/** @throws An error with code `ENOSPC` if less than `minFreeBytes` is free: no new segment is begun then. */
export function requireSpace({ files, directory, options }: LogPlace): void {
  if (files.freeBytes(directory) >= options.minFreeBytes) return;
  const message = `Less than log.min_free (${options.minFreeBytes} bytes) is free`;
  throw Object.assign(new Error(message), { code: "ENOSPC" });
}

/** Removes a file that nothing depends on: one that cannot be removed is left behind, and harms nobody. */
export function removeQuietly(files: Files, path: string): void {
  try {
    files.unlink(path);
  } catch {
    // Nobody reads it. An unfinished segment is tried again by the next `open`.
  }
}
