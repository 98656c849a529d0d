/**
 * The last minutes, a row a second, in memory of a fixed size: what a page that is opened now shows of the
 * past, and where one that was disconnected goes on.
 *
 *     kept = next − first ≤ rowCountMax        row n lies at (n mod rowCountMax)
 */

/** Ten minutes of seconds, unless there are so many lanes that they would take more than `BYTES_MAX`. */
const ROWS_MAX = 600;
const BYTES_MAX = 2 * 1024 * 1024;

export class LiveHistory {
  readonly rowCountMax: number;
  readonly #columnCount: number;
  readonly #cells: Float64Array;
  #next = 0;

  constructor(columnCount: number) {
    this.#columnCount = columnCount;
    const rowBytes = columnCount * Float64Array.BYTES_PER_ELEMENT;
    this.rowCountMax = Math.max(2, Math.min(ROWS_MAX, Math.floor(BYTES_MAX / rowBytes)));
    this.#cells = new Float64Array(this.rowCountMax * columnCount);
  }

  /** Number that the next row will have. */
  get next(): number {
    return this.#next;
  }

  /** Number of the oldest row still kept. */
  get first(): number {
    return Math.max(0, this.#next - this.rowCountMax);
  }

  /** Adds a row, over the oldest one when full. @param write Fills it; it holds old numbers. */
  add<T>(write: (row: Float64Array) => T): T {
    const at = (this.#next % this.rowCountMax) * this.#columnCount;
    const result = write(this.#cells.subarray(at, at + this.#columnCount));
    this.#next++;
    return result;
  }

  /** Rows from a number on, as JSON: a list of lists, null where there is no number. */
  json(from: number): string {
    const rows: string[] = [];
    for (let number = Math.max(from, this.first); number < this.#next; number++) {
      const at = (number % this.rowCountMax) * this.#columnCount;
      const cells: string[] = [];
      for (let column = 0; column < this.#columnCount; column++) {
        const value = this.#cells[at + column] as number;
        // Counts are whole; microseconds and seconds keep three digits.
        cells.push(Number.isFinite(value) ? String(Math.round(value * 1000) / 1000) : "null");
      }
      rows.push(`[${cells.join(",")}]`);
    }
    return `[${rows.join(",")}]`;
  }
}
