/**
 * Indicators over closed bars, each one step a bar in constant time. Every `push` returns NaN until enough bars
 * have been seen. Formulas and seeds: `docs/market-data.md`; they equal TA-Lib's (MACD once warm).
 */

/** The last n values, and sums that cannot drift: they are taken anew whenever the window has turned once. */
class Window {
  readonly #values: Float64Array;
  #at = 0;
  #count = 0;
  /** Sums are of value - #origin: differences of near values keep their digits. */
  #origin = 0;
  #sum = 0;
  #squareSum = 0;

  constructor(size: number) {
    this.#values = new Float64Array(size);
  }

  push(value: number): void {
    const values = this.#values;
    const isFull = this.#count === values.length;
    if (this.#count === 0) this.#origin = value;
    const leaving = isFull ? (values[this.#at] as number) - this.#origin : 0;
    const coming = value - this.#origin;
    values[this.#at] = value;
    this.#sum += coming - leaving;
    this.#squareSum += coming * coming - leaving * leaving;
    if (!isFull) this.#count++;
    if (++this.#at === values.length) {
      this.#at = 0;
      this.#takeSumsAnew();
    }
  }

  get isFull(): boolean {
    return this.#count === this.#values.length;
  }

  save() {
    return {
      values: [...this.#values],
      at: this.#at,
      count: this.#count,
      origin: this.#origin,
      sum: this.#sum,
      squareSum: this.#squareSum,
    };
  }

  restore(state: ReturnType<Window["save"]>): void {
    this.#values.set(state.values);
    this.#at = state.at;
    this.#count = state.count;
    this.#origin = state.origin;
    this.#sum = state.sum;
    this.#squareSum = state.squareSum;
  }

  get mean(): number {
    return this.#origin + this.#sum / this.#count;
  }

  /** Of the whole population: divided by n. */
  get deviation(): number {
    const mean = this.#sum / this.#count;
    return Math.sqrt(Math.max(0, this.#squareSum / this.#count - mean * mean));
  }

  #takeSumsAnew(): void {
    this.#origin = this.#values[this.#values.length - 1] as number;
    this.#sum = this.#squareSum = 0;
    for (const value of this.#values) {
      const difference = value - this.#origin;
      this.#sum += difference;
      this.#squareSum += difference * difference;
    }
  }
}

/** Arithmetic mean of the last n values. */
export class Sma {
  readonly #window: Window;

  constructor(period: number) {
    this.#window = new Window(period);
  }

  push(value: number): number {
    this.#window.push(value);
    return this.#window.isFull ? this.#window.mean : NaN;
  }

  save() {
    return this.#window.save();
  }

  restore(state: ReturnType<Sma["save"]>): void {
    this.#window.restore(state);
  }
}

/** Exponential mean, α = 2 / (n + 1), seeded with the mean of the first n values. */
export class Ema {
  readonly #period: number;
  readonly #alpha: number;
  #count = 0;
  #seedSum = 0;
  value = NaN;

  constructor(period: number) {
    this.#period = period;
    this.#alpha = 2 / (period + 1);
  }

  push(value: number): number {
    if (this.#count < this.#period) {
      this.#seedSum += value;
      if (++this.#count === this.#period) this.value = this.#seedSum / this.#period;
    } else {
      this.value += this.#alpha * (value - this.value);
    }
    return this.value;
  }

  save() {
    return { count: this.#count, seedSum: this.#seedSum, value: this.value };
  }

  restore({ count, seedSum, value }: ReturnType<Ema["save"]>): void {
    this.#count = count;
    this.#seedSum = seedSum;
    this.value = value;
  }
}

/** Moving average convergence/divergence: fast less slow mean, its own mean, and the difference of the two. */
export class Macd {
  readonly #fast: Ema;
  readonly #slow: Ema;
  readonly #signal: Ema;
  macd = NaN;
  signal = NaN;

  constructor(fast = 12, slow = 26, signal = 9) {
    this.#fast = new Ema(fast);
    this.#slow = new Ema(slow);
    this.#signal = new Ema(signal);
  }

  push(value: number): number {
    this.macd = this.#fast.push(value) - this.#slow.push(value);
    if (!Number.isNaN(this.macd)) this.signal = this.#signal.push(this.macd);
    return this.macd;
  }

  get histogram(): number {
    return this.macd - this.signal;
  }

  save() {
    return {
      fast: this.#fast.save(),
      slow: this.#slow.save(),
      ownMean: this.#signal.save(),
      macd: this.macd,
      signal: this.signal,
    };
  }

  restore(state: ReturnType<Macd["save"]>): void {
    this.#fast.restore(state.fast);
    this.#slow.restore(state.slow);
    this.#signal.restore(state.ownMean);
    this.macd = state.macd;
    this.signal = state.signal;
  }
}

/** A mean that starts as the arithmetic one of the first n values and then moves by 1/n (Wilder). */
class WilderMean {
  readonly #period: number;
  #count = 0;
  value = NaN;
  #seedSum = 0;

  constructor(period: number) {
    this.#period = period;
  }

  push(value: number): number {
    if (this.#count < this.#period) {
      this.#seedSum += value;
      if (++this.#count === this.#period) this.value = this.#seedSum / this.#period;
    } else {
      this.value = (this.value * (this.#period - 1) + value) / this.#period;
    }
    return this.value;
  }

  save() {
    return { count: this.#count, seedSum: this.#seedSum, value: this.value };
  }

  restore({ count, seedSum, value }: ReturnType<WilderMean["save"]>): void {
    this.#count = count;
    this.#seedSum = seedSum;
    this.value = value;
  }
}

/** Relative strength index (Wilder), 0 .. 100: without losses 100, without any change 50. */
export class Rsi {
  readonly #gain: WilderMean;
  readonly #loss: WilderMean;
  #last = NaN;

  constructor(period = 14) {
    this.#gain = new WilderMean(period);
    this.#loss = new WilderMean(period);
  }

  push(value: number): number {
    const change = value - this.#last;
    this.#last = value;
    if (Number.isNaN(change)) return NaN;
    const gain = this.#gain.push(Math.max(0, change));
    const loss = this.#loss.push(Math.max(0, -change));
    if (loss === 0) return gain === 0 ? 50 : 100;
    return 100 - 100 / (1 + gain / loss);
  }

  save() {
    return { gain: this.#gain.save(), loss: this.#loss.save(), last: this.#last };
  }

  restore({ gain, loss, last }: ReturnType<Rsi["save"]>): void {
    this.#gain.restore(gain);
    this.#loss.restore(loss);
    this.#last = last;
  }
}

/** Average true range (Wilder). The first bar has no close before it and only serves the second. */
export class Atr {
  readonly #mean: WilderMean;
  #lastClose = NaN;

  constructor(period = 14) {
    this.#mean = new WilderMean(period);
  }

  push(high: number, low: number, close: number): number {
    const before = this.#lastClose;
    this.#lastClose = close;
    if (Number.isNaN(before)) return NaN;
    return this.#mean.push(Math.max(high - low, Math.abs(high - before), Math.abs(low - before)));
  }

  save() {
    return { mean: this.#mean.save(), lastClose: this.#lastClose };
  }

  restore({ mean, lastClose }: ReturnType<Atr["save"]>): void {
    this.#mean.restore(mean);
    this.#lastClose = lastClose;
  }
}

/** Bands of `width` standard deviations (of the population) around the mean of n values. */
export class Bollinger {
  readonly #window: Window;
  readonly #width: number;
  upper = NaN;
  middle = NaN;
  lower = NaN;

  constructor(period = 20, width = 2) {
    this.#window = new Window(period);
    this.#width = width;
  }

  /** Returns the middle band; `upper` and `lower` hold the others. */
  push(value: number): number {
    this.#window.push(value);
    if (!this.#window.isFull) return NaN;
    const reach = this.#width * this.#window.deviation;
    this.middle = this.#window.mean;
    this.upper = this.middle + reach;
    this.lower = this.middle - reach;
    return this.middle;
  }

  save() {
    const { upper, middle, lower } = this;
    return { window: this.#window.save(), upper, middle, lower };
  }

  restore({ window, ...bands }: ReturnType<Bollinger["save"]>): void {
    this.#window.restore(window);
    Object.assign(this, bands);
  }
}
