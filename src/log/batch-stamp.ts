/** The header of the batch that is about to be written. Lane worker only. */

import { LOG_BATCH_BYTES_MAX, LOG_BATCH_HEADER_BYTES, type Salt, writeBatchHeader } from "./format.ts";

/**
 * Puts a header before a body that lies in the caller's memory. Kept and used again for every batch, so that
 * nothing is allocated for one.
 */
export class BatchStamp {
  length = 0;
  count = 0;
  baseOffset = 0;
  firstReceivedUs = 0;
  lastReceivedUs = 0;
  durableOffset = 0;
  salt: Salt = { lo: 0, hi: 0 };
  flags = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #words: Int32Array = new Int32Array(0);

  /**
   * Takes the sizes of the next batch.
   *
   * @throws {RangeError} If they make no sense: a bug in the caller.
   */
  begin(bytes: Uint8Array, headerAt: number, bodyBytes: number, count: number): void {
    const length = LOG_BATCH_HEADER_BYTES + bodyBytes;
    const isSane = bodyBytes > 0 && (bodyBytes & 7) === 0 && headerAt >= 0 && (headerAt & 7) === 0 &&
      count > 0 &&
      length <= LOG_BATCH_BYTES_MAX && headerAt + length <= bytes.length;
    if (!isSane) {
      throw new RangeError(
        `Batch of ${bodyBytes} bytes and ${count} events at ${headerAt} cannot be appended`,
      );
    }
    this.length = length;
    this.count = count;
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  /** Writes the header into the bytes given to `begin()`; the body must be complete. */
  write(headerAt: number): void {
    writeBatchHeader(this.#bytes, this.#words, headerAt, this);
  }
}
