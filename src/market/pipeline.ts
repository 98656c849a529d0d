/**
 * One instrument's figures: trades and quotes in, bars, indicators, patterns, flow, profile and quality out.
 *
 *     trade ─▶ bars of every interval ─▶ indicators, flow, patterns ─▶ sink
 *        └───▶ volume profile of the UTC day          quality, on the receipt clock ─▶ sink
 *
 * Time comes with the messages (and from `advance`); nothing here reads a clock, so the same messages give the same
 * bytes, live and replayed. Owned by one thread.
 */
import { pow10 } from "../book/decimal.ts";
import type { Bar } from "./bar.ts";
import { BarStudies } from "./bar-studies.ts";
import { Bars, type QuotePrice } from "./bars.ts";
import type { Instrument } from "./instrument.ts";
import type { MarketMessage } from "./message.ts";
import { barJson } from "./payload.ts";
import { VolumeProfile } from "./profile.ts";
import { type QualityCounts, QualityMeter } from "./quality.ts";

export interface PipelineOptions {
  readonly intervalsMs: readonly number[];
  readonly barPrice: "trade" | QuotePrice;
  readonly graceMs: number;
  readonly indicators: boolean;
  readonly patterns: boolean;
  /** Decimal text; `null`: no profile. */
  readonly profileRow: string | null;
  readonly qualityMs: number;
  /** 0: none. */
  readonly bookSummaryMs: number;
}

export type FigureKind = "bar" | "indicator" | "pattern" | "profile" | "quality" | "integrity" | "book";

/** Takes one event: its id tells it from all others of the instrument and kind, and is the same in a replay. */
export type FigureSink = (kind: FigureKind, id: string, timeUs: number, json: string) => void;

const DAY_MS = 86_400_000;
const PROFILE_ROWS_SHOWN = 50;

export class Pipeline {
  readonly instrument: Instrument;
  readonly #options: PipelineOptions;
  readonly #sink: FigureSink;
  readonly #bars: readonly Bars[];
  readonly #quality = new QualityMeter();
  #profile: VolumeProfile | undefined;
  #profileDay = NaN;
  /** Largest scales met: the instruments of two lines learn theirs apart. */
  #priceScale = 0;
  #qtyScale = 0;
  #qualityDueUs = NaN;
  #nowUs = 0;
  /** Time of the first tick: the bars around it may lack what came before. */
  #firstMs = NaN;

