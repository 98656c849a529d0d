/** Spreads work evenly over time. */

/** Decides how many events are due. One thread; `nowMs` is any clock that only goes forward. */
export class Pacer {
  readonly #ratePerMs: number;
  readonly #startMs: number;
  #takenCount = 0;

  /** @param ratePerSecond Events a second, over 0; `Infinity` for no limit. */
  constructor(ratePerSecond: number, nowMs: number) {
    this.#ratePerMs = ratePerSecond / 1000;
    this.#startMs = nowMs;
  }

  /** Events that are due at `nowMs` and not taken yet. After a pause they come all at once. */
  due(nowMs: number): number {
    if (this.#ratePerMs === Infinity) return Infinity;
    // The first is due at once, so n events take n - 1 intervals.
    return Math.floor((nowMs - this.#startMs) * this.#ratePerMs) + 1 - this.#takenCount;
  }

  /** Takes events that were due. */
  take(count: number): void {
    this.#takenCount += count;
  }

  /** Milliseconds from `nowMs` until the next event is due, at least 0. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.dueMs - nowMs);
  }

  /** When the next event is due. */
  get dueMs(): number {
    return this.#startMs + this.#takenCount / this.#ratePerMs;
  }
}
