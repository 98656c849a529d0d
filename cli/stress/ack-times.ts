/** How long acknowledgements took: when each batch was sent, until the answer that covers it. */
import type { Histogram } from "../../src/metrics/histogram.ts";

/** A ring of batches in flight of one client. Grows to the most batches that were ever in flight. */
export class AckTimes {
  readonly #histogram: Histogram;
  /** Pairs: number of events sent when the batch was complete, and when it was sent (microseconds). */
  #batches = new Float64Array(2 * 64);
  #head = 0;
  #count = 0;
  #answeredCount = 0;

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
  }

  /** Notes a batch that ends with the event number `sentCount`. */
  sent(sentCount: number, sentUs: number): void {
    const capacity = this.#batches.length / 2;
    if (this.#count === capacity) this.#grow();
    const slot = 2 * ((this.#head + this.#count++) & (this.#batches.length / 2 - 1));
    this.#batches[slot] = sentCount;
    this.#batches[slot + 1] = sentUs;
  }

  /** Records the time of every event that this answer is the first to cover. */
  answered(answeredCount: number, nowUs: number): void {
    const mask = this.#batches.length / 2 - 1;
    while (this.#count > 0 && this.#answeredCount < answeredCount) {
      const slot = 2 * (this.#head & mask);
      const end = this.#batches[slot] as number;
      const covered = Math.min(end, answeredCount);
      this.#histogram.record(nowUs - (this.#batches[slot + 1] as number), covered - this.#answeredCount);
      this.#answeredCount = covered;
      if (covered < end) return;
      this.#head = (this.#head + 1) & mask;
      this.#count--;
    }
  }

  #grow(): void {
    const old = this.#batches;
    const mask = old.length / 2 - 1;
    this.#batches = new Float64Array(2 * old.length);
    for (let index = 0; index < this.#count; index++) {
      const slot = 2 * ((this.#head + index) & mask);
      this.#batches[2 * index] = old[slot] as number;
      this.#batches[2 * index + 1] = old[slot + 1] as number;
    }
    this.#head = 0;
  }
}