  /** @param depth Quantity resting near the middle now, NaN without a book. */
  constructor(instrument: Instrument, options: PipelineOptions, sink: FigureSink, depth: () => number) {
    this.instrument = instrument;
    this.#options = options;
    this.#sink = sink;
    const shortest = Math.min(...options.intervalsMs);
    this.#bars = options.intervalsMs.map((intervalMs) => {
      const studies = new BarStudies(instrument, options, sink, depth);
      return new Bars((bar) => {
        this.#give(bar, studies);
        if (intervalMs === shortest && bar.revision === 0) this.#giveProfile(bar);
      }, { intervalMs, graceMs: options.graceMs });
    });
  }

  /** Takes a live trade or a quote. */
  take(message: MarketMessage): void {
    this.received(message);
    if (message.kind === "trade") this.#takeTrade(message);
    else if (message.kind === "quote") this.#takeQuote(message);
  }

  /** Counts a message of any kind for the quality of the data. */
  received(message: { readonly receivedUs: number; readonly eventTimeUs: number }): void {
    this.advance(message.receivedUs);
    const latencyUs = message.eventTimeUs === message.receivedUs
      ? NaN
      : message.receivedUs - message.eventTimeUs;
    this.#quality.received(message.receivedUs, latencyUs);
  }

  /** Counts a defect of the data. */
  note(defect: Exclude<keyof QualityCounts, "received">, nowUs: number, count = 1): void {
    this.advance(nowUs);
    this.#quality.note(defect, nowUs, count);
  }

  /** No data came between these times: bars that cover them are incomplete. */
  lineLost(fromMs: number, toMs: number): void {
    for (const bars of this.#bars) bars.markIncomplete(fromMs, toMs);
  }

  /** The receipt clock has come to this time: judges the quality at every moment that is due until then. */
  advance(nowUs: number): void {
    if (!(nowUs > this.#nowUs)) return;
    this.#nowUs = nowUs;
    const stepUs = this.#options.qualityMs * 1000;
    if (Number.isNaN(this.#qualityDueUs)) this.#qualityDueUs = (Math.floor(nowUs / stepUs) + 1) * stepUs;
    // After a long silence the judgements in between would only repeat each other.
    const behind = Math.floor((nowUs - this.#qualityDueUs) / stepUs);
    if (behind > 20) this.#qualityDueUs += (behind - 20) * stepUs;
    while (this.#qualityDueUs <= nowUs) {
      this.#giveQuality(this.#qualityDueUs);
      this.#qualityDueUs += stepUs;
    }
  }

  /** Gives out what is still open: the end of a recording. */
  flush(): void {
    for (const bars of this.#bars) bars.flush();
  }

  #takeTrade(message: MarketMessage): void {
    if (message.historic) return;
    this.#learn(message);
    const timeMs = Math.floor(message.eventTimeUs / 1000);
    const price = message.price * pow10(this.#priceScale - message.instrument.priceScale);
    const qty = message.qty * pow10(this.#qtyScale - message.instrument.qtyScale);
    if (this.#options.profileRow !== null) this.#addToProfile(timeMs, price, qty, message.side);
    if (this.#options.barPrice !== "trade") return;
    for (const bars of this.#bars) {
      bars.useScales(this.#priceScale, this.#qtyScale);
      bars.add(timeMs, price, qty, message.side);
    }
  }

  #takeQuote(message: MarketMessage): void {
    const which = this.#options.barPrice;
    const { bidPrice, askPrice } = message;
    const timeMs = Math.floor(message.eventTimeUs / 1000);
    if (which === "trade") {
      // A quote moves no bar of trades, but it ends those that are over, and tells their spread.
      const spread = (askPrice - bidPrice) / pow10(message.instrument.priceScale);
      for (const bars of this.#bars) {
        bars.advance(timeMs);
        const current = bars.current();
        if (current !== undefined && spread === spread) {
          current.spreadSum += spread;
          current.quoteCount++;
        }
      }
      return;
    }
    this.#learn(message);
    const factor = pow10(this.#priceScale - message.instrument.priceScale);
    const price = which === "bid"
      ? bidPrice * 10
      : which === "ask"
      ? askPrice * 10
      : (bidPrice + askPrice) * 5;
    if (price !== price) return;
    for (const bars of this.#bars) {
      bars.useScales(this.#priceScale + 1, 0);
      bars.add(timeMs, price * factor, 1, 0);
    }
  }

  #learn({ instrument: { priceScale, qtyScale }, eventTimeUs }: MarketMessage): void {
    if (Number.isNaN(this.#firstMs)) this.#firstMs = Math.floor(eventTimeUs / 1000);
    this.#priceScale = Math.max(this.#priceScale, priceScale);
    this.#qtyScale = Math.max(this.#qtyScale, qtyScale);
  }

  #give(bar: Bar, studies: BarStudies): void {
    if (bar.startMs < this.#firstMs) bar.incomplete = true;
    const id = `${bar.intervalMs}:${bar.startMs}:${bar.revision}`;
    const timeUs = (bar.startMs + bar.intervalMs) * 1000;
    this.#sink("bar", id, timeUs, barJson(bar, this.instrument));
    // Indicators follow bars as they were first given out: a correction does not rewrite history.
    if (bar.revision === 0) studies.push(bar, id, timeUs);
  }

  #addToProfile(timeMs: number, price: number, qty: number, side: number): void {
    const day = Math.floor(timeMs / DAY_MS);
    if (this.#profile === undefined || day > this.#profileDay) {
      this.#profile = new VolumeProfile(this.#options.profileRow ?? "1");
      this.#profileDay = day;
    }
    this.#profile.add(price, qty, side, { price: this.#priceScale, qty: this.#qtyScale });
  }

  #giveProfile(bar: Bar): void {
    const profile = this.#profile;
    const control = profile?.pointOfControl();
    const area = profile?.valueArea();
    if (profile === undefined || control === undefined || area === undefined) return;
    const timeUs = (bar.startMs + bar.intervalMs) * 1000;
    this.#sink(
      "profile",
      `${bar.startMs}`,
      timeUs,
      JSON.stringify({
        kind: "profile",
        venue: this.instrument.venue,
        symbol: this.instrument.symbol,
        day_start_us: this.#profileDay * DAY_MS * 1000,
        time_us: timeUs,
        row: profile.rowSize,
        rows: profile.rowCount,
        volume: profile.qtyText(profile.total),
        poc: profile.rowText(control),
        vah: profile.rowText(area.highRow),
        val: profile.rowText(area.lowRow),
        value_area_volume: profile.qtyText(area.volume),
        top: profile.topRows(PROFILE_ROWS_SHOWN).map(({ row, volume, buy, sell }) => [
          profile.rowText(row),
          profile.qtyText(volume),
          profile.qtyText(buy),
          profile.qtyText(sell),
        ]),
      }),
    );
  }

  #giveQuality(nowUs: number): void {
    const { report, change } = this.#quality.judge(nowUs);
    const { venue, symbol } = this.instrument;
    const figures = {
      venue,
      symbol,
      time_us: nowUs,
      score: round(report.score),
      completeness: round(report.completeness),
      timeliness: round(report.timeliness),
      accuracy: round(report.accuracy),
      consistency: round(report.consistency),
      freshness: report.freshness,
      health: healthOf(report.score, report.ageUs),
      latency_us_mean: Number.isNaN(report.latencyUsMean) ? undefined : Math.round(report.latencyUsMean),
      age_us: Number.isNaN(report.ageUs) ? undefined : report.ageUs,
      counts: report.counts,
      alerting: report.isAlerting,
    };
    this.#sink("quality", `${nowUs}`, nowUs, JSON.stringify({ kind: "quality", ...figures }));
    if (change === undefined) return;
    const alert = { kind: "integrity", event: `quality_alert_${change}`, ...figures };
    this.#sink("integrity", `q${nowUs}`, nowUs, JSON.stringify(alert));
  }
}

/** `offline` after 30 s without data; else by the score. */
function healthOf(score: number, ageUs: number): "healthy" | "degraded" | "critical" | "offline" {
  if (ageUs > 30_000_000) return "offline";
  if (score >= 80) return "healthy";
  return score >= 50 ? "degraded" : "critical";
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
