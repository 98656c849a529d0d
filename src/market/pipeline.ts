/**
 * One instrument's figures: trades and quotes in, bars, indicators, patterns, flow, profile and quality out.
 *
 *     trade ─▶ bars of every interval ─▶ indicators, patterns ─▶ sink
 *        ├───▶ volume profile and flow of the session ─▶ sink
 *        └───▶ quality, on the receipt clock ─▶ sink, alerts
 *
 * Time comes with the messages (and from `advance`); nothing here reads a clock, so the same messages give the same
 * bytes, live and replayed, and with `save()` and `restore()` anywhere between them. Owned by one thread.
 */
import { pow10 } from "../book/decimal.ts";
import type { Bar } from "./bar.ts";
import { BarStudies } from "./bar-studies.ts";
import { Bars, type QuotePrice } from "./bars.ts";
import { FlowMeter } from "./flow-meter.ts";
import type { Instrument } from "./instrument.ts";
import type { MarketMessage } from "./message.ts";
import { barJson } from "./payload.ts";
import {
  type AlertChange,
  type QualityCounts,
  qualityJson,
  QualityMeter,
  type QualityReport,
} from "./quality.ts";
import { SessionProfile } from "./session-profile.ts";

export interface PipelineOptions {
  readonly intervalsMs: readonly number[];
  readonly barPrice: "trade" | QuotePrice;
  readonly graceMs: number;
  /** Silence after which the clock ends bars that no tick has ended. */
  readonly idleMs: number;
  readonly indicators: boolean;
  readonly patterns: boolean;
  /** Decimal text; `null`: no profile. */
  readonly profileRow: string | null;
  /** When a session begins, after midnight UTC. */
  readonly sessionStartMs: number;
  /** Time between two reports of the flow. 0: none. */
  readonly flowMs: number;
  /** Volume of a bucket of VPIN: decimal text; `null`: no VPIN. */
  readonly vpinBucket: string | null;
  readonly qualityMs: number;
  /** Score under which an alert is raised. */
  readonly qualityAlert: number;
  /** 0: none. */
  readonly bookSummaryMs: number;
}

export type FigureKind =
  | "bar"
  | "indicator"
  | "pattern"
  | "profile"
  | "flow"
  | "quality"
  | "integrity"
  | "book";

/** Takes one event: its id tells it from all others of the instrument and kind, and is the same in a replay. */
export type FigureSink = (kind: FigureKind, id: string, timeUs: number, json: string) => void;

export interface PipelineEnds {
  readonly sink: FigureSink;
  /** Quantity resting near the middle now, NaN without a book. */
  readonly depth: () => number;
  /** The quality fell under its limit, or is good again. */
  readonly onAlert?: (change: NonNullable<AlertChange>, report: QualityReport, nowUs: number) => void;
}

export type PipelineState = ReturnType<Pipeline["save"]>;

const DAY_MS = 86_400_000;
/** Quotes may run ahead of trades, which come on another stream (Binance): by less than this. */
const QUOTE_LEAD_MS = 1000;
/** Judgements made up after a silence; those in between would only repeat each other. */
const STEPS_MAX = 20;
/** Gaps remembered: bars of longer intervals may still come to cover them. */
const GAPS_MAX = 64;

export class Pipeline {
  readonly instrument: Instrument;
  readonly #options: PipelineOptions;
  readonly #ends: PipelineEnds;
  readonly #bars: readonly Bars[];
  readonly #studies: readonly BarStudies[];
  readonly #quality: QualityMeter;
  readonly #flow: FlowMeter;
  readonly #profile: SessionProfile | undefined;
  /** Number of the session by days since 1970. */
  #session = NaN;
  /** Largest scales met: the instruments of two lines learn theirs apart. */
  #priceScale = 0;
  #qtyScale = 0;
  #qualityDueUs = NaN;
  #flowDueUs = NaN;
  #nowUs = 0;
  /** Venue's time and receipt time of the newest tick. */
  #lastMs = NaN;
  #lastUs = NaN;
  /** Times from which to which ticks may be missing; a bar that covers one is incomplete. */
  readonly #gaps: [fromMs: number, toMs: number][] = [];
  /** The next tick ends a gap: at the start, and after a loss. */
  #isGapOpen = true;
  #lastQuality = "";
  #lastFlow = "";

