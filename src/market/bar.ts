/**
 * One bar: what happened to a price in one interval `[start, start + interval)`, in exact numbers.
 *
 * Open and close are the first and last trade in order of arrival. VWAP is Σ(p·q) / Σq. Delta is what takers bought
 * less what they sold.
 */
import { formatScaled, pow10, ratioText } from "../book/decimal.ts";
import { ExactSum } from "../book/exact-sum.ts";

/** Columns of `barRow`, in order. */
export const BAR_COLUMNS = [
  "t",
  "open",
  "high",
  "low",
  "close",
  "volume",
  "vwap",
  "buy_volume",
  "sell_volume",
  "delta",
  "trades",
] as const;

export type BarRow = readonly [
  t: number,
  open: string,
  high: string,
  low: string,
  close: string,
  volume: string,
  vwap: string,
  buyVolume: string,
  sellVolume: string,
  delta: string,
  trades: number,
];

export class Bar {
  readonly startMs: number;
  readonly intervalMs: number;
  priceScale: number;
  qtyScale: number;
  open = NaN;
  high = -Infinity;
  low = Infinity;
  close = NaN;
  readonly volume = new ExactSum();
  readonly buyVolume = new ExactSum();
  readonly sellVolume = new ExactSum();
  readonly notional = new ExactSum();
  tradeCount = 0;
  /** Sums over the quotes seen within the bar, in price units; `quoteCount` 0 when none. */
  quoteCount = 0;
  spreadSum = 0;
  /** 0 while only in order; counts corrections after the bar was first given out. */
  revision = -1;
  /** The line was down during the bar, so trades may be missing. */
  incomplete = false;

  constructor(startMs: number, intervalMs: number, scales: { price: number; qty: number }) {
    this.startMs = startMs;
    this.intervalMs = intervalMs;
    this.priceScale = scales.price;
    this.qtyScale = scales.qty;
  }

  /** Adds one trade given as mantissas at the bar's scales; `side` 1 bought, -1 sold, 0 unknown. */
  add(price: number, qty: number, side: number): void {
    if (this.tradeCount === 0) this.open = price;
    if (price > this.high) this.high = price;
    if (price < this.low) this.low = price;
    this.close = price;
    this.tradeCount++;
    this.volume.add(qty);
    this.notional.addProduct(price, qty);
    if (side > 0) this.buyVolume.add(qty);
    else if (side < 0) this.sellVolume.add(qty);
  }

  /** Converts to grown scales. */
  useScales(priceScale: number, qtyScale: number): void {
    if (priceScale === this.priceScale && qtyScale === this.qtyScale) return;
    const priceFactor = pow10(priceScale - this.priceScale);
    const qtyFactor = pow10(qtyScale - this.qtyScale);
    this.open *= priceFactor;
    this.high *= priceFactor;
    this.low *= priceFactor;
    this.close *= priceFactor;
    for (const sum of [this.volume, this.buyVolume, this.sellVolume]) sum.rescale(qtyFactor);
    this.notional.rescale(priceFactor);
    this.notional.rescale(qtyFactor);
    this.priceScale = priceScale;
    this.qtyScale = qtyScale;
  }

  /** Close in price units, for indicators. */
  get closeValue(): number {
    return this.close / pow10(this.priceScale);
  }
  get openValue(): number {
    return this.open / pow10(this.priceScale);
  }
  get highValue(): number {
    return this.high / pow10(this.priceScale);
  }
  get lowValue(): number {
    return this.low / pow10(this.priceScale);
  }
  get volumeValue(): number {
    return this.volume.value() / pow10(this.qtyScale);
  }
  /** Bought less sold, in quantity units. */
  get deltaValue(): number {
    return (this.buyVolume.value() - this.sellVolume.value()) / pow10(this.qtyScale);
  }
  /** Σ(p·q), in price times quantity units. */
  get notionalValue(): number {
    return this.notional.value() / pow10(this.priceScale + this.qtyScale);
  }
  /** Mean spread of the quotes within the bar, NaN without quotes. */
  get spreadMean(): number {
    return this.spreadSum / this.quoteCount;
  }

  /** Everything the bar is, for a checkpoint. */
  save() {
    const { startMs, priceScale, qtyScale, open, high, low, close } = this;
    const { tradeCount, quoteCount, spreadSum, revision, incomplete } = this;
    const sums = [this.volume, this.buyVolume, this.sellVolume, this.notional].map((sum) => sum.save());
    return {
      startMs,
      priceScale,
      qtyScale,
      open,
      high,
      low,
      close,
      tradeCount,
      quoteCount,
      spreadSum,
      revision,
      incomplete,
      sums,
    };
  }

  static restored(state: ReturnType<Bar["save"]>, intervalMs: number): Bar {
    const { startMs, priceScale, qtyScale, sums, ...plain } = state;
    const bar = new Bar(startMs, intervalMs, { price: priceScale, qty: qtyScale });
    Object.assign(bar, plain);
    for (const [at, sum] of [bar.volume, bar.buyVolume, bar.sellVolume, bar.notional].entries()) {
      sum.restore(sums[at] ?? [0, 0]);
    }
    return bar;
  }

  /** Volume-weighted average price, twelve significant digits. */
  vwapText(): string {
    return vwapText(this.notional, this.volume, this.priceScale);
  }
}

/** Σ(p·q) / Σq as text, rounded half-even to twelve significant digits; "" without volume. */
export function vwapText(notional: ExactSum, volume: ExactSum, priceScale: number): string {
  const total = volume.exact();
  return total === 0n ? "" : ratioText(notional.exact(), total, priceScale);
}

/** The bar as texts in the order of BAR_COLUMNS. */
export function barRow(bar: Bar): BarRow {
  const { priceScale, qtyScale } = bar;
  const delta = bar.buyVolume.exact() - bar.sellVolume.exact();
  return [
    bar.startMs,
    formatScaled(bar.open, priceScale),
    formatScaled(bar.high, priceScale),
    formatScaled(bar.low, priceScale),
    formatScaled(bar.close, priceScale),
    formatScaled(bar.volume.exact(), qtyScale),
    bar.vwapText(),
    formatScaled(bar.buyVolume.exact(), qtyScale),
    formatScaled(bar.sellVolume.exact(), qtyScale),
    formatScaled(delta, qtyScale),
    bar.tradeCount,
  ];
}
