/**
 * Cuts a stream of bytes into lines: the bytes between line feeds, exactly, in constant memory.
 *
 * A carriage return is part of its line. An empty line is a line. A last line without a line feed is one, too.
 *
 *     lines.feed(chunk); while (lines.next()) use(lines.bytes, lines.at, lines.end);
 */
const LF = 0x0a;

/** A cursor over the lines of one stream. Holds at most one unfinished line. */
export class LineCursor {
  /** The line stepped to: `bytes[at..end)`, valid until the next `next()` or `feed()`. */
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  /** Lines left out because they are longer than the limit. */
  tooLongCount = 0;
  readonly #lineBytesMax: number;
  #chunk: Buffer = Buffer.alloc(0);
  #nextAt = 0;
  /** The beginning of a line that crosses chunks. */
  #carry = new Uint8Array(0);
  #carried = 0;
  /** The line that crosses chunks is too long: its bytes are dropped, its end is awaited. */
  #isTooLong = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Takes the next bytes of the stream; all lines of the chunk before must have been stepped to. */
  feed(chunk: Uint8Array): void {
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#nextAt = 0;
  }

  /** Steps to the next whole line. @returns `false` when the chunk has no more. */
  next(): boolean {
    const chunk = this.#chunk;
    while (this.#nextAt < chunk.length) {
      const at = this.#nextAt;
      const end = chunk.indexOf(LF, at);
      if (end < 0) {
        this.#append(chunk, at, chunk.length);
        this.#nextAt = chunk.length;
        return false;
      }
      this.#nextAt = end + 1;
      const isWhole = this.#carried === 0 && !this.#isTooLong;
      if (isWhole && end - at <= this.#lineBytesMax) return this.#step(chunk, at, end);
      this.#append(chunk, at, end);
      if (this.#stepToCarried()) return true;
    }
    return false;
  }

  /** Steps to the last line after the stream has ended. @returns `false` when it ended with a line feed. */
  last(): boolean {
    return (this.#carried > 0 || this.#isTooLong) && this.#stepToCarried();
  }

  #step(bytes: Uint8Array, at: number, end: number): true {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    return true;
  }

  /** @returns `false` when the carried line was too long and is left out. */
  #stepToCarried(): boolean {
    const length = this.#carried;
    const isTooLong = this.#isTooLong;
    this.#carried = 0;
    this.#isTooLong = false;
    if (!isTooLong) return this.#step(this.#carry, 0, length);
    this.tooLongCount++;
    return false;
  }

  #append(chunk: Uint8Array, at: number, end: number): void {
    const needed = this.#carried + end - at;
    if (needed > this.#lineBytesMax) this.#isTooLong = true;
    if (this.#isTooLong) {
      this.#carried = 0;
      return;
    }
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2));
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(at, end), this.#carried);
    this.#carried = needed;
  }
}
