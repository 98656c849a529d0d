/** The last ids of a stretch of the log that was read forwards, to be visited backwards. One thread. */

import type { IdSink } from "./id-file.ts";

/** Of an entry: its hash; its offset and time. */
const WORDS = 2;
const DOUBLES = 2;
const COUNT_MIN = 1024;

/** Keeps the newest `countMax` of what is added; its memory grows with what it holds. */
export class NewestIds {
  readonly #countMax: number;
  #words = new Int32Array(COUNT_MIN * WORDS);
  #doubles = new Float64Array(COUNT_MIN * DOUBLES);
  /** Ids added. The next one takes the place `#added` modulo the capacity. */
  #added = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get #capacity(): number {
    return Math.min(this.#doubles.length / DOUBLES, this.#countMax);
  }

  add(hashLo: number, hashHi: number, offset: number, receivedUs: number): void {
    if (this.#added >= this.#capacity && this.#capacity < this.#countMax) this.#grow();
    const at = this.#added++ % this.#capacity;
    this.#words[at * WORDS] = hashLo;
    this.#words[at * WORDS + 1] = hashHi;
    this.#doubles[at * DOUBLES] = offset;
    this.#doubles[at * DOUBLES + 1] = receivedUs;
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2);
    const doubles = new Float64Array(this.#doubles.length * 2);
    words.set(this.#words);
    doubles.set(this.#doubles);
    this.#words = words;
    this.#doubles = doubles;
  }

  /** Gives them, newest first. @returns `false` when the sink has enough. */
  visit(sink: IdSink): boolean {
    const capacity = this.#capacity;
    const oldest = Math.max(0, this.#added - capacity);
    for (let number = this.#added - 1; number >= oldest; number--) {
      const at = number % capacity;
      const goesOn = sink(
        this.#words[at * WORDS] as number,
        this.#words[at * WORDS + 1] as number,
        this.#doubles[at * DOUBLES] as number,
        this.#doubles[at * DOUBLES + 1] as number,
      );
      if (!goesOn) return false;
    }
    return true;
  }
}
