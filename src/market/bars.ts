/**
 * Ticks into bars of one interval, in event time.
 *
 *     … | given out | given out | open | open |        ascending by start; at most `keepMax` bars
 *                                  ▲ newest time - grace
 *
 * A bar is given out once a tick (or `advance`) is `graceMs` past its end. A tick that comes later than that
 * corrects the bar, which is given out again with a higher revision; one older than all kept bars is counted and
 * left out. Intervals without ticks have no bar.
 */
import type { MarketMessage } from "./message.ts";
import { Bar } from "./bar.ts";

/** Takes a bar when it is complete (revision 0) and whenever a late tick changed it (revision 1, 2, …). */
export type BarSink = (bar: Bar) => void;

export interface BarsOptions {
  readonly intervalMs: number;
  /** How long after its end a bar still waits for late ticks. Default 0. */
  readonly graceMs?: number;
  /** Bars kept for corrections. Default 300. */
  readonly keepMax?: number;
}

/** Which price of a quote makes the bar. */
export type QuotePrice = "bid" | "ask" | "mid";

export class Bars {
  readonly intervalMs: number;
  /** Ticks older than every bar kept: in no bar. */
  tooLateCount = 0;
  readonly #graceMs: number;
  readonly #keepMax: number;
  readonly #sink: BarSink;
  readonly #bars: Bar[] = [];
  #newestMs = -Infinity;
  /** Start of the newest bar that was forgotten. */
  #forgottenMs = -Infinity;
  #givenCount = 0; // #bars[0 .. #givenCount - 1] have been given out
  #priceScale = 0;
  #qtyScale = 0;

  constructor(sink: BarSink, options: BarsOptions) {
    this.#sink = sink;
    this.intervalMs = options.intervalMs;
    this.#graceMs = options.graceMs ?? 0;
    this.#keepMax = options.keepMax ?? 300;
  }

  /** Adds a live trade; history repeated by the venue is left out. */
  addTrade(message: MarketMessage): void {
    if (message.historic) return;
    this.useScales(message.instrument.priceScale, message.instrument.qtyScale);
    this.add(Math.floor(message.eventTimeUs / 1000), message.price, message.qty, message.side);
  }

  /** Adds a quote as a tick whose volume is 1: bars of quotes count their ticks. */
  addQuote(message: MarketMessage, which: QuotePrice): void {
    const { bidPrice, askPrice, instrument } = message;
    const timeMs = Math.floor(message.eventTimeUs / 1000);
    if (which === "mid") {
      // Half of a sum is the sum times five with one more decimal: exact.
      this.useScales(instrument.priceScale + 1, 0);
      this.add(timeMs, (bidPrice + askPrice) * 5, 1, 0);
    } else {
      this.useScales(instrument.priceScale, 0);
      this.add(timeMs, which === "bid" ? bidPrice : askPrice, 1, 0);
    }
  }

  /** Converts to the scales of the ticks to come; they only grow. */
  useScales(priceScale: number, qtyScale: number): void {
    if (priceScale === this.#priceScale && qtyScale === this.#qtyScale) return;
    this.#priceScale = priceScale;
    this.#qtyScale = qtyScale;
    for (const bar of this.#bars) bar.useScales(priceScale, qtyScale);
  }

  /** Adds one tick given as mantissas at the scales last told. */
  add(timeMs: number, price: number, qty: number, side: number): void {
    const startMs = Math.floor(timeMs / this.intervalMs) * this.intervalMs;
    if (startMs <= this.#forgottenMs) {
      this.tooLateCount++;
      return;
    }
    if (timeMs > this.#newestMs) this.#newestMs = timeMs;
    const at = this.#indexOf(startMs);
    const bar = this.#bars[at];
    if (bar === undefined) {
      this.tooLateCount++; // older than all kept bars, and there is no room for one more
      return;
    }
    bar.add(price, qty, side);
    if (at < this.#givenCount) this.#give(bar);
    this.#giveComplete();
  }

  /** Tells that the clock of the venue has reached `timeMs`, so that bars end without a tick behind them. */
  advance(timeMs: number): void {
    if (timeMs <= this.#newestMs) return;
    this.#newestMs = timeMs;
    this.#giveComplete();
  }

  /** The newest bar, complete or not; `undefined` before the first tick. */
  current(): Bar | undefined {
    return this.#bars.at(-1);
  }

  /** Gives out all bars, complete or not: the end of a recording. */
  flush(): void {
    while (this.#givenCount < this.#bars.length) this.#giveNext();
  }

  /** The last bars, oldest first; those still open are among them. */
  newest(countMax: number): readonly Bar[] {
    return this.#bars.slice(-countMax);
  }

  /** Whether a bar may still take ticks in order: it has not been given out. */
  isOpen(bar: Bar): boolean {
    return bar.revision < 0;
  }

  save() {
    return {
      intervalMs: this.intervalMs,
      bars: this.#bars.map((bar) => bar.save()),
      newestMs: this.#newestMs,
      forgottenMs: this.#forgottenMs,
      givenCount: this.#givenCount,
      tooLateCount: this.tooLateCount,
      priceScale: this.#priceScale,
      qtyScale: this.#qtyScale,
    };
  }

  /** Takes over what `save()` gave, of bars of the same interval. */
  restore(state: ReturnType<Bars["save"]>): void {
    this.#bars.splice(0, Infinity, ...state.bars.map((bar) => Bar.restored(bar, this.intervalMs)));
    this.#newestMs = state.newestMs;
    this.#forgottenMs = state.forgottenMs;
    this.#givenCount = state.givenCount;
    this.tooLateCount = state.tooLateCount;
    this.#priceScale = state.priceScale;
    this.#qtyScale = state.qtyScale;
  }

  /** Index of the bar that starts then; inserted when there is none. */
  #indexOf(startMs: number): number {
    let at = this.#bars.length - 1;
    while (at >= 0 && (this.#bars[at]?.startMs ?? 0) > startMs) at--;
    if (this.#bars[at]?.startMs === startMs) return at;
    const bar = new Bar(startMs, this.intervalMs, { price: this.#priceScale, qty: this.#qtyScale });
    this.#bars.splice(at + 1, 0, bar);
    if (at + 1 < this.#givenCount) this.#givenCount++; // a late bar among those already given out
    if (this.#bars.length <= this.#keepMax) return at + 1;
    this.#forgetOldest();
    return at;
  }

  #forgetOldest(): void {
    if (this.#givenCount === 0) this.#giveNext();
    const oldest = this.#bars.shift();
    if (oldest !== undefined) this.#forgottenMs = oldest.startMs;
    this.#givenCount--;
  }

  #giveComplete(): void {
    const endMs = this.#newestMs - this.#graceMs;
    for (;;) {
      const bar = this.#bars[this.#givenCount];
      if (bar === undefined || bar.startMs + this.intervalMs > endMs) return;
      this.#giveNext();
    }
  }

  #giveNext(): void {
    const bar = this.#bars[this.#givenCount++];
    if (bar !== undefined) this.#give(bar);
  }

  #give(bar: Bar): void {
    bar.revision++;
    this.#sink(bar);
  }
}
