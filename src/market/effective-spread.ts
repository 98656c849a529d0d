/**
 * What takers paid: twice the distance of a trade from the middle, in ten-thousandths of the middle.
 *
 *     effective spread = 2 · D · (p - mid) / mid · 10⁴          D = +1 bought, -1 sold
 *
 * `arrival` takes the last quote that had arrived. Where quotes run ahead of trades (Binance spot) that quote may
 * already show the trade's effect and the figure can be negative: publish it with that caveat. `exchange` takes the
 * last quote whose venue time is strictly before the trade's, whatever arrived first; it needs quotes in time order.
 */

import { packDoubles, unpackDoubles } from "./state.ts";

/** Quotes remembered to find the one before a trade that arrives late. */
const QUOTES_KEPT = 1024;
/** Trades waiting for the first quote that is not before them. */
const PENDING_MAX = 1024;

/** Mean and volume-weighted mean of the trades measured. */
class SpreadMeans {
  tradeCount = 0;
  #sum = 0;
  #weightedSum = 0;
  #weight = 0;

  push(spreadBps: number, qty: number): void {
    this.tradeCount++;
    this.#sum += spreadBps;
    this.#weightedSum += spreadBps * qty;
    this.#weight += qty;
  }

  get mean(): number {
    return this.#sum / this.tradeCount;
  }

  get volumeWeighted(): number {
    return this.#weightedSum / this.#weight;
  }

  save() {
    return {
      tradeCount: this.tradeCount,
      sum: this.#sum,
      weightedSum: this.#weightedSum,
      weight: this.#weight,
    };
  }

  restore({ tradeCount, sum, weightedSum, weight }: ReturnType<SpreadMeans["save"]>): void {
    this.tradeCount = tradeCount;
    this.#sum = sum;
    this.#weightedSum = weightedSum;
    this.#weight = weight;
  }
}

/** Prices in any one unit; quantities weigh only. */
export class EffectiveSpread {
  readonly arrival = new SpreadMeans();
  readonly exchange = new SpreadMeans();
  /** Quotes came in the order of their venue times so far. */
  quotesTimeOrdered = true;
  /** Trades without a quote to compare with. */
  skippedCount = 0;
  readonly #times = new Float64Array(QUOTES_KEPT);
  readonly #mids = new Float64Array(QUOTES_KEPT);
  #quoteCount = 0;
  readonly #pending: { timeUs: number; price: number; qty: number; side: number }[] = [];

  /** @param timeUs The venue's time; NaN where quotes have none: then only `arrival` is measured. */
  quote(mid: number, timeUs: number): void {
    const lastUs = this.#quoteCount > 0
      ? this.#times[(this.#quoteCount - 1) % QUOTES_KEPT] as number
      : -Infinity;
    if (timeUs < lastUs) this.quotesTimeOrdered = false;
    while (this.#pending.length > 0 && (this.#pending[0]?.timeUs ?? Infinity) <= timeUs) this.#settleOldest();
    this.#times[this.#quoteCount % QUOTES_KEPT] = timeUs;
    this.#mids[this.#quoteCount % QUOTES_KEPT] = mid;
    this.#quoteCount++;
  }

  trade(price: number, qty: number, side: number, timeUs: number): void {
    if (this.#quoteCount === 0) {
      this.skippedCount++;
    } else {
      const mid = this.#mids[(this.#quoteCount - 1) % QUOTES_KEPT] as number;
      this.arrival.push(spreadBps(price, side, mid), qty);
    }
    const newestUs = this.#quoteCount > 0
      ? this.#times[(this.#quoteCount - 1) % QUOTES_KEPT] as number
      : -Infinity;
    if (newestUs !== newestUs) return; // quotes without times: nothing to wait for
    this.#pending.push({ timeUs, price, qty, side });
    if (newestUs >= timeUs) this.#settleNewest();
    else if (this.#pending.length > PENDING_MAX) this.#settleOldest();
  }

  /** Measures trades that still wait for a later quote: the end of a recording. */
  flush(): void {
    while (this.#pending.length > 0) this.#settleOldest();
  }

  save() {
    return {
      arrival: this.arrival.save(),
      exchange: this.exchange.save(),
      quotesTimeOrdered: this.quotesTimeOrdered,
      skippedCount: this.skippedCount,
      quoteCount: this.#quoteCount,
      times: packDoubles(this.#times),
      mids: packDoubles(this.#mids),
      pending: this.#pending.map((trade) => ({ ...trade })),
    };
  }

  restore(state: ReturnType<EffectiveSpread["save"]>): void {
    this.arrival.restore(state.arrival);
    this.exchange.restore(state.exchange);
    this.quotesTimeOrdered = state.quotesTimeOrdered;
    this.skippedCount = state.skippedCount;
    this.#quoteCount = state.quoteCount;
    this.#times.set(unpackDoubles(state.times));
    this.#mids.set(unpackDoubles(state.mids));
    this.#pending.splice(0, Infinity, ...state.pending.map((trade) => ({ ...trade })));
  }

  #settleOldest(): void {
    this.#settle(this.#pending.shift());
  }

  #settleNewest(): void {
    this.#settle(this.#pending.pop());
  }

  #settle(trade: { timeUs: number; price: number; qty: number; side: number } | undefined): void {
    if (trade === undefined) return;
    const mid = this.#midBefore(trade.timeUs);
    if (mid === mid) this.exchange.push(spreadBps(trade.price, trade.side, mid), trade.qty);
  }

  /** Middle of the last quote strictly before a time; NaN when none is remembered. */
  #midBefore(timeUs: number): number {
    const oldest = Math.max(0, this.#quoteCount - QUOTES_KEPT);
    for (let at = this.#quoteCount - 1; at >= oldest; at--) {
      if ((this.#times[at % QUOTES_KEPT] as number) < timeUs) return this.#mids[at % QUOTES_KEPT] as number;
    }
    return NaN;
  }
}

function spreadBps(price: number, side: number, mid: number): number {
  return ((2 * side * (price - mid)) / mid) * 10_000;
}
