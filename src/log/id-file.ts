/**
 * The message ids of a segment, as hashes, beside it: so that a deduplication table is rebuilt at start
 * by reading these small files instead of the log.
 *
 *     header, 64 bytes                    block header, 32 bytes        entry, 24 bytes
 *      0  u32 magic "ESCM"                 0  u32 magic "ESMB"           0  u32 hash, low word
 *      4  u32 version                      4  u32 entries                4  u32 hash, high word
 *      8  u64 base offset of the segment   8  u64 from offset            8  u64 offset
 *     16  u64 salt of the segment         16  u64 to offset             16  u64 receivedUs
 *     24  u32 number of the hash function 24  u32 CRC-32 of the entries
 *     60  u32 CRC-32 of bytes 0..59       28  u32 CRC-32 of bytes 0..27
 *
 * A block holds every id of the events in [from, to). Blocks speak of durable events only: an id without
 * its event would make a later event look like a duplicate, and lose it. A hint like the index: what
 * no block covers is read from the log.
 */

import type { FileHandle, Files } from "./files.ts";
import { crcOf, readU64, type Salt, writeU64 } from "./format.ts";
import { readSideFile } from "./index-file.ts";

const MAGIC = 0x4d435345;
const BLOCK_MAGIC = 0x424d5345;
const VERSION = 1;
const HEADER_BYTES = 64;
const BLOCK_HEADER_BYTES = 32;
const ENTRY_BYTES = 24;
/** Fewer ids than this wait for the end of the segment: after a kill they are read from the log. */
const BLOCK_ENTRIES_MIN = 1024;
/** More ids than this waiting for a sync are given up, and read from the log if ever needed. */
export const PENDING_IDS_MAX = 128 * 1024;

/** Takes one id: hash words, offset of its event, and when that was received. */
export type IdSink = (hashLo: number, hashHi: number, offset: number, receivedUs: number) => void;

/** A part of the log, `[fromOffset, toOffset)`. */
export interface OffsetRange {
  readonly fromOffset: number;
  readonly toOffset: number;
}

/** Collects the ids of the segment being appended to. Lane worker only. Never throws for the disk. */
export class IdWriter {
  readonly #files: Files;
  readonly #handle: FileHandle | undefined;
  #end: number;
  #broken = false;
  /** Ids of events below this are in the file, or were given up. */
  #coveredTo: number;
  #bytes = new Uint8Array(BLOCK_HEADER_BYTES + BLOCK_ENTRIES_MIN * ENTRY_BYTES);
  #words = new Int32Array(this.#bytes.buffer);
  #count = 0;
  #overflowed = false;

