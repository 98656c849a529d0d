/**
 * Bytes read from a file and not offered yet, and the lines found in them, as runs of frames.
 *
 *     0 ≤ from ≤ next ≤ to            from: first byte not offered; next: behind what `find()` found
 */
import { FRAME_PREFIX_BYTES } from "../event/frame.ts";
import { RUN_BYTES_MAX } from "../event/run.ts";
import { lineEnd } from "./line-frames.ts";
import type { LineFrames } from "./line-frames.ts";
import type { TailedFile } from "./tailed-file.ts";

const READ_BYTES = 256 * 1024;

/** No whole line is left. */
export const LINES_NONE = 0;
/** `run` holds `count` frames in `runBytes` bytes. */
export const LINES_RUN = 1;
/** A line that no frame can hold. */
export const LINES_TOO_LONG = 2;

export class LineBuffer {
  /** Frames of the lines found. */
  readonly run: Uint8Array;
  runBytes = 0;
  count = 0;
  readonly #bytes: Uint8Array;
  readonly #maxFrameBytes: number;
  #from = 0;
  #next = 0;
  #to = 0;
  /** The line at `from` is too long: everything up to its LF is dropped. */
  #isSkipping = false;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#bytes = new Uint8Array(maxFrameBytes + READ_BYTES);
    this.run = new Uint8Array(Math.max(RUN_BYTES_MAX, maxFrameBytes + FRAME_PREFIX_BYTES));
  }

  /** Bytes read and not yet accepted. */
  get length(): number {
    return this.#to - this.#from;
  }

  clear(): void {
    this.#from = this.#next = this.#to = 0;
    this.#isSkipping = false;
  }

  /** Reads on in the file, after all whole lines were accepted. @returns Bytes read, 0 at its end. */
  fill(file: TailedFile): number {
    this.#bytes.copyWithin(0, this.#from, this.#to);
    this.#to -= this.#from;
    this.#from = this.#next = 0;
    const count = file.read(this.#bytes, this.#to, Math.min(READ_BYTES, this.#bytes.length - this.#to));
    this.#to += count;
    return count;
  }

  /** Place in the file of the first byte not accepted. */
  place(file: TailedFile): number {
    return file.readBytes - this.length;
  }

  /** Looks for the next run of lines, or for the end of one that is too long. Nothing moves before `accept()`. */
  find(file: TailedFile, frames: LineFrames): number {
    const bytes = this.#bytes.subarray(0, this.#to);
    const fileBytes = file.readBytes - this.#to;
    const lineBytesMax = this.#maxFrameBytes + FRAME_PREFIX_BYTES - frames.overheadBytes;
    let from = this.#from;
    let end = lineEnd(bytes, from, this.#to);
    this.runBytes = this.count = 0;
    while (end >= 0 && !this.#isSkipping && end - from <= lineBytesMax) {
      if (this.count > 0 && this.runBytes + frames.overheadBytes + end - from > RUN_BYTES_MAX) break;
      this.runBytes = frames.write(this.run, this.runBytes, bytes, from, end, fileBytes + from);
      this.count++;
      from = end + 1;
      end = lineEnd(bytes, from, this.#to);
    }
    this.#next = from;
    if (this.count > 0) return LINES_RUN;
    if (end >= 0) {
      this.#next = end + 1;
      return LINES_TOO_LONG;
    }
    // A line that is too long is dropped in as many pieces as it comes.
    if (this.length > lineBytesMax) this.#isSkipping = true;
    if (this.#isSkipping) this.#from = this.#next = this.#to;
    return LINES_NONE;
  }

  /** The same for what has no LF and will get none. */
  findLast(file: TailedFile, frames: LineFrames): number {
    if (this.length === 0) return LINES_NONE;
    this.runBytes = frames.write(this.run, 0, this.#bytes, this.#from, this.#to, this.place(file));
    this.count = 1;
    this.#next = this.#to;
    return LINES_RUN;
  }

  /** Steps behind what was found. */
  accept(): void {
    this.#from = this.#next;
    this.#isSkipping = false;
  }
}
