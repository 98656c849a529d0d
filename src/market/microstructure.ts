/**
 * What a trade cost and what it moved, measured a fixed time after it; and the short-term state of the price.
 *
 *     effective spread = 2 · D · (p - mid) / mid · 10⁴               D = +1 bought, -1 sold
 *     realised spread  = 2 · D · (p - mid after) / mid · 10⁴         what the maker kept
 *     price impact     = 2 · D · (mid after - mid) / mid · 10⁴       the difference of the two
 *     volatility       = population standard deviation of the last 10 log returns of the middle
 *     momentum         = middle now / middle 5 samples ago - 1
 */

const PENDING_MAX = 4096;
const RETURNS = 10;
const MOMENTUM_SAMPLES = 5;

export interface TradeCosts {
  readonly tradeCount: number;
  /** Means over trades, in ten-thousandths of the middle; NaN before the first. */
  readonly effectiveSpreadBps: number;
  readonly realisedSpreadBps: number;
  readonly priceImpactBps: number;
}

interface Pending {
  readonly dueUs: number;
  readonly price: number;
  readonly side: number;
  readonly mid: number;
}

export class Microstructure {
  readonly #delayUs: number;
  readonly #pending: Pending[] = [];
  readonly #mids: number[] = [];
  #mid = NaN;
  #tradeCount = 0;
  #effectiveSum = 0;
  #realisedSum = 0;
  /** Trades left out because too many were waiting for their price after. */
  droppedCount = 0;

  /** @param delayUs How long after a trade the price counts as "after". Default 5 s. */
  constructor(delayUs = 5_000_000) {
    this.#delayUs = delayUs;
  }

  /** The middle is `mid` from now on. */
  quote(mid: number, nowUs: number): void {
    if (!(mid > 0)) return;
    this.#settle(nowUs); // what was due before this quote is measured by the middle that held then
    this.#mid = mid;
  }

  trade(price: number, side: number, nowUs: number): void {
    this.#settle(nowUs);
    if (side === 0 || Number.isNaN(this.#mid)) return;
    if (this.#pending.length >= PENDING_MAX) {
      this.droppedCount++;
      return;
    }
    this.#pending.push({ dueUs: nowUs + this.#delayUs, price, side, mid: this.#mid });
  }

  /** Takes one sample of the middle for volatility and momentum: once a period of the caller's choice. */
  sample(nowUs: number): void {
    this.#settle(nowUs);
    if (Number.isNaN(this.#mid)) return;
    this.#mids.push(this.#mid);
    if (this.#mids.length > RETURNS + 1) this.#mids.shift();
  }

  get costs(): TradeCosts {
    const count = this.#tradeCount;
    return {
      tradeCount: count,
      effectiveSpreadBps: this.#effectiveSum / count,
      realisedSpreadBps: this.#realisedSum / count,
      priceImpactBps: (this.#effectiveSum - this.#realisedSum) / count,
    };
  }

  save() {
    return {
      pending: this.#pending.map((trade) => ({ ...trade })),
      mids: [...this.#mids],
      mid: this.#mid,
      tradeCount: this.#tradeCount,
      effectiveSum: this.#effectiveSum,
      realisedSum: this.#realisedSum,
      droppedCount: this.droppedCount,
    };
  }

  restore(state: ReturnType<Microstructure["save"]>): void {
    this.#pending.splice(0, Infinity, ...state.pending);
    this.#mids.splice(0, Infinity, ...state.mids);
    this.#mid = state.mid;
    this.#tradeCount = state.tradeCount;
    this.#effectiveSum = state.effectiveSum;
    this.#realisedSum = state.realisedSum;
    this.droppedCount = state.droppedCount;
  }

  /** NaN until ten returns have been sampled. */
  get volatility(): number {
    if (this.#mids.length <= RETURNS) return NaN;
    const returns = this.#mids.slice(1).map((mid, at) => Math.log(mid / (this.#mids[at] as number)));
    const mean = returns.reduce((sum, value) => sum + value, 0) / RETURNS;
    return Math.sqrt(returns.reduce((sum, value) => sum + (value - mean) ** 2, 0) / RETURNS);
  }

  /** NaN until there are six samples. */
  get momentum(): number {
    const before = this.#mids.at(-1 - MOMENTUM_SAMPLES);
    return before === undefined ? NaN : (this.#mids.at(-1) as number) / before - 1;
  }

  #settle(nowUs: number): void {
    for (
      let oldest = this.#pending[0];
      oldest !== undefined && oldest.dueUs <= nowUs;
      oldest = this.#pending[0]
    ) {
      this.#pending.shift();
      this.#tradeCount++;
      const unit = (2 * oldest.side * 10_000) / oldest.mid;
      this.#effectiveSum += unit * (oldest.price - oldest.mid);
      this.#realisedSum += unit * (oldest.price - this.#mid);
    }
  }
}
