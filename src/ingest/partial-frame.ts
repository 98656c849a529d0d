/**
 * The beginning of a frame whose end has not arrived. Its memory follows the bytes that came, not the
 * length that was announced: a prefix alone costs a client four bytes and the server no more than a page.
 *
 *     length ≤ needed ≤ 4 + max_frame_bytes
 */
import { BODY_BYTES_MIN, FRAME_PREFIX_BYTES } from "../event/frame.ts";

const BYTES_AT_FIRST = 512;

export class PartialFrame {
  bytes = new Uint8Array(0);
  /** Bytes collected. */
  length = 0;
  readonly #bodyBytesMax: number;

  constructor(maxFrameBytes: number) {
    this.#bodyBytesMax = maxFrameBytes;
  }

  /** Whether the scanner can judge it: it is whole, or its length is out of range. */
  isComplete(): boolean {
    return this.length >= FRAME_PREFIX_BYTES && this.length >= this.#needed();
  }

  /** Takes what belongs to this frame from `bytes[from..to)`. @returns Index behind what was taken. */
  take(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    // First the prefix, which says how much more to take.
    for (;;) {
      const wanted = Math.min(this.#needed() - this.length, to - at);
      if (wanted <= 0) return at;
      this.#reserve(this.length + wanted);
      this.bytes.set(bytes.subarray(at, at + wanted), this.length);
      this.length += wanted;
      at += wanted;
    }
  }

  /** Forgets the frame; a large buffer is given back. */
  clear(): void {
    this.length = 0;
    if (this.bytes.length > BYTES_AT_FIRST) this.bytes = new Uint8Array(0);
  }

  /** Bytes this frame has, as far as known; a length out of range ends with its prefix. */
  #needed(): number {
    if (this.length < FRAME_PREFIX_BYTES) return FRAME_PREFIX_BYTES;
    const { bytes } = this;
    const length = ((bytes[0] as number) << 24) | ((bytes[1] as number) << 16) | ((bytes[2] as number) << 8) |
      (bytes[3] as number);
    const isInRange = length >= BODY_BYTES_MIN && length <= this.#bodyBytesMax;
    return FRAME_PREFIX_BYTES + (isInRange ? length : 0);
  }

  #reserve(length: number): void {
    if (length <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(BYTES_AT_FIRST, this.bytes.length * 2, length));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}
