/** What is told of every bar of one interval beside the bar: indicators, flow statistics, patterns. */
import type { Bar } from "./bar.ts";
import { CandlePatterns } from "./candles.ts";
import { BarFlow } from "./flow.ts";
import { Atr, Bollinger, Ema, Macd, Rsi, Sma } from "./indicators.ts";
import type { Instrument } from "./instrument.ts";
import { ActivityPatterns } from "./patterns.ts";
import type { FigureSink } from "./pipeline.ts";

/** Share of a digit that doubles of two machines may differ in: figures have twelve significant digits. */
const SIGNIFICANT = 12;
const EMA_PERIODS = [9, 12, 21, 26, 50] as const;

export class BarStudies {
  readonly #instrument: Instrument;
  readonly #wants: { readonly indicators: boolean; readonly patterns: boolean };
  readonly #sink: FigureSink;
  readonly #depth: () => number;
  readonly #sma = new Sma(20);
  readonly #emas = EMA_PERIODS.map((period) => new Ema(period));
  readonly #rsi = new Rsi();
  readonly #macd = new Macd();
  readonly #bands = new Bollinger();
  readonly #atr = new Atr();
  readonly #flow = new BarFlow();
  readonly #candles = new CandlePatterns();
  readonly #activity = new ActivityPatterns();

  constructor(
    instrument: Instrument,
    wants: { readonly indicators: boolean; readonly patterns: boolean },
    sink: FigureSink,
    depth: () => number,
  ) {
    this.#instrument = instrument;
    this.#wants = wants;
    this.#sink = sink;
    this.#depth = depth;
  }

  /** Takes a bar that is complete, in the order of time. */
  push(bar: Bar, id: string, timeUs: number): void {
    if (this.#wants.indicators) this.#sink("indicator", id, timeUs, this.#indicatorsJson(bar, timeUs));
    if (this.#wants.patterns) this.#patterns(bar, id, timeUs);
  }

  save() {
    return {
      sma: this.#sma.save(),
      emas: this.#emas.map((ema) => ema.save()),
      rsi: this.#rsi.save(),
      macd: this.#macd.save(),
      bands: this.#bands.save(),
      atr: this.#atr.save(),
      flow: this.#flow.save(),
      candles: this.#candles.save(),
      activity: this.#activity.save(),
    };
  }

  restore(state: ReturnType<BarStudies["save"]>): void {
    this.#sma.restore(state.sma);
    for (const [at, ema] of this.#emas.entries()) {
      const saved = state.emas[at];
      if (saved !== undefined) ema.restore(saved);
    }
    this.#rsi.restore(state.rsi);
    this.#macd.restore(state.macd);
    this.#bands.restore(state.bands);
    this.#atr.restore(state.atr);
    this.#flow.restore(state.flow);
    this.#candles.restore(state.candles);
    this.#activity.restore(state.activity);
  }

  #indicatorsJson(bar: Bar, timeUs: number): string {
    const close = bar.closeValue;
    const rsi = this.#rsi.push(close);
    const macd = this.#macd.push(close);
    const middle = this.#bands.push(close);
    const atr = this.#atr.push(bar.highValue, bar.lowValue, close);
    this.#flow.push(bar);
    return JSON.stringify({
      kind: "indicator",
      ...this.#place(bar, timeUs),
      sma_20: figure(this.#sma.push(close)),
      ...Object.fromEntries(
        this.#emas.map((ema, at) => [`ema_${EMA_PERIODS[at]}`, figure(ema.push(close))]),
      ),
      rsi_14: figure(rsi),
      macd: figure(macd),
      macd_signal: figure(this.#macd.signal),
      macd_histogram: figure(this.#macd.histogram),
      bollinger_upper: figure(Number.isNaN(middle) ? NaN : this.#bands.upper),
      bollinger_middle: figure(middle),
      bollinger_lower: figure(Number.isNaN(middle) ? NaN : this.#bands.lower),
      atr_14: figure(atr),
      realised_volatility: figure(this.#flow.count === 0 ? NaN : this.#flow.realisedVolatility),
      kyle_lambda: figure(this.#flow.kyleLambda),
      amihud: figure(this.#flow.amihud),
    });
  }

  #patterns(bar: Bar, id: string, timeUs: number): void {
    for (const pattern of this.#candles.push(bar)) {
      const direction = /bullish|up|hammer/.test(pattern)
        ? "up"
        : /bearish|down|star/.test(pattern)
        ? "down"
        : "none";
      this.#givePattern(bar, id, timeUs, { pattern, confidence: 100, direction });
    }
    for (const { pattern, confidence, direction, strength } of this.#activity.push(bar, this.#depth())) {
      this.#givePattern(bar, id, timeUs, { pattern, confidence, direction, strength: figure(strength) });
    }
  }

  #givePattern(
    bar: Bar,
    id: string,
    timeUs: number,
    found: { readonly pattern: string; readonly [figure: string]: unknown },
  ): void {
    const json = JSON.stringify({ kind: "pattern", ...this.#place(bar, timeUs), ...found });
    this.#sink("pattern", `${id}:${found.pattern}`, timeUs, json);
  }

  #place(bar: Bar, timeUs: number) {
    const { venue, symbol } = this.#instrument;
    return { venue, symbol, interval_ms: bar.intervalMs, start_us: bar.startMs * 1000, time_us: timeUs };
  }
}

/** A figure as JSON shows it; left out while it cannot be known. */
function figure(value: number): number | undefined {
  return Number.isFinite(value) ? Number(value.toPrecision(SIGNIFICANT)) : undefined;
}
