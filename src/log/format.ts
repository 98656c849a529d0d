/**
 * How a segment file looks, byte by byte (docs/log-format.md tells it in prose).
 *
 *     segment = segment header | batch | batch | ... | zeros (room reserved and not yet used)
 *     batch   = batch header | run record | run record | ...     run records: see event/run.ts
 *
 *     segment header, 64 bytes           batch header, 64 bytes
 *      0  8 bytes "ESCLOG\r\n"            0  u32 magic "ESCB"
 *      8  u32 format version              4  u32 length, header included, a multiple of 8
 *     12  u32 0                           8  u32 CRC-32 of the body
 *     16  u64 base offset                12  u32 events in the batch, ≥ 1
 *     24  u64 created, µs since 1970     16  u64 offset of its first event
 *     32  u64 salt                       24  u64 receivedUs, smallest
 *     40  zeros                          32  u64 receivedUs, largest
 *     60  u32 CRC-32 of bytes 0..59      40  u64 durable offset when it was written
 *                                        48  u64 salt of its segment
 *                                        56  u32 flags
 *                                        60  u32 CRC-32 of bytes 0..59
 *
 * Little-endian, everything 8-byte aligned. Magic, version and CRC of the segment header keep their
 * place in every later version. The salt is random: a payload that looks like a batch header cannot be
 * taken for one when a reader searches its way past damage. The durable offset tells recovery which
 * earlier batches had reached the disk: damage among those is damage, behind them it is a torn tail.
 */

import { EscError } from "../errors.ts";

export const LOG_FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
/** Room a caller of `LogWriter.append()` leaves before the body. */
export const LOG_BATCH_HEADER_BYTES = 64;
/** Largest batch, header included: a length over this in a header is damage. */
export const LOG_BATCH_BYTES_MAX = 256 * 1024 * 1024;

/** Flag: at least one event of the batch may carry a message id. */
export const BATCH_HAS_IDS = 1;

// "ESCLOG\r\n": the line end shows a transfer in text mode.
const SEGMENT_MAGIC_LO = 0x4c435345;
const SEGMENT_MAGIC_HI = 0x0a0d474f;
/** "ESCB" */
export const BATCH_MAGIC = 0x42435345;

// Word indexes within a batch header.
export const BATCH_LENGTH = 1;
const BODY_CRC = 2;
const COUNT = 3;
const BASE = 4;
const FIRST_RECEIVED = 6;
const LAST_RECEIVED = 8;
const DURABLE = 10;
const SALT = 12;
const FLAGS = 14;
const HEADER_CRC = 15;
const HEADER_CRC_BYTES = 60;

/** Two random words that every batch of a segment repeats. */
export interface Salt {
  readonly lo: number;
  readonly hi: number;
}

/** Reads a u64 below 2^53. @param word Index of its low word. */
export function readU64(words: Int32Array, word: number): number {
  return ((words[word] as number) >>> 0) + ((words[word + 1] as number) >>> 0) * 0x1_0000_0000;
}

export function writeU64(words: Int32Array, word: number, value: number): void {
  words[word] = value;
  words[word + 1] = Math.floor(value / 0x1_0000_0000);
}

/** CRC-32 (IEEE) of a part of `bytes`. */
export function crcOf(bytes: Uint8Array, from: number, to: number): number {
  return Bun.hash.crc32(bytes.subarray(from, to)) | 0;
}

export interface SegmentHeader {
  readonly baseOffset: number;
  readonly createdUs: number;
  readonly salt: Salt;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const words = new Int32Array(bytes.buffer);
  words[0] = SEGMENT_MAGIC_LO;
  words[1] = SEGMENT_MAGIC_HI;
  words[2] = LOG_FORMAT_VERSION;
  writeU64(words, 4, header.baseOffset);
  writeU64(words, 6, header.createdUs);
  words[8] = header.salt.lo;
  words[9] = header.salt.hi;
  words[15] = crcOf(bytes, 0, HEADER_CRC_BYTES);
  return bytes;
}

/**
 * Reads a segment header.
 *
 * @returns `undefined` if it is damaged or not one at all.
 * @throws {EscError} `LOG_VERSION` if it is whole and of a newer version.
 */