  constructor(instrument: Instrument, options: PipelineOptions, ends: PipelineEnds) {
    this.instrument = instrument;
    this.#options = options;
    this.#ends = ends;
    this.#quality = new QualityMeter({ alertScore: options.qualityAlert });
    this.#flow = new FlowMeter(options.vpinBucket);
    this.#profile = options.profileRow === null
      ? undefined
      : new SessionProfile(instrument, options.profileRow);
    const shortest = Math.min(...options.intervalsMs);
    this.#studies = options.intervalsMs.map(() => new BarStudies(instrument, options, ends.sink, ends.depth));
    this.#bars = options.intervalsMs.map((intervalMs, at) =>
      new Bars((bar) => {
        this.#give(bar, this.#studies[at]);
        if (intervalMs === shortest && bar.revision === 0) this.#giveProfile(bar);
      }, { intervalMs, graceMs: options.graceMs })
    );
  }

  /** Takes a live trade or a quote. */
  take(message: MarketMessage): void {
    this.received(message);
    if (message.historic || (message.kind !== "trade" && message.kind !== "quote")) return;
    const timeMs = Math.floor(message.eventTimeUs / 1000);
    if (this.#isGapOpen) this.#endGap(timeMs);
    this.#lastMs = timeMs;
    this.#lastUs = message.receivedUs;
    if (message.kind === "trade") this.#takeTrade(message, timeMs);
    else this.#takeQuote(message, timeMs);
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

  /** Ticks may be missing between the last one and the next: bars that cover that time are incomplete. */
  dataLost(): void {
    this.#isGapOpen = true;
  }

  /** The receipt clock has come to this time: does what is due until then. */
  advance(nowUs: number): void {
    if (!(nowUs > this.#nowUs)) return;
    this.#nowUs = nowUs;
    const { qualityMs, flowMs, idleMs } = this.#options;
    this.#qualityDueUs = this.#eachDue(
      this.#qualityDueUs,
      qualityMs * 1000,
      (dueUs) => this.#giveQuality(dueUs),
    );
    if (flowMs > 0) {
      this.#flowDueUs = this.#eachDue(this.#flowDueUs, flowMs * 1000, (dueUs) => this.#giveFlow(dueUs));
    }
    const idleForMs = (nowUs - this.#lastUs) / 1000 - idleMs;
    if (!(idleForMs > 0)) return;
    // The venue's clock has gone on by as much as ours.
    for (const bars of this.#bars) bars.advance(Math.floor(this.#lastMs + idleForMs));
  }

  /** Gives out what is still open: the end of a recording. */
  flush(): void {
    for (const bars of this.#bars) bars.flush();
    if (this.#flow.hasNews && this.#options.flowMs > 0) this.#giveFlow(this.#nowUs);
  }

  /** The newest bars of an interval as JSON, oldest first, the open one with `open: true`; `undefined`: no such. */
  barsJson(intervalMs: number, countMax: number): string | undefined {
    const bars = this.#bars.find((one) => one.intervalMs === intervalMs);
    if (bars === undefined) return undefined;
    const list = bars.newest(countMax).map((bar) => {
      const json = barJson(bar, this.instrument);
      return bars.isOpen(bar) ? `${json.slice(0, -1)},"open_now":true}` : json;
    });
    return `{"bars":[${list.join(",")}]}`;
  }

  /** The session's profile as it is now, `undefined` without one. */
  profileJson(): string | undefined {
    return this.#profile?.json(this.#sessionStartUs, this.#nowUs);
  }

  /** What was told of quality and flow last, `undefined` before. */
  lastJson(kind: "quality" | "flow"): string | undefined {
    return (kind === "quality" ? this.#lastQuality : this.#lastFlow) || undefined;
  }

  /** Everything the figures depend on, for a checkpoint. */
  save() {
    return {
      session: this.#session,
      priceScale: this.#priceScale,
      qtyScale: this.#qtyScale,
      qualityDueUs: this.#qualityDueUs,
      flowDueUs: this.#flowDueUs,
      nowUs: this.#nowUs,
      lastMs: this.#lastMs,
      lastUs: this.#lastUs,
      gaps: this.#gaps.map(([from, to]) => [from, to] as const),
      isGapOpen: this.#isGapOpen,
      barPrice: this.#options.barPrice,
      bars: this.#bars.map((bars) => bars.save()),
      studies: this.#studies.map((studies) => studies.save()),
      profile: this.#profile?.save(),
      flow: this.#flow.save(),
      quality: this.#quality.save(),
    };
  }

  /**
   * Takes over what `save()` gave. Where options have changed since, what they concern begins anew: intervals, the
   * row of the profile, the bucket of VPIN.
   */
  restore(state: PipelineState): void {
    this.#session = state.session;
    this.#priceScale = state.priceScale;
    this.#qtyScale = state.qtyScale;
    this.#qualityDueUs = state.qualityDueUs;
    this.#flowDueUs = state.flowDueUs;
    this.#nowUs = state.nowUs;
    this.#lastMs = state.lastMs;
    this.#lastUs = state.lastUs;
    for (const [from, to] of state.gaps) this.#gaps.push([from, to]);
    this.#isGapOpen = state.isGapOpen;
    this.#flow.restore(state.flow);
    this.#quality.restore(state.quality);
    if (state.profile !== undefined) this.#profile?.restore(state.profile);
    if (state.barPrice !== this.#options.barPrice) return;
    for (const [at, saved] of state.bars.entries()) {
      const own = this.#bars.findIndex(({ intervalMs }) => intervalMs === saved.intervalMs);
      const studies = state.studies[at];
      if (own === -1 || studies === undefined) continue;
      this.#bars[own]?.restore(saved);
      this.#studies[own]?.restore(studies);
    }
  }

  get #sessionStartUs(): number {
    return (this.#session * DAY_MS + this.#options.sessionStartMs) * 1000;
  }

  #eachDue(dueUs: number, stepUs: number, give: (dueUs: number) => void): number {
    const nowUs = this.#nowUs;
    let next = Number.isNaN(dueUs) ? (Math.floor(nowUs / stepUs) + 1) * stepUs : dueUs;
    const behind = Math.floor((nowUs - next) / stepUs);
    if (behind > STEPS_MAX) next += (behind - STEPS_MAX) * stepUs;
    for (; next <= nowUs; next += stepUs) give(next);
    return next;
  }

  #endGap(timeMs: number): void {
    this.#isGapOpen = false;
    // Before the first tick of all nothing is known: bars that began earlier lack their beginning.
    const fromMs = Number.isNaN(this.#lastMs) ? -Infinity : this.#lastMs;
    this.#gaps.push([fromMs, timeMs]);
    if (this.#gaps.length > GAPS_MAX) this.#gaps.shift();
  }

  #takeTrade(message: MarketMessage, timeMs: number): void {
    this.#learn(message);
    const price = message.price * pow10(this.#priceScale - message.instrument.priceScale);
    const qty = message.qty * pow10(this.#qtyScale - message.instrument.qtyScale);
    const scales = { price: this.#priceScale, qty: this.#qtyScale };
    this.#enterSession(timeMs);
    this.#flow.trade(message, price, qty, scales);
    this.#profile?.add(price, qty, message.side, scales);
    if (this.#options.barPrice !== "trade") return;
    for (const bars of this.#bars) {
      bars.useScales(this.#priceScale, this.#qtyScale);
      bars.add(timeMs, price, qty, message.side);
    }
  }

  #takeQuote(message: MarketMessage, timeMs: number): void {
    const which = this.#options.barPrice;
    const { bidPrice, askPrice } = message;
    this.#flow.quote(message);
    if (which === "trade") {
      // A quote moves no bar of trades, but it ends those that are over for long, and tells their spread.
      const spread = (askPrice - bidPrice) / pow10(message.instrument.priceScale);
      for (const bars of this.#bars) {
        if (message.eventTimeKnown) bars.advance(timeMs - QUOTE_LEAD_MS);
        const current = bars.current();
        if (current === undefined || spread !== spread) continue;
        if (message.eventTimeKnown && timeMs >= current.startMs + current.intervalMs) continue;
        current.spreadSum += spread;
        current.quoteCount++;
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

  #learn({ instrument: { priceScale, qtyScale } }: MarketMessage): void {
    this.#priceScale = Math.max(this.#priceScale, priceScale);
    this.#qtyScale = Math.max(this.#qtyScale, qtyScale);
  }

  #enterSession(timeMs: number): void {
    const session = Math.floor((timeMs - this.#options.sessionStartMs) / DAY_MS);
    if (session <= this.#session) return;
    if (!Number.isNaN(this.#session)) {
      this.#profile?.beginSession();
      this.#flow.beginSession();
    }
    this.#session = session;
  }

  #give(bar: Bar, studies: BarStudies | undefined): void {
    const endMs = bar.startMs + bar.intervalMs;
    for (const [fromMs, toMs] of this.#gaps) {
      if (bar.startMs < toMs && endMs > fromMs) bar.incomplete = true;
    }
    const id = `${bar.intervalMs}:${bar.startMs}:${bar.revision}`;
    this.#ends.sink("bar", id, endMs * 1000, barJson(bar, this.instrument));
    // Indicators follow bars as they were first given out: a correction does not rewrite history.
    if (bar.revision === 0) studies?.push(bar, id, endMs * 1000);
  }

  #giveProfile(bar: Bar): void {
    const timeUs = (bar.startMs + bar.intervalMs) * 1000;
    const json = this.#profile?.json(this.#sessionStartUs, timeUs);
    if (json !== undefined) this.#ends.sink("profile", `${bar.startMs}`, timeUs, json);
  }

  #giveFlow(nowUs: number): void {
    if (!this.#flow.hasNews) return;
    const { venue, symbol } = this.instrument;
    const session = Number.isNaN(this.#session) ? undefined : this.#sessionStartUs;
    this.#lastFlow = JSON.stringify({
      kind: "flow",
      venue,
      symbol,
      session_start_us: session,
      time_us: nowUs,
      ...this.#flow.describe(nowUs),
    });
    this.#ends.sink("flow", `${nowUs}`, nowUs, this.#lastFlow);
  }

  #giveQuality(nowUs: number): void {
    const { report, change } = this.#quality.judge(nowUs);
    const { instrument } = this;
    this.#lastQuality = qualityJson(instrument, report, nowUs, { kind: "quality" });
    this.#ends.sink("quality", `${nowUs}`, nowUs, this.#lastQuality);
    if (change === undefined) return;
    const alert = { kind: "integrity", event: `quality_alert_${change}` };
    this.#ends.sink("integrity", `q${nowUs}`, nowUs, qualityJson(instrument, report, nowUs, alert));
    this.#ends.onAlert?.(change, report, nowUs);
  }
}
