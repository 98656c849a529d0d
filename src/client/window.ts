/**
 * The frames a producer has encoded and the server has not answered for: one buffer, allocated once.
 *
 *     | free | unanswered, written | unanswered, not yet written | free | unused up to the end |
 *            ^ released            ^ written                     ^ encoded
 *
 * Frames never wrap: one that does not fit before the end starts at 0, and `wrapEnd` remembers where the
 * upper part ends. In the order of the stream: released ≤ written ≤ encoded ≤ released + capacity.
 */
import { FRAME_PREFIX_BYTES } from "../event/frame.ts";

/** A bounded buffer of outgoing frames that can be sent again until they are answered. */
export class SendWindow {
  /** Write only where `reserve()` said; read only from `pendingAt` to `pendingEnd`. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #released = 0;
  #written = 0;
  #encoded = 0;
  /** End of the upper part while the encoded end is in the lower one; -1 otherwise. */
  #wrapEnd = -1;
  /** Whether the written end is still in the upper part. Meaningful only while wrapped. */
  #writtenInUpper = false;
  #frameCount = 0;
  #unwrittenBytes = 0;

  constructor(capacityBytes: number) {
    this.bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Frames held: encoded and not yet released. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /** Longest frame that is sure to fit once the window is roomy. */
  get frameBytesMax(): number {
    return Math.floor(this.bytes.length * 3 / 8);
  }

  /**
   * Whether at most a quarter is held. Then at least 3/8 are free in one piece: at worst the free 3/4 lie half
   * before and half behind the held part; wrapped, the piece is `wrapEnd - held` ≥ 5/8 - 1/4.
   */
  get isRoomy(): boolean {
    return this.#heldBytes() <= this.bytes.length / 4;
  }

  /** Bytes encoded and not yet written. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Index of the next byte to write. */
  get pendingAt(): number {
    return this.#written;
  }

  /** End of the bytes that can be written in one piece. */
  get pendingEnd(): number {
    return this.#wrapEnd >= 0 && this.#writtenInUpper ? this.#wrapEnd : this.#encoded;
  }

  /**
   * Finds room for one frame. Nothing changes until `commit()`.
   *
   * @param frameBytes Length of the frame with its prefix, or more.
   * @returns Index in `bytes`, or -1 when there is no room now.
   */
  reserve(frameBytes: number): number {
    if (this.#wrapEnd >= 0) {
      return this.#encoded + frameBytes <= this.#released ? this.#encoded : -1;
    }
    if (this.#encoded + frameBytes <= this.bytes.length) return this.#encoded;
    // Wrapping at released 0 would make a full window look like an empty one.
    return this.#released > 0 && frameBytes <= this.#released ? 0 : -1;
  }

  /** Adds the frame that was encoded at `at`, as answered by the last `reserve()`. */
  commit(at: number, frameBytes: number): void {
    if (at !== this.#encoded) {
      this.#wrapEnd = this.#encoded;
      this.#writtenInUpper = true;
    }
    this.#encoded = at + frameBytes;
    this.#frameCount++;
    this.#unwrittenBytes += frameBytes;
    this.#stepOverWrap();
  }

  /** Notes that the transport took `count` bytes from `pendingAt` on. */
  wrote(count: number): void {
    this.#written += count;
    this.#unwrittenBytes -= count;
    this.#stepOverWrap();
  }

  /**
   * Frees the oldest frames.
   *
   * @param count At most `frameCount`; the frames must have been written.
   */
  release(count: number): void {
    const view = this.#view;
    let at = this.#released;
    for (let left = count; left > 0; left--) {
      if (at === this.#wrapEnd) at = this.#unwrap();
      at += FRAME_PREFIX_BYTES + view.getUint32(at);
    }
    if (at === this.#wrapEnd) at = this.#unwrap();
    this.#released = at;
    this.#frameCount -= count;
    if (this.#frameCount === 0 && this.#unwrittenBytes === 0) this.#restart();
  }

  /**
   * Counts the frames at the released end that have been written whole.
   *
   * For a producer without acknowledgements: written is all it will ever know.
   */
  writtenFrames(): number {
    let count = 0;
    let at = this.#released;
    let inUpper = this.#wrapEnd >= 0;
    while (count < this.#frameCount) {
      if (inUpper && at === this.#wrapEnd) {
        at = 0;
        inUpper = false;
      }
      const end = at + FRAME_PREFIX_BYTES + this.#view.getUint32(at);
      const writtenIsAhead = inUpper && !this.#writtenInUpper;
      if (!writtenIsAhead && end > this.#written) break;
      at = end;
      count++;
    }
    return count;
  }

  /** Makes every held frame pending again: the connection that carried them is gone. */
  rewind(): void {
    this.#written = this.#released;
    this.#writtenInUpper = this.#wrapEnd >= 0;
    this.#unwrittenBytes = this.#heldBytes();
  }

  /** Bytes from the oldest held frame to the newest. */
  #heldBytes(): number {
    if (this.#wrapEnd < 0) return this.#encoded - this.#released;
    return this.#wrapEnd - this.#released + this.#encoded;
  }

  /** The written end has reached the end of the upper part: it goes on at 0. */
  #stepOverWrap(): void {
    if (this.#wrapEnd < 0 || !this.#writtenInUpper || this.#written !== this.#wrapEnd) return;
    this.#written = 0;
    this.#writtenInUpper = false;
  }

  #unwrap(): number {
    this.#wrapEnd = -1;
    this.#writtenInUpper = false;
    return 0;
  }

  /** An empty window starts at 0 again, so that the next batch is one piece. */
  #restart(): void {
    this.#released = 0;
    this.#written = 0;
    this.#encoded = 0;
    this.#wrapEnd = -1;
  }
}
