/**
 * Cuts the server's stream of bytes into frames.
 *
 * A frame that lies whole within a chunk is handed over where it is; only one that crosses chunks is copied.
 */
import { EscError } from "../errors.ts";
import { FRAME_PREFIX_BYTES } from "../event/frame.ts";

/** Receives one frame body, `bytes[at..end)`, valid during the call only. */
export type BodyHandler = (bytes: Uint8Array, at: number, end: number) => void;

/** Smallest body a server sends: head and opcode. */
const CONTROL_BODY_BYTES_MIN = 2;
const TLS_ALERT = 0x15;
const TLS_VERSION_MAJOR = 0x03;
const CARRY_BYTES_INITIAL = 64 * 1024;

/** Splits one connection's inbound stream. Holds at most one unfinished frame. */
export class FrameSplitter {
  readonly #onBody: BodyHandler;
  readonly #frameBytesMax: number;
  /** An unfinished frame, prefix included, in its first `#carried` bytes. */
  #carry = new Uint8Array(CARRY_BYTES_INITIAL);
  #carried = 0;

  /** @param frameBytesMax Longest body taken; a longer one means that framing is lost. */
  constructor(onBody: BodyHandler, frameBytesMax: number) {
    this.#onBody = onBody;
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Takes the next bytes of the stream and hands over every frame they complete.
   *
   * @throws {EscError} `BAD_LENGTH` when a length is out of range: the stream cannot be followed any more.
   */
  feed(chunk: Uint8Array): void {
    let at = this.#carried > 0 ? this.#finishCarried(chunk) : 0;
    while (chunk.length - at >= FRAME_PREFIX_BYTES) {
      const bodyAt = at + FRAME_PREFIX_BYTES;
      const bodyEnd = bodyAt + this.#checkedLength(chunk, at);
      if (bodyEnd > chunk.length) break;
      this.#onBody(chunk, bodyAt, bodyEnd);
      at = bodyEnd;
    }
    if (at < chunk.length) this.#append(chunk, at, chunk.length);
  }

  /** Completes the carried frame if the chunk does. @returns Index of the first byte not used. */
  #finishCarried(chunk: Uint8Array): number {
    let at = 0;
    if (this.#carried < FRAME_PREFIX_BYTES) {
      at = this.#append(chunk, 0, FRAME_PREFIX_BYTES - this.#carried);
      if (this.#carried < FRAME_PREFIX_BYTES) return at;
    }
    const frameBytes = FRAME_PREFIX_BYTES + this.#checkedLength(this.#carry, 0);
    at = this.#append(chunk, at, at + frameBytes - this.#carried);
    if (this.#carried < frameBytes) return at;
    this.#carried = 0;
    this.#onBody(this.#carry, FRAME_PREFIX_BYTES, frameBytes);
    return at;
  }

  /** Copies `chunk[at..end)`, or as much as there is, behind what is carried. @returns Where it stopped. */
  #append(chunk: Uint8Array, at: number, end: number): number {
    const stop = Math.min(end, chunk.length);
    const needed = this.#carried + stop - at;
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2));
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(at, stop), this.#carried);
    this.#carried = needed;
    return stop;
  }

  #checkedLength(bytes: Uint8Array, at: number): number {
    const length = ((bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 |
      (bytes[at + 2] as number) << 8 | (bytes[at + 3] as number)) >>> 0;
    if (length < CONTROL_BODY_BYTES_MIN || length > this.#frameBytesMax) {
      // Where a length is expected: a record of type alert, version 3.x.
      if (bytes[at] === TLS_ALERT && bytes[at + 1] === TLS_VERSION_MAJOR) {
        throw new EscError("SERVER_UNREACHABLE", "Server speaks TLS on this port", {
          hint: "Add --tls, or --ca with the certificate of its authority",
        });
      }
      throw new EscError("BAD_LENGTH", `Server sent a frame of ${length} bytes`, {
        hint: "Check that an esc server listens on this port",
      });
    }
    return length;
  }
}