export function decodeSegmentHeader(bytes: Uint8Array, path: string): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES) return undefined;
  const words = new Int32Array(bytes.slice(0, SEGMENT_HEADER_BYTES).buffer);
  if (words[0] !== SEGMENT_MAGIC_LO || words[1] !== SEGMENT_MAGIC_HI) return undefined;
  if (words[15] !== crcOf(bytes, 0, HEADER_CRC_BYTES)) return undefined;
  const version = (words[2] as number) >>> 0;
  if (version > LOG_FORMAT_VERSION) {
    throw new EscError(
      "LOG_VERSION",
      `Cannot read '${path}': its log format is version ${version}, this esc knows versions up to ${LOG_FORMAT_VERSION}`,
      { hint: "Start the esc version that wrote it, or a newer one" },
    );
  }
  return {
    baseOffset: readU64(words, 4),
    createdUs: readU64(words, 6),
    salt: { lo: words[8] as number, hi: words[9] as number },
  };
}

/** What `writeBatchHeader` puts into a header. */
export interface BatchFields {
  /** Header and body, a multiple of 8. */
  readonly length: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly firstReceivedUs: number;
  readonly lastReceivedUs: number;
  readonly durableOffset: number;
  readonly salt: Salt;
  readonly flags: number;
}

/** Writes the header before a body that is complete, both CRCs included. @param at Multiple of 4. */
export function writeBatchHeader(
  bytes: Uint8Array,
  words: Int32Array,
  at: number,
  fields: BatchFields,
): void {
  const word = at >> 2;
  words[word] = BATCH_MAGIC;
  words[word + BATCH_LENGTH] = fields.length;
  words[word + BODY_CRC] = crcOf(bytes, at + LOG_BATCH_HEADER_BYTES, at + fields.length);
  words[word + COUNT] = fields.count;
  writeU64(words, word + BASE, fields.baseOffset);
  writeU64(words, word + FIRST_RECEIVED, fields.firstReceivedUs);
  writeU64(words, word + LAST_RECEIVED, fields.lastReceivedUs);
  writeU64(words, word + DURABLE, fields.durableOffset);
  words[word + SALT] = fields.salt.lo;
  words[word + SALT + 1] = fields.salt.hi;
  words[word + FLAGS] = fields.flags;
  words[word + HEADER_CRC] = crcOf(bytes, at, at + HEADER_CRC_BYTES);
}

/**
 * Whether a whole batch header of this segment lies at `at`. Says nothing about the body.
 *
 * @param salt `undefined` accepts any: only for a segment whose own header is damaged.
 */
export function isBatchHeader(
  bytes: Uint8Array,
  words: Int32Array,
  at: number,
  salt: Salt | undefined,
): boolean {
  const word = at >> 2;
  if (words[word] !== BATCH_MAGIC) return false;
  if (salt !== undefined && (words[word + SALT] !== salt.lo || words[word + SALT + 1] !== salt.hi)) {
    return false;
  }
  if (words[word + HEADER_CRC] !== crcOf(bytes, at, at + HEADER_CRC_BYTES)) return false;
  const length = (words[word + BATCH_LENGTH] as number) >>> 0;
  return length > LOG_BATCH_HEADER_BYTES && length <= LOG_BATCH_BYTES_MAX && (length & 7) === 0;
}

export function batchLength(words: Int32Array, at: number): number {
  return words[(at >> 2) + BATCH_LENGTH] as number;
}

export function batchCount(words: Int32Array, at: number): number {
  return (words[(at >> 2) + COUNT] as number) >>> 0;
}

export function batchBaseOffset(words: Int32Array, at: number): number {
  return readU64(words, (at >> 2) + BASE);
}

export function batchFirstReceivedUs(words: Int32Array, at: number): number {
  return readU64(words, (at >> 2) + FIRST_RECEIVED);
}

export function batchLastReceivedUs(words: Int32Array, at: number): number {
  return readU64(words, (at >> 2) + LAST_RECEIVED);
}

/** Every event below this was on disk when the batch was written. */
export function batchDurableOffset(words: Int32Array, at: number): number {
  return readU64(words, (at >> 2) + DURABLE);
}

export function batchSalt(words: Int32Array, at: number): Salt {
  const word = (at >> 2) + SALT;
  return { lo: words[word] as number, hi: words[word + 1] as number };
}

export function batchFlags(words: Int32Array, at: number): number {
  return words[(at >> 2) + FLAGS] as number;
}

/** Whether the body is what the header says. @param at Of the header; the whole batch must be in `bytes`. */
export function isBodyIntact(bytes: Uint8Array, words: Int32Array, at: number): boolean {
  const crc = crcOf(bytes, at + LOG_BATCH_HEADER_BYTES, at + batchLength(words, at));
  return words[(at >> 2) + BODY_CRC] === crc;
}
