/**
 * Statistics of the flow of trades: how far prices move, and for how much. All in price and quantity units.
 * Definitions and sources: `docs/market-data.md`.
 */
import type { Bar } from "./bar.ts";

/** Over consecutive existing bars: realised volatility, Kyle's lambda, Amihud's illiquidity. */
export class BarFlow {
  /** Returns seen: bars from the second on. */
  count = 0;
  #lastClose = NaN;
  #squareSum = 0;
  #illiquiditySum = 0;
  // Welford's running means and co-moments: sums of squares of prices would lose the digits that matter.
  #meanDelta = 0;
  #meanChange = 0;
  #deltaMoment = 0;
  #coMoment = 0;

  push(bar: Bar): void {
    const close = bar.closeValue;
    const before = this.#lastClose;
    this.#lastClose = close;
    if (Number.isNaN(before)) return;
    const logReturn = Math.log(close / before);
    this.count++;
    this.#squareSum += logReturn * logReturn;
    this.#illiquiditySum += Math.abs(logReturn) / bar.notionalValue;
    const delta = bar.deltaValue;
    const change = close - before;
    const deltaOff = delta - this.#meanDelta;
    this.#meanDelta += deltaOff / this.count;
    this.#meanChange += (change - this.#meanChange) / this.count;
    this.#deltaMoment += deltaOff * (delta - this.#meanDelta);
    this.#coMoment += deltaOff * (change - this.#meanChange);
  }

  save() {
    return {
      count: this.count,
      lastClose: this.#lastClose,
      squareSum: this.#squareSum,
      illiquiditySum: this.#illiquiditySum,
      meanDelta: this.#meanDelta,
      meanChange: this.#meanChange,
      deltaMoment: this.#deltaMoment,
      coMoment: this.#coMoment,
    };
  }

  restore(state: ReturnType<BarFlow["save"]>): void {
    this.count = state.count;
    this.#lastClose = state.lastClose;
    this.#squareSum = state.squareSum;
    this.#illiquiditySum = state.illiquiditySum;
    this.#meanDelta = state.meanDelta;
    this.#meanChange = state.meanChange;
    this.#deltaMoment = state.deltaMoment;
    this.#coMoment = state.coMoment;
  }

  /** sqrt(Σ r²), r = ln(close / close before); not annualised. */
  get realisedVolatility(): number {
    return Math.sqrt(this.#squareSum);
  }

  /** Slope of the change of the close on the bar's delta, least squares with intercept. */
  get kyleLambda(): number {
    return this.#coMoment / this.#deltaMoment;
  }

  /** Mean of |r| per amount traded. */
  get amihud(): number {
    return this.#illiquiditySum / this.count;
  }
}

/**
 * Volume-synchronised probability of informed trading: trades fill buckets of equal volume, split at their edges;
 * the answer is Σ|bought - sold| / volume over the completed buckets, at most the last `bucketsMax`.
 *
 * Bucket and trades may be mantissas at any one scale: integers keep the edges exact.
 */
export class Vpin {
  #bucketVolume: number;
  readonly #imbalances: number[] = [];
  readonly #bucketsMax: number;
  #bought = 0;
  #filled = 0;

  /** @throws {RangeError} If the bucket volume is not positive. */
  constructor(bucketVolume: number, bucketsMax = 50) {
    if (!(bucketVolume > 0)) throw new RangeError(`Bucket volume ${bucketVolume} is not positive`);
    this.#bucketVolume = bucketVolume;
    this.#bucketsMax = bucketsMax;
  }

  push(qty: number, side: number): void {
    let left = qty;
    while (left > 0) {
      const part = Math.min(left, this.#bucketVolume - this.#filled);
      this.#filled += part;
      if (side > 0) this.#bought += part;
      left -= part;
      if (this.#filled === this.#bucketVolume) this.#complete();
    }
  }

  get bucketCount(): number {
    return this.#imbalances.length;
  }

  /** 0 .. 1; NaN before the first completed bucket. */
  get value(): number {
    let sum = 0;
    for (const imbalance of this.#imbalances) sum += imbalance;
    return sum / (this.#imbalances.length * this.#bucketVolume);
  }

  /** Multiplies everything: the scale of the quantities has grown. */
  rescale(factor: number): void {
    this.#bucketVolume *= factor;
    this.#bought *= factor;
    this.#filled *= factor;
    for (let at = 0; at < this.#imbalances.length; at++) {
      this.#imbalances[at] = factor * (this.#imbalances[at] ?? 0);
    }
  }

  save() {
    return { imbalances: [...this.#imbalances], bought: this.#bought, filled: this.#filled };
  }

  /** Takes over what `save()` gave, of buckets of the same volume at the same scale. */
  restore({ imbalances, bought, filled }: ReturnType<Vpin["save"]>): void {
    this.#imbalances.splice(0, Infinity, ...imbalances);
    this.#bought = bought;
    this.#filled = filled;
  }

  #complete(): void {
    this.#imbalances.push(Math.abs(2 * this.#bought - this.#bucketVolume));
    if (this.#imbalances.length > this.#bucketsMax) this.#imbalances.shift();
    this.#bought = this.#filled = 0;
  }
}
