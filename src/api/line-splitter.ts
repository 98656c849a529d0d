/** Cuts a stream of bytes into lines, and holds no more of it than one line may be long. */

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #lineBytesMax: number;
  /** Pieces of a line whose end has not come. */
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  /** The line that has begun is longer than lines may be: it is passed over. */
  #isTooLong = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Bytes of the line that has begun. */
  get heldBytes(): number {
    return this.#pieceBytes;
  }

  /** The lines that end in these bytes, without their ends. @param chunk Kept until its last line has ended. */
  *split(chunk: Uint8Array): Generator<Uint8Array | "too long"> {
    let at = 0;
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, at);
      if (newline < 0) break;
      yield this.#end(chunk.subarray(at, newline));
      at = newline + 1;
    }
    this.#keep(chunk.subarray(at));
  }

  /** What is left when the stream has ended. */
  rest(): Uint8Array | "too long" | "nothing" {
    if (this.#pieceBytes === 0 && !this.#isTooLong) return "nothing";
    return this.#end(new Uint8Array(0));
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0 || this.#isTooLong) return;
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    if (this.#pieceBytes <= this.#lineBytesMax) return;
    this.#isTooLong = true;
    this.#pieces = [];
    this.#pieceBytes = 0;
  }

  #end(piece: Uint8Array): Uint8Array | "too long" {
    this.#keep(piece);
    const line = this.#isTooLong
      ? "too long"
      : this.#pieces.length === 1
      ? this.#pieces[0] as Uint8Array
      : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#isTooLong = false;
    return line;
  }
}