  /**
   * Begins the ids of a new segment, or goes on behind the blocks that are there and whole.
   *
   * @param fromOffset First event whose ids will be added.
   */
  constructor(
    files: Files,
    path: string,
    segment: { baseOffset: number; salt: Salt; hash: number },
    fromOffset: number,
  ) {
    this.#files = files;
    this.#coveredTo = fromOffset;
    this.#end = HEADER_BYTES;
    try {
      const kept = fromOffset === segment.baseOffset
        ? undefined
        : readBlocks(files, path, segment, fromOffset);
      if (kept === undefined) {
        this.#handle = files.create(path);
        const header = encodeHeader(segment);
        files.write(this.#handle, header, 0, header.length, 0);
      } else {
        this.#handle = files.openWrite(path);
        this.#end = kept.end;
        files.truncate(this.#handle, kept.end);
      }
    } catch {
      // Without this file the ids are read from the log.
      this.#broken = true;
    }
  }

  /** Adds one id. Offsets ascend. */
  add(hashLo: number, hashHi: number, offset: number, receivedUs: number): void {
    if (this.#broken || this.#overflowed) return;
    if (this.#count === PENDING_IDS_MAX) {
      this.#overflowed = true;
      return;
    }
    const at = BLOCK_HEADER_BYTES + this.#count * ENTRY_BYTES;
    if (at + ENTRY_BYTES > this.#bytes.length) this.#grow();
    const words = this.#words;
    const word = at >> 2;
    words[word] = hashLo;
    words[word + 1] = hashHi;
    writeU64(words, word + 2, offset);
    writeU64(words, word + 4, receivedUs);
    this.#count++;
  }

  #grow(): void {
    const larger = new Uint8Array(BLOCK_HEADER_BYTES + (this.#bytes.length - BLOCK_HEADER_BYTES) * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#words = new Int32Array(larger.buffer);
  }

  /** Writes a block if enough ids wait. Every event below `durableOffset` must be durable, and so all added. */
  flush(durableOffset: number): void {
    if (this.#count >= BLOCK_ENTRIES_MIN) this.#writeBlock(durableOffset);
  }

  /** Writes what waits, at the end of the segment. */
  seal(durableOffset: number): void {
    this.#writeBlock(durableOffset);
    if (this.#handle !== undefined) this.#files.close(this.#handle);
  }

  /** Forgets ids that wait for a sync which did not come: their events are gone or will be added again. */
  abandon(): void {
    if (this.#handle !== undefined) this.#files.close(this.#handle);
  }

  #writeBlock(durableOffset: number): void {
    if (this.#broken || this.#handle === undefined || durableOffset <= this.#coveredTo) return;
    if (!this.#overflowed) {
      const bytes = BLOCK_HEADER_BYTES + this.#count * ENTRY_BYTES;
      const words = this.#words;
      words[0] = BLOCK_MAGIC;
      words[1] = this.#count;
      writeU64(words, 2, this.#coveredTo);
      writeU64(words, 4, durableOffset);
      words[6] = crcOf(this.#bytes, BLOCK_HEADER_BYTES, bytes);
      words[7] = crcOf(this.#bytes, 0, 28);
      try {
        this.#files.write(this.#handle, this.#bytes, 0, bytes, this.#end);
        this.#end += bytes;
      } catch {
        this.#broken = true;
      }
    }
    this.#coveredTo = durableOffset;
    this.#count = 0;
    this.#overflowed = false;
  }
}

function encodeHeader(segment: { baseOffset: number; salt: Salt; hash: number }): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const words = new Int32Array(bytes.buffer);
  words[0] = MAGIC;
  words[1] = VERSION;
  writeU64(words, 2, segment.baseOffset);
  words[4] = segment.salt.lo;
  words[5] = segment.salt.hi;
  words[6] = segment.hash;
  words[15] = crcOf(bytes, 0, 60);
  return bytes;
}

interface Block extends OffsetRange {
  readonly count: number;
  /** Index of its first entry in `bytes`. */
  readonly at: number;
}

interface Blocks {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly blocks: readonly Block[];
  /** Behind the last whole block. */
  readonly end: number;
}

/** Reads the whole blocks of a file. @returns `undefined` if it is not this segment's. */
function readBlocks(
  files: Files,
  path: string,
  segment: { baseOffset: number; salt: Salt; hash: number },
  endOffset: number,
): Blocks | undefined {
  const bytes = readSideFile(files, path);
  if (bytes === undefined || bytes.length < HEADER_BYTES) return undefined;
  const words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
  const isOurs = words[0] === MAGIC && words[1] === VERSION && words[15] === crcOf(bytes, 0, 60) &&
    readU64(words, 2) === segment.baseOffset && words[4] === segment.salt.lo &&
    words[5] === segment.salt.hi &&
    words[6] === segment.hash;
  if (!isOurs) return undefined;
  const blocks: Block[] = [];
  let at = HEADER_BYTES;
  while (at + BLOCK_HEADER_BYTES <= bytes.length) {
    const word = at >> 2;
    if (words[word] !== BLOCK_MAGIC || words[word + 7] !== crcOf(bytes, at, at + 28)) break;
    const count = words[word + 1] as number;
    const end = at + BLOCK_HEADER_BYTES + count * ENTRY_BYTES;
    const block = {
      count,
      at: at + BLOCK_HEADER_BYTES,
      fromOffset: readU64(words, word + 2),
      toOffset: readU64(words, word + 4),
    };
    const isWhole = end <= bytes.length && words[word + 6] === crcOf(bytes, block.at, end);
    if (!isWhole || block.toOffset > endOffset) break;
    blocks.push(block);
    at = end;
  }
  return { bytes, words, blocks, end: at };
}

/**
 * Reads the ids of one segment, in the order of their offsets.
 *
 * @param endOffset End of the segment: a block that claims more is not believed.
 * @param sink Takes the ids of covered parts.
 * @param onUncovered Is told of each part of `[baseOffset, endOffset)` that no block covers, in its turn.
 */
export function readIds(
  files: Files,
  path: string,
  segment: { baseOffset: number; salt: Salt; hash: number },
  endOffset: number,
  sink: IdSink,
  onUncovered: (range: OffsetRange) => void,
): void {
  let next = segment.baseOffset;
  const read = readBlocks(files, path, segment, endOffset);
  for (const { fromOffset, toOffset, count, at } of read?.blocks ?? []) {
    if (fromOffset > next) onUncovered({ fromOffset: next, toOffset: fromOffset });
    const words = read?.words ?? new Int32Array(0);
    for (let word = at >> 2, end = word + count * (ENTRY_BYTES >> 2); word < end; word += ENTRY_BYTES >> 2) {
      sink(
        words[word] as number,
        words[word + 1] as number,
        readU64(words, word + 2),
        readU64(words, word + 4),
      );
    }
    next = Math.max(next, toOffset);
  }
  if (next < endOffset) onUncovered({ fromOffset: next, toOffset: endOffset });
}
