/**
 * The sparse index beside a segment: where about every 64 KiB of it begins, and how far it was durable.
 *
 *     header, 64 bytes                       entry, 32 bytes, from byte 64 on
 *      0  u32 magic "ESCI"                    0  u64 offset of the batch's first event
 *      4  u32 version                         8  u64 position of the batch in the segment
 *      8  u64 base offset of the segment     16  u64 largest receivedUs before that position, 0 if none
 *     16  u64 salt of the segment            24  u32 0
 *     24  u64 durable offset                 28  u32 CRC-32 of bytes 0..27
 *     32  u64 position of the durable end
 *     40  zeros
 *     60  u32 CRC-32 of bytes 0..59
 *
 * A hint: written without a sync, only ever about events that are durable already, and checked against
 * the segment by whoever uses it. It may be missing, cut, stale or garbage at any time.
 */

import { crcOf, readU64, type Salt, writeU64 } from "./format.ts";
import type { FileHandle, Files } from "./files.ts";

export const INDEX_BYTES_DEFAULT = 64 * 1024;

const MAGIC = 0x49435345;
const VERSION = 1;
const HEADER_BYTES = 64;
const ENTRY_BYTES = 32;
/** Enough for a 16 GiB segment; more is not an index. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface IndexEntry {
  readonly offset: number;
  readonly position: number;
  readonly receivedUsMax: number;
}

export interface SegmentIndex {
  /** Every event below had been synced, and lies before `durablePosition`. */
  readonly durableOffset: number;
  readonly durablePosition: number;
  /** Ascending; whatever fails its check is left out. */
  readonly entries: readonly IndexEntry[];
}

/** Reads an index. @returns `undefined` if it is not there, not readable, or of another segment. */
export function readIndex(
  files: Files,
  path: string,
  baseOffset: number,
  salt: Salt | undefined,
): SegmentIndex | undefined {
  const bytes = readSideFile(files, path);
  if (bytes === undefined || salt === undefined || bytes.length < HEADER_BYTES) return undefined;
  const words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
  const isOurs = words[0] === MAGIC && words[1] === VERSION && words[15] === crcOf(bytes, 0, 60) &&
    readU64(words, 2) === baseOffset && words[4] === salt.lo && words[5] === salt.hi;
  if (!isOurs) return undefined;
  const entries: IndexEntry[] = [];
  let positionMin = HEADER_BYTES;
  for (let at = HEADER_BYTES; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const word = at >> 2;
    if (words[word + 7] !== crcOf(bytes, at, at + 28)) continue;
    const entry = {
      offset: readU64(words, word),
      position: readU64(words, word + 2),
      receivedUsMax: readU64(words, word + 4),
    };
    if (entry.position < positionMin || (entry.position & 7) !== 0) continue;
    entries.push(entry);
    positionMin = entry.position + 1;
  }
  return { durableOffset: readU64(words, 6), durablePosition: readU64(words, 8), entries };
}

/** Reads a whole side file. @returns `undefined` if it cannot be read: it is only a hint. */
export function readSideFile(files: Files, path: string): Uint8Array | undefined {
  let handle: FileHandle | undefined;
  try {
    handle = files.openRead(path);
    const bytes = new Uint8Array(Math.min(files.size(handle), FILE_BYTES_MAX));
    const length = files.read(handle, bytes, 0, bytes.length, 0);
    return bytes.subarray(0, length);
  } catch {
    // Missing or unreadable comes to the same: the segment itself is read instead.
    return undefined;
  } finally {
    if (handle !== undefined) files.close(handle);
  }
}

/** Writes the index of the segment being appended to. Lane worker only. Never throws: it is only a hint. */
export class IndexWriter {
  readonly #files: Files;
  readonly #handle: FileHandle | undefined;
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES);
  readonly #headerWords: Int32Array = new Int32Array(this.#header.buffer);
  #pending: IndexEntry[];
  #end = HEADER_BYTES;

  /** Begins an index with `entries`, in place of whatever is there. */
  constructor(
    files: Files,
    path: string,
    baseOffset: number,
    salt: Salt,
    entries: readonly IndexEntry[] = [],
  ) {
    this.#files = files;
    this.#pending = [...entries];
    const words = this.#headerWords;
    words[0] = MAGIC;
    words[1] = VERSION;
    writeU64(words, 2, baseOffset);
    words[4] = salt.lo;
    words[5] = salt.hi;
    this.#handle = openOrCreate(files, path);
  }

  /** Remembers a batch; it is written once durable. */
  note(offset: number, position: number, receivedUsMax: number): void {
    this.#pending.push({ offset, position, receivedUsMax });
  }

  /**
   * Writes what is durable now. Entries that cannot be written are left out, and readers scan a little more;
   * the mark of the durable end is written anew each time.
   */
  flush(durableOffset: number, durablePosition: number): void {
    const ready = this.#pending.filter((entry) => entry.offset < durableOffset);
    if (ready.length > 0) {
      this.#pending = this.#pending.filter((entry) => entry.offset >= durableOffset);
      const bytes = encodeEntries(ready);
      if (this.#write(bytes, this.#end)) this.#end += bytes.length;
    }
    writeU64(this.#headerWords, 6, durableOffset);
    writeU64(this.#headerWords, 8, durablePosition);
    this.#headerWords[15] = crcOf(this.#header, 0, 60);
    this.#write(this.#header, 0);
  }

  #write(bytes: Uint8Array, position: number): boolean {
    if (this.#handle === undefined) return false;
    try {
      this.#files.write(this.#handle, bytes, 0, bytes.length, position);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#handle !== undefined) this.#files.close(this.#handle);
  }
}

/**
 * Opens the file as it is, so that a full disk does not keep its header from being written again: old entries
 * behind the new ones are no more than hints that the segment does not confirm.
 */
function openOrCreate(files: Files, path: string): FileHandle | undefined {
  try {
    return files.openWrite(path);
  } catch {
    // Not there, most likely.
  }
  try {
    return files.create(path);
  } catch {
    return undefined;
  }
}

function encodeEntries(entries: readonly IndexEntry[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES);
  const words = new Int32Array(bytes.buffer);
  let at = 0;
  for (const entry of entries) {
    const word = at >> 2;
    writeU64(words, word, entry.offset);
    writeU64(words, word + 2, entry.position);
    writeU64(words, word + 4, entry.receivedUsMax);
    words[word + 7] = crcOf(bytes, at, at + 28);
    at += ENTRY_BYTES;
  }
  return bytes;
}
