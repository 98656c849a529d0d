/**
 * One instrument's trading since the session began: totals, what takers paid and moved, and how one-sided it was.
 *
 *     trades, quotes ─▶ totals (exact) · VPIN · effective spread · realised spread and impact · volatility, momentum
 *
 * Prices and quantities come as mantissas at scales that only grow.
 */
import { formatScaled, parseDecimal, pow10 } from "../book/decimal.ts";
import { Bar } from "./bar.ts";
import { EffectiveSpread } from "./effective-spread.ts";
import { Vpin } from "./flow.ts";
import type { MarketMessage } from "./message.ts";
import { Microstructure } from "./microstructure.ts";

const SIGNIFICANT = 12;

export class FlowMeter {
  /** Bucket of VPIN: decimal text; `null`: no VPIN. */
  readonly #bucket: string | null;
  #totals = new Bar(0, 0, { price: 0, qty: 0 });
  #vpin: Vpin | undefined;
  /** Scale of the bucket and of what is in it. */
  #vpinScale = 0;
  readonly #spread = new EffectiveSpread();
  readonly #costs = new Microstructure();
  #hasNews = false;

  constructor(vpinBucket: string | null) {
    this.#bucket = vpinBucket;
    this.#makeVpin();
  }

  /** Whether anything came since the last `describe()`. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /** A new session: totals begin anew; what looks back over a window goes on. */
  beginSession(): void {
    const { priceScale, qtyScale } = this.#totals;
    this.#totals = new Bar(0, 0, { price: priceScale, qty: qtyScale });
  }

  /** Takes a live trade, given as mantissas at these scales. */
  trade(message: MarketMessage, price: number, qty: number, scales: { price: number; qty: number }): void {
    this.#hasNews = true;
    this.#totals.useScales(scales.price, scales.qty);
    this.#totals.add(price, qty, message.side);
    this.#spread.trade(message.priceValue, message.qtyValue, message.side, message.eventTimeUs);
    this.#costs.trade(message.priceValue, message.side, message.receivedUs);
    if (this.#vpin === undefined) return;
    if (scales.qty > this.#vpinScale) {
      this.#vpin.rescale(pow10(scales.qty - this.#vpinScale));
      this.#vpinScale = scales.qty;
    }
    this.#vpin.push(qty * pow10(this.#vpinScale - scales.qty), message.side);
  }

  quote(message: MarketMessage): void {
    const mid = message.midValue;
    if (mid !== mid) return;
    this.#hasNews = true;
    this.#spread.quote(mid, message.eventTimeKnown ? message.eventTimeUs : NaN);
    this.#costs.quote(mid, message.receivedUs);
  }

  /** The figures now; takes one sample of the middle for volatility and momentum. */
  describe(nowUs: number): object {
    this.#hasNews = false;
    this.#costs.sample(nowUs);
    const totals = this.#totals;
    const { priceScale, qtyScale } = totals;
    const delta = totals.buyVolume.exact() - totals.sellVolume.exact();
    const price = (mantissa: number) =>
      totals.tradeCount === 0 ? undefined : formatScaled(mantissa, priceScale);
    const qty = (mantissa: bigint) => formatScaled(mantissa, qtyScale);
    const costs = this.#costs.costs;
    const { arrival, exchange, quotesTimeOrdered } = this.#spread;
    return {
      trades: totals.tradeCount,
      volume: qty(totals.volume.exact()),
      notional: formatScaled(totals.notional.exact(), priceScale + qtyScale),
      vwap: totals.tradeCount === 0 ? undefined : totals.vwapText(),
      first: price(totals.open),
      high: price(totals.high),
      low: price(totals.low),
      last: price(totals.close),
      buy_volume: qty(totals.buyVolume.exact()),
      sell_volume: qty(totals.sellVolume.exact()),
      cumulative_delta: qty(delta),
      flow_imbalance: figure(totals.deltaValue / totals.volumeValue),
      vpin: figure(this.#vpin?.value ?? NaN),
      vpin_buckets: this.#vpin?.bucketCount,
      effective_spread_bps: figure(arrival.mean),
      effective_spread_bps_weighted: figure(arrival.volumeWeighted),
      effective_spread_trades: arrival.tradeCount,
      effective_spread_exchange_bps: figure(exchange.mean),
      effective_spread_exchange_bps_weighted: figure(exchange.volumeWeighted),
      effective_spread_exchange_trades: exchange.tradeCount,
      quotes_time_ordered: quotesTimeOrdered,
      realised_spread_bps: figure(costs.realisedSpreadBps),
      price_impact_bps: figure(costs.priceImpactBps),
      volatility: figure(this.#costs.volatility),
      momentum: figure(this.#costs.momentum),
    };
  }

  save() {
    return {
      bucket: this.#bucket,
      totals: this.#totals.save(),
      vpin: this.#vpin?.save(),
      vpinScale: this.#vpinScale,
      spread: this.#spread.save(),
      costs: this.#costs.save(),
      hasNews: this.#hasNews,
    };
  }

  restore(state: ReturnType<FlowMeter["save"]>): void {
    this.#totals = Bar.restored(state.totals, 0);
    this.#spread.restore(state.spread);
    this.#costs.restore(state.costs);
    this.#hasNews = state.hasNews;
    if (state.bucket !== this.#bucket || this.#vpin === undefined || state.vpin === undefined) return;
    this.#vpin.rescale(pow10(state.vpinScale - this.#vpinScale));
    this.#vpinScale = state.vpinScale;
    this.#vpin.restore(state.vpin);
  }

  #makeVpin(): void {
    const bucket = this.#bucket === null ? undefined : parseDecimal(this.#bucket);
    if (bucket === undefined) return;
    this.#vpin = new Vpin(bucket.mantissa);
    this.#vpinScale = bucket.decimals;
  }
}

function figure(value: number): number | undefined {
  return Number.isFinite(value) ? Number(value.toPrecision(SIGNIFICANT)) : undefined;
}
