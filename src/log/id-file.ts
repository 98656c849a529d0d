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

/**
 * Takes one id: hash words, offset of its event, and when that was received.
 *
 * @returns `false` when no more are wanted.
 */
export type IdSink = (hashLo: number, hashHi: number, offset: number, receivedUs: number) => boolean;

/** A part of the log, `[fromOffset, toOffset)`. */
export interface OffsetRange {
  readonly fromOffset: number;
  readonly toOffset: number;
}

/** Which segment's ids a file must hold, by which hash function. */
export interface IdFileOwner {
  readonly baseOffset: number;
  readonly salt: Salt;
  readonly hash: number;
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
    segment: IdFileOwner,
    fromOffset: number,
  ) {
    this.#files = files;
    this.#coveredTo = fromOffset;
    this.#end = HEADER_BYTES;
    try {
      const kept = fromOffset === segment.baseOffset
        ? undefined
        : endOfBlocks(files, path, segment, fromOffset);
      if (kept === undefined) {
        this.#handle = files.create(path);
        const header = encodeHeader(segment);
        files.write(this.#handle, header, 0, header.length, 0);
      } else {
        this.#handle = files.openWrite(path);
        this.#end = kept;
        files.truncate(this.#handle, kept);
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

function encodeHeader(segment: IdFileOwner): Uint8Array {
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
  /** Position of its first entry. */
  readonly position: number;
}

/** One id file, open for reading: its blocks are listed by their headers, and read only when they are wanted. */
export class IdFile {
  /** Ascending. Whether the entries of a block are whole shows when it is read. */
  readonly blocks: readonly Block[];
  /** Behind the last block. */
  readonly end: number;
  readonly #files: Files;
  readonly #handle: FileHandle;
  #bytes = new Uint8Array(0);
  #words = new Int32Array(0);

  private constructor(files: Files, handle: FileHandle, endOffset: number) {
    this.#files = files;
    this.#handle = handle;
    const blocks: Block[] = [];
    let end = HEADER_BYTES;
    for (let block = this.#blockAt(end); block !== undefined; block = this.#blockAt(end)) {
      if (block.toOffset > endOffset) break;
      blocks.push(block);
      end = block.position + block.count * ENTRY_BYTES;
    }
    this.blocks = blocks;
    this.end = end;
  }

  /**
   * @param endOffset End of the segment: a block that claims more is not believed, nor are those behind it.
   * @returns `undefined` if there is none, or it cannot be read, or is of another segment or hash function.
   */
  static open(files: Files, path: string, owner: IdFileOwner, endOffset: number): IdFile | undefined {
    let handle: FileHandle | undefined;
    try {
      handle = files.openRead(path);
      const header = new Uint8Array(HEADER_BYTES);
      const isWhole = files.read(handle, header, 0, HEADER_BYTES, 0) === HEADER_BYTES;
      if (isWhole && isHeaderOf(header, owner)) {
        const file = new IdFile(files, handle, endOffset);
        handle = undefined;
        return file;
      }
    } catch {
      // Missing or unreadable comes to the same: the log itself is read instead.
    } finally {
      if (handle !== undefined) files.close(handle);
    }
    return undefined;
  }

  close(): void {
    this.#files.close(this.#handle);
  }

  #blockAt(position: number): Block | undefined {
    const bytes = this.#load(position, BLOCK_HEADER_BYTES);
    if (bytes === undefined) return undefined;
    const words = this.#words;
    if (words[0] !== BLOCK_MAGIC || words[7] !== crcOf(bytes, 0, 28)) return undefined;
    const count = words[1] as number;
    const block = {
      count,
      position: position + BLOCK_HEADER_BYTES,
      fromOffset: readU64(words, 2),
      toOffset: readU64(words, 4),
    };
    return block.position + count * ENTRY_BYTES <= this.#files.size(this.#handle) ? block : undefined;
  }

  /**
   * Gives the ids of a block, newest first.
   *
   * @returns `false` if the sink has enough; `undefined` if the block is damaged: nothing was given.
   */
  readBlock(block: Block, sink: IdSink): boolean | undefined {
    const bytes = this.#load(
      block.position - BLOCK_HEADER_BYTES,
      BLOCK_HEADER_BYTES + block.count * ENTRY_BYTES,
    );
    if (bytes === undefined) return undefined;
    const words = this.#words;
    const end = bytes.length;
    if (words[6] !== crcOf(bytes, BLOCK_HEADER_BYTES, end)) return undefined;
    for (let at = end - ENTRY_BYTES; at >= BLOCK_HEADER_BYTES; at -= ENTRY_BYTES) {
      const word = at >> 2;
      const offset = readU64(words, word + 2);
      if (!sink(words[word] as number, words[word + 1] as number, offset, readU64(words, word + 4))) {
        return false;
      }
    }
    return true;
  }

  /** @returns What was read, from the start of the buffer; `undefined` if the file ends before or cannot be read. */
  #load(position: number, length: number): Uint8Array | undefined {
    if (this.#bytes.length < length) {
      this.#bytes = new Uint8Array((length + 7) & ~7);
      this.#words = new Int32Array(this.#bytes.buffer);
    }
    try {
      const read = this.#files.read(this.#handle, this.#bytes, 0, length, position);
      return read === length ? this.#bytes.subarray(0, length) : undefined;
    } catch {
      return undefined;
    }
  }
}

function isHeaderOf(bytes: Uint8Array, { baseOffset, salt, hash }: IdFileOwner): boolean {
  const words = new Int32Array(bytes.buffer);
  return words[0] === MAGIC && words[1] === VERSION && words[15] === crcOf(bytes, 0, 60) &&
    readU64(words, 2) === baseOffset && words[4] === salt.lo && words[5] === salt.hi && words[6] === hash;
}

/** Where the next block goes; `undefined` if the file has to be begun anew. */
function endOfBlocks(files: Files, path: string, owner: IdFileOwner, endOffset: number): number | undefined {
  const file = IdFile.open(files, path, owner, endOffset);
  file?.close();
  return file?.end;
}
