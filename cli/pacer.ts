/** Spreads work evenly over time. */

/** The rate grows, or falls, evenly from `fromRate` for `overMs`; then it stays what it is. */
export interface Ramp {
  /** Events a second, at least 0. */
  readonly fromRate: number;
  readonly overMs: number;
}

/** Decides how many events are due. One thread; `nowMs` is any clock that only goes forward. */
export class Pacer {
  readonly #ratePerMs: number;
  readonly #startMs: number;
  readonly #fromPerMs: number;
  readonly #rampMs: number;
  #takenCount = 0;

  /** @param ratePerSecond Events a second, over 0; `Infinity` for no limit, and no ramp. */
  constructor(ratePerSecond: number, nowMs: number, ramp?: Ramp) {
    this.#ratePerMs = ratePerSecond / 1000;
    this.#startMs = nowMs;
    this.#fromPerMs = ramp === undefined ? this.#ratePerMs : ramp.fromRate / 1000;
    this.#rampMs = ramp?.overMs ?? 0;
  }

  /** Events that are due at `nowMs` and not taken yet. After a pause they come all at once. */
  due(nowMs: number): number {
    if (this.#ratePerMs === Infinity) return Infinity;
    // The first is due at once, so n events take n - 1 intervals.
    return Math.floor(this.#countUntil(nowMs - this.#startMs)) + 1 - this.#takenCount;
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
    return this.#startMs + this.#timeOf(this.#takenCount);
  }

  /** Events of the first `ms`: the area under the rate. */
  #countUntil(ms: number): number {
    const inRamp = Math.min(ms, this.#rampMs);
    const slope = this.#rampMs === 0 ? 0 : (this.#ratePerMs - this.#fromPerMs) / this.#rampMs;
    return this.#fromPerMs * inRamp + (slope * inRamp * inRamp) / 2 + this.#ratePerMs * (ms - inRamp);
  }

  /** The inverse: after how many milliseconds that many events were due. */
  #timeOf(count: number): number {
    const inRamp = this.#countUntil(this.#rampMs);
    if (count >= inRamp) return this.#rampMs + (count - inRamp) / this.#ratePerMs;
    const slope = (this.#ratePerMs - this.#fromPerMs) / this.#rampMs;
    if (slope === 0) return count / this.#fromPerMs;
    return (Math.sqrt(this.#fromPerMs ** 2 + 2 * slope * count) - this.#fromPerMs) / slope;
  }
}
