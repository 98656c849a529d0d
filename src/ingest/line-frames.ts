/**
 * Lines of a file as event frames: the payload is the line without its LF, byte for byte (a CR stays).
 *
 *     frame = u32be len | head | topic | ext: tag 1, message id | line
 *     id    = "f:" source (8 hex, CRC-32 of its name) ":" inode ":" epoch ":" offset (12 hex)
 *
 * The message id says where the line begins, so a line that is read again after a crash is recognised and
 * stored once. Only the length and the offset differ between frames: the rest is copied from a template.
 */
import { FRAME_PREFIX_BYTES, HEAD_EXT } from "../event/frame.ts";
import { encodeFrame } from "../event/encode.ts";

const OFFSET_DIGITS = 12;
const LF = 0x0a;
const HEX = Buffer.from("0123456789abcdef");

export interface LineOrigin {
  readonly sourceName: string;
  readonly topic: string;
  readonly priority: number;
  readonly inode: number;
  readonly epoch: number;
}

export class LineFrames {
  /** Bytes of a frame besides its line. */
  readonly overheadBytes: number;
  readonly #template: Uint8Array;
  /** Index behind the last digit of the offset. */
  readonly #offsetEnd: number;

  constructor(origin: LineOrigin) {
    const source = Bun.hash.crc32(origin.sourceName).toString(16).padStart(8, "0");
    const place = `f:${source}:${origin.inode.toString(16)}:${origin.epoch.toString(16)}:`;
    const id = place + "0".repeat(OFFSET_DIGITS);
    this.#template = encodeFrame({ topic: origin.topic, priority: origin.priority, id, payload: "" });
    this.#template[FRAME_PREFIX_BYTES] = HEAD_EXT | origin.priority;
    this.overheadBytes = this.#template.length;
    // The id is the last thing in a frame without payload.
    this.#offsetEnd = this.#template.length;
  }

  /**
   * Writes the frame of the line `bytes[from..to)`, which begins at `offset` of its file.
   *
   * @param target Has room for the line and `overheadBytes`.
   * @returns Index behind the frame.
   */
  write(target: Uint8Array, at: number, bytes: Uint8Array, from: number, to: number, offset: number): number {
    const lineAt = at + this.overheadBytes;
    const end = lineAt + to - from;
    const length = end - at - FRAME_PREFIX_BYTES;
    target.set(this.#template, at);
    target[at] = length >>> 24;
    target[at + 1] = length >>> 16;
    target[at + 2] = length >>> 8;
    target[at + 3] = length;
    let left = offset;
    for (let digit = at + this.#offsetEnd - 1; left > 0; digit--) {
      target[digit] = HEX[left % 16] as number;
      left = Math.floor(left / 16);
    }
    target.set(bytes.subarray(from, to), lineAt);
    return end;
  }
}

/** Index of the LF that ends the line at `from`, or -1 when `bytes[from..to)` has none. */
export function lineEnd(bytes: Uint8Array, from: number, to: number): number {
  const at = bytes.indexOf(LF, from);
  return at < to ? at : -1;
}
