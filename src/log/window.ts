/**
 * A sliding view of one segment file: read in large pieces, walked batch by batch without further calls.
 *
 * The start is always a multiple of 8 in the file and in the buffer, so that batches can be read as words.
 */

import {
  BATCH_MAGIC,
  batchBaseOffset,
  batchLength,
  batchSalt,
  decodeSegmentHeader,
  isBatchHeader,
  isBodyIntact,
  LOG_BATCH_HEADER_BYTES,
  type Salt,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./format.ts";
import { fileErrorCode, type FileHandle, type Files } from "./files.ts";

export const WINDOW_BYTES = 1 << 20;
/** First piece after a catch-up: what was appended meanwhile is mostly little. */
export const WINDOW_BYTES_MIN = 1 << 16;
/** What a disk loses together when it cannot read. */
const BLOCK_BYTES = 4096;

/** A reused, growing buffer over one open file at a time. One thread. */
export class SegmentWindow {
  /** Valid until the next `load()`: growing replaces them. */
  bytes: Uint8Array;
  words: Int32Array;
  /** Of the open segment; `undefined` when its header is damaged and nothing in it is whole either. */
  salt: Salt | undefined;
  header: SegmentHeader | undefined;
  path = "";
  readonly #files: Files;
  #handle: FileHandle | undefined;
  #start = 0;
  #length = 0;
  #readBytes = WINDOW_BYTES_MIN;

  constructor(files: Files) {
    this.#files = files;
    this.bytes = new Uint8Array(0);
    this.words = new Int32Array(0);
  }

  get isOpen(): boolean {
    return this.#handle !== undefined;
  }

  /**
   * Opens a segment in place of the one before, and reads its header.
   *
   * With a damaged header the salt is taken from the first batch that looks whole.
   *
   * @throws {EscError} `LOG_VERSION`. File errors are passed on; nothing is open then.
   */
  open(path: string): void {
    this.close();
    this.#handle = this.#files.openRead(path);
    this.path = path;
    try {
      this.#readHeader();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #readHeader(): void {
    this.salt = undefined;
    const at = this.load(0, SEGMENT_HEADER_BYTES);
    this.header = at < 0
      ? undefined
      : decodeSegmentHeader(this.bytes.subarray(at, at + SEGMENT_HEADER_BYTES), this.path);
    this.salt = this.header?.salt;
    if (this.header !== undefined) return;
    const position = this.findBatch(SEGMENT_HEADER_BYTES, 0);
    if (position < 0) return;
    this.salt = batchSalt(this.words, this.load(position, LOG_BATCH_HEADER_BYTES));
  }

  close(): void {
    this.forget();
    if (this.#handle === undefined) return;
    const handle = this.#handle;
    this.#handle = undefined;
    this.#files.close(handle);
  }

  /** Bytes of the open file. */
  fileBytes(): number {
    return this.#handle === undefined ? 0 : this.#files.size(this.#handle);
  }

  /** Forgets what was read: the file has changed behind it. The next piece read is small. */
  forget(): void {
    this.#start = 0;
    this.#length = 0;
    this.#readBytes = WINDOW_BYTES_MIN;
  }

  /**
   * Makes `length` bytes at `position` present.
   *
   * @param position A multiple of 8.
   * @returns Their index in `bytes`, or -1 when the file ends before.
   */
  load(position: number, length: number): number {
    const at = position - this.#start;
    if (at >= 0 && at + length <= this.#length) return at;
    if (this.#handle === undefined) return -1;
    // Whoever leaves out what lies between will go on doing so, and wants little where he comes to.
    if (this.#length > 0 && position > this.#start + this.#length) this.#readBytes = BLOCK_BYTES;
    const wanted = Math.max(length, this.#readBytes);
    if (this.bytes.length < wanted) {
      const buffer = new ArrayBuffer(Math.ceil(wanted / WINDOW_BYTES_MIN) * WINDOW_BYTES_MIN);
      this.bytes = new Uint8Array(buffer);
      this.words = new Int32Array(buffer);
    }
    this.#start = position;
    this.#length = this.#read(this.#handle, wanted, position);
    // Whoever reads on gets larger pieces: one call a MiB costs nothing beside the copy itself.
    this.#readBytes = Math.min(this.#readBytes * 4, WINDOW_BYTES);
    return this.#length >= length ? 0 : -1;
  }

  #read(handle: FileHandle, length: number, position: number): number {
    try {
      return this.#files.read(handle, this.bytes, 0, length, position);
    } catch (error) {
      if (fileErrorCode(error) !== "EIO") throw error;
      return this.#readAround(handle, Math.min(length, this.#files.size(handle) - position), position);
    }
  }

  /** Reads block by block; one the disk cannot give becomes zeros, which then fails its check like any damage. */
  #readAround(handle: FileHandle, length: number, position: number): number {
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      const bytes = Math.min(BLOCK_BYTES, length - at);
      try {
        this.#files.read(handle, this.bytes, at, bytes, position + at);
      } catch (error) {
        if (fileErrorCode(error) !== "EIO") throw error;
        this.bytes.fill(0, at, at + bytes);
      }
    }
    return Math.max(0, length);
  }

  /** Index of the whole batch header at `position`, or -1 if there is none. Says nothing about its body. */
  headerAt(position: number): number {
    const at = this.load(position, LOG_BATCH_HEADER_BYTES);
    return at >= 0 && isBatchHeader(this.bytes, this.words, at, this.salt) ? at : -1;
  }

  /** Index of the whole batch whose header lies at `position`, or -1 if its body is damaged or cut off. */
  batchAt(position: number): number {
    const length = batchLength(this.words, this.load(position, LOG_BATCH_HEADER_BYTES));
    const at = this.load(position, length);
    return at >= 0 && isBodyIntact(this.bytes, this.words, at) ? at : -1;
  }

  /**
   * Searches for the next batch header from `position` on, whose base offset is at least `offsetMin`.
   *
   * @returns Its position, or -1 if there is none up to the end of the file.
   */
  findBatch(position: number, offsetMin: number): number {
    for (let from = position;;) {
      const at = this.load(from, LOG_BATCH_HEADER_BYTES);
      if (at < 0) return -1;
      const { words } = this;
      const end = this.#length - LOG_BATCH_HEADER_BYTES;
      for (let index = at; index <= end; index += 8) {
        if (words[index >> 2] !== BATCH_MAGIC) continue;
        if (!isBatchHeader(this.bytes, words, index, this.salt)) continue;
        if (batchBaseOffset(words, index) >= offsetMin) return this.#start + index;
      }
      from = this.#start + end - (end & 7) + 8;
    }
  }

  /** Position behind the last byte from `position` on that is not zero, rounded up to 8; `position` if none is. */
  endOfData(position: number): number {
    let end = position;
    for (let from = position; this.load(from, 1) >= 0;) {
      const { words } = this;
      // The buffer's bytes behind the file's end are old: the last word may hold some of them.
      const last = this.#length - 1;
      if ((this.#length & 3) !== 0) this.bytes.fill(0, this.#length, this.#length + 4 - (this.#length & 3));
      let word = last >> 2;
      while (word >= 0 && words[word] === 0) word--;
      if (word >= 0 && this.#start + word * 4 >= position) {
        end = this.#start + Math.min(((word + 2) >> 1) * 8, this.#length);
      }
      from = this.#start + this.#length;
    }
    return end;
  }
}
