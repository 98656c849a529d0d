/**
 * Replays a recording through decoder, books and analytics, and describes the result in the words of the expected
 * files, so that a test is one comparison.
 */
import { expect } from "bun:test";
import { type BookSummary, summarise } from "../../src/book/analytics.ts";
import { formatScaled, pow10 } from "../../src/book/decimal.ts";
import { isCrossed } from "../../src/book/validation.ts";
import { topLine, TopSeries } from "../../src/book/top-series.ts";
import {
  BookFeed,
  type BookFeedListener,
  type BookFeedOptions,
  type IntegrityReport,
} from "../../src/ingest/feeds/book-feed.ts";
import type { Decoder } from "../../src/ingest/feeds/decoder.ts";
import { Bar, barRow } from "../../src/market/bar.ts";
import { Bars } from "../../src/market/bars.ts";
import { CANDLE_PATTERNS, CandlePatterns } from "../../src/market/candles.ts";
import { EffectiveSpread } from "../../src/market/effective-spread.ts";
import { BarFlow, Vpin } from "../../src/market/flow.ts";
import { Atr, Bollinger, Ema, Macd, Rsi, Sma } from "../../src/market/indicators.ts";
import type { Instrument } from "../../src/market/instrument.ts";
import type { MarketMessage } from "../../src/market/message.ts";
import { VolumeProfile } from "../../src/market/profile.ts";
import { TradeContinuity } from "../../src/ingest/feeds/trade-continuity.ts";

export const INTERVALS = {
  "1s": 1000,
  "5s": 5000,
  "15s": 15_000,
  "30s": 30_000,
  "1m": 60_000,
  "5m": 300_000,
};

interface Trade {
  price: number;
  qty: number;
  side: number;
}

/** Everything one instrument's messages led to. */
export class InstrumentReplay implements BookFeedListener {
  readonly instrument: Instrument;
  readonly feed: BookFeed;
  readonly series = new TopSeries();
  readonly faults: IntegrityReport[] = [];
  readonly kinds: Record<string, number> = {};
  /** As they came: mantissas at the scales of their day. */
  readonly #trades: (Trade & { priceScale: number; qtyScale: number })[] = [];
  readonly bars = new Map<string, Map<number, Bar>>();
  readonly spreads = new EffectiveSpread();
  readonly continuity = new TradeContinuity();
  tradeGapCount = 0;
  crossedCount = 0;
  firstApplied: { U: number; u: number; pu: number | null } | undefined;
  snapshotId = NaN;
  bufferedCount = 0;
  snapshotsWanted = 0;
  tickerSameId = 0;
  tickerEqual = 0;
  quoteCount = 0;
  klines: { start: number; row: string[]; first: number; last: number }[] = [];
  readonly aggregateTrades: { first: number; last: number }[] = [];
  readonly sequences: number[] = [];
  readonly #barMakers: [string, Bars][];
  readonly #tickers = new Map<number, string>();
  readonly #tops = new Map<number, string>();
  readonly #useIds: boolean;

  constructor(instrument: Instrument, options: BookFeedOptions, useIds: boolean) {
    this.instrument = instrument;
    this.#useIds = useIds;
    this.feed = new BookFeed(instrument, this, options);
    this.#barMakers = Object.entries(INTERVALS).map(([name, intervalMs]) => {
      const kept = new Map<number, Bar>();
      this.bars.set(name, kept);
      return [name, new Bars((bar) => kept.set(bar.startMs, bar), { intervalMs })];
    });
  }

  onUpdate(feed: BookFeed): void {
    if (this.firstApplied === undefined) {
      const { firstId, lastId, previousId } = feed.lastIds;
      this.firstApplied = { U: firstId, u: lastId, pu: Number.isNaN(previousId) ? null : previousId };
    }
    const key = this.#useIds ? feed.lastId : feed.book.updateCount;
    this.series.add(key, feed.book);
    if (isCrossed(feed.book)) this.crossedCount++;
    if (this.#useIds) this.#matchTicker(feed.lastId, this.#tops, this.#tickers, topLine(key, feed.book));
  }

  onSnapshot(feed: BookFeed): void {
    this.snapshotId = feed.lastId;
    this.bufferedCount = this.kinds.book_delta ?? 0;
  }

  onFault(_feed: BookFeed, report: IntegrityReport): void {
    this.faults.push(report);
  }

  onSnapshotWanted(): void {
    this.snapshotsWanted++;
  }

  onStateChange(): void {}

  take(message: MarketMessage): void {
    this.kinds[message.kind] = (this.kinds[message.kind] ?? 0) + 1;
    switch (message.kind) {
      case "book_snapshot":
      case "book_delta":
        return this.feed.take(message);
      case "trade":
        return this.#takeTrade(message);
      case "quote":
        return this.#takeQuote(message);
      case "bar":
        this.klines.push({
          start: message.barStartUs / 1000,
          row: [message.open, message.high, message.low, message.price].map((price) =>
            formatScaled(price, message.instrument.priceScale)
          ).concat(formatScaled(message.qty, message.instrument.qtyScale)),
          first: message.firstTradeId,
          last: message.lastTradeId,
        });
    }
  }

  #takeTrade(message: MarketMessage): void {
    this.tradeGapCount += this.continuity.check(message).missing;
    if (message.historic) return;
    if (!Number.isNaN(message.lastId)) this.sequences.push(message.lastId);
    const { price, qty, side, eventTimeUs } = message;
    const { priceScale, qtyScale } = message.instrument;
    this.#trades.push({ price, qty, side, priceScale, qtyScale });
    if (!Number.isNaN(message.firstTradeId)) {
      this.aggregateTrades.push({ first: message.firstTradeId, last: message.lastTradeId });
    }
    for (const [, bars] of this.#barMakers) bars.addTrade(message);
    this.spreads.trade(message.priceValue, message.qtyValue, side, eventTimeUs);
  }

  #takeQuote(message: MarketMessage): void {
    this.quoteCount++;
    const { priceScale, qtyScale } = message.instrument;
    this.spreads.quote(message.midValue, message.eventTimeKnown ? message.eventTimeUs : NaN);
    if (!this.#useIds) return;
    const line = [
      message.lastId,
      formatScaled(message.bidPrice, priceScale),
      formatScaled(message.bidQty, qtyScale),
      formatScaled(message.askPrice, priceScale),
      formatScaled(message.askQty, qtyScale),
    ].join(",");
    this.#matchTicker(message.lastId, this.#tickers, this.#tops, line);
  }

  /** Ticker and book of one update id come in either order. */
  #matchTicker(id: number, mine: Map<number, string>, theirs: Map<number, string>, line: string): void {
    mine.set(id, line);
    const other = theirs.get(id);
    if (other === undefined) return;
    this.tickerSameId++;
    if (other === line) this.tickerEqual++;
  }

  flush(): void {
    for (const [, bars] of this.#barMakers) bars.flush();
    this.spreads.flush();
  }

  book(): Record<string, unknown> {
    return {
      updates: this.series.lineCount,
      tob_series_sha256: this.series.sha256(),
      crossed_states: this.crossedCount,
      checkpoints: this.series.checkpoints,
    };
  }

  final(): Record<string, unknown> {
    return finalOf(summarise(this.feed.book));
  }

  barRows(): Record<string, unknown> {
    const rows: Record<string, unknown> = {};
    for (const name of Object.keys(INTERVALS)) rows[name] = this.#sorted(name).map(barRow);
    return rows;
  }

  /** Bars in order of start: late ones were given out after their time. */
  #sorted(name: string): Bar[] {
    return [...this.bars.get(name)?.values() ?? []].sort((a, b) => a.startMs - b.startMs);
  }

  /** Trades at the instrument's scales of now. */
  trades(): Trade[] {
    const { priceScale, qtyScale } = this.instrument;
    return this.#trades.map((trade) => ({
      price: trade.price * pow10(priceScale - trade.priceScale),
      qty: trade.qty * pow10(qtyScale - trade.qtyScale),
      side: trade.side,
    }));
  }

  summary(): Record<string, unknown> {
    const { priceScale, qtyScale } = this.instrument;
    const session = new Bar(0, Infinity, { price: priceScale, qty: qtyScale });
    for (const trade of this.trades()) session.add(trade.price, trade.qty, trade.side);
    const [, first, high, low, last, volume, vwap, buy, sell, delta, trades] = barRow(session);
    const flow = new BarFlow();
    for (const bar of this.#sorted("1s")) flow.push(bar);
    const total = session.volume.value();
    const vpin = new Vpin(total); // volumes times fifty against the total: bucket edges stay integers
    for (const trade of this.trades()) vpin.push(trade.qty * 50, trade.side);
    return {
      trades,
      volume,
      notional: formatScaled(session.notional.exact(), priceScale + qtyScale),
      vwap,
      high,
      low,
      first,
      last,
      buy_volume: buy,
      sell_volume: sell,
      cumulative_delta: delta,
      realised_vol_1s: flow.realisedVolatility,
      kyle_lambda_1s: flow.kyleLambda,
      amihud_1s: flow.amihud,
      vpin_50: vpin.value,
      vpin_buckets: vpin.bucketCount,
    };
  }

  profile(row: string): Record<string, unknown> {
    const scales = { price: this.instrument.priceScale, qty: this.instrument.qtyScale };
    const profile = new VolumeProfile(row);
    for (const trade of this.trades()) profile.add(trade.price, trade.qty, trade.side, scales);
    const range = profile.range() ?? { low: NaN, high: NaN };
    const poc = profile.pointOfControl() ?? NaN;
    const area = (rule: "pairs" | "single") => {
      const found = profile.valueArea(rule);
      if (found === undefined) throw new Error("No value area");
      return {
        vah: profile.rowText(found.highRow),
        val: profile.rowText(found.lowRow),
        volume: profile.qtyText(found.volume),
        share: found.volume / profile.total,
      };
    };
    const top = profile.topRows(5);
    return {
      row,
      rows: profile.rowCount,
      low_row: profile.rowText(range.low),
      high_row: profile.rowText(range.high),
      total: profile.qtyText(profile.total),
      poc: profile.rowText(poc),
      poc_volume: profile.qtyText(top[0]?.volume ?? NaN),
      value_area_pairs: area("pairs"),
      value_area_single: area("single"),
      top5_rows: top.map((entry) => [
        profile.rowText(entry.row),
        ...[entry.volume, entry.buy, entry.sell].map((qty) => profile.qtyText(qty)),
      ]),
    };
  }

  indicators(): Record<string, unknown> {
    const points: Record<string, [number, number][]> = {};
    const note = (name: string, timeMs: number, value: number) => {
      if (!Number.isNaN(value)) (points[name] ??= []).push([timeMs, value]);
    };
    const [sma, fast, slow, macd] = [new Sma(20), new Ema(12), new Ema(26), new Macd()];
    const [rsi, atr, bands] = [new Rsi(), new Atr(), new Bollinger()];
    for (const bar of this.#sorted("1s")) {
      const close = bar.closeValue;
      note("sma_20", bar.startMs, sma.push(close));
      note("ema_12", bar.startMs, fast.push(close));
      note("ema_26", bar.startMs, slow.push(close));
      note("macd", bar.startMs, macd.push(close));
      note("macd_signal", bar.startMs, macd.signal);
      note("macd_hist", bar.startMs, macd.histogram);
      note("rsi_14", bar.startMs, rsi.push(close));
      note("atr_14", bar.startMs, atr.push(bar.highValue, bar.lowValue, close));
      bands.push(close);
      note("bb_upper", bar.startMs, bands.upper);
      note("bb_lower", bar.startMs, bands.lower);
    }
    return Object.fromEntries(
      Object.entries(points).map(([name, list]) => [name, { first: list[0], last5: list.slice(-5) }]),
    );
  }

  candles(): Record<string, unknown> {
    const found = new Map<string, number[]>(CANDLE_PATTERNS.map((name) => [name, []]));
    const patterns = new CandlePatterns();
    for (const bar of this.#sorted("5s")) {
      for (const name of patterns.push(bar)) found.get(name)?.push(bar.startMs);
    }
    return Object.fromEntries(
      [...found].map(([name, times]) => [name, { count: times.length, first5: times.slice(0, 5) }]),
    );
  }
}

function finalOf(summary: BookSummary): Record<string, unknown> {
  return {
    best_bid: summary.bestBid,
    best_bid_qty: summary.bestBidQty,
    best_ask: summary.bestAsk,
    best_ask_qty: summary.bestAskQty,
    mid: summary.mid,
    spread: summary.spread,
    spread_bps: summary.spreadBps,
    microprice: summary.microprice,
    imbalance_1: summary.imbalance1,
    imbalance_5: summary.imbalance5,
    imbalance_10: summary.imbalance10,
    depth_10bps_bid: summary.depth10BpsBid,
    depth_10bps_ask: summary.depth10BpsAsk,
    bid_levels: summary.bidLevels,
    ask_levels: summary.askLevels,
    levels_10: { bids: summary.bids, asks: summary.asks },
  };
}

/** One recording's decoder and what its messages led to, by the venue's symbol. */
export class Replay {
  readonly instruments = new Map<string, InstrumentReplay>();
  readonly decoder: Decoder;
  messageCount = 0;
  readonly #options: BookFeedOptions;
  readonly #useIds: boolean;

  /** @param useIds Whether the top-of-book series is keyed by update id (Binance) or by ordinal. */
  constructor(
    makeDecoder: (sink: (message: MarketMessage) => void) => Decoder,
    options: BookFeedOptions,
    useIds = false,
  ) {
    this.#options = options;
    this.#useIds = useIds;
    this.decoder = makeDecoder((message) => {
      if (message.instrument.venueSymbol !== "") this.of(message.instrument).take(message);
    });
  }

  of(instrument: Instrument): InstrumentReplay {
    let replay = this.instruments.get(instrument.venueSymbol);
    if (replay === undefined) {
      replay = new InstrumentReplay(instrument, this.#options, this.#useIds);
      this.instruments.set(instrument.venueSymbol, replay);
    }
    return replay;
  }

  named(venueSymbol: string): InstrumentReplay {
    const replay = this.instruments.get(venueSymbol);
    if (replay === undefined) throw new Error(`No messages of ${venueSymbol}`);
    return replay;
  }

  line(text: string, receivedUs: number): void {
    this.messageCount++;
    const result = this.decoder.decode(text, receivedUs);
    if (result !== "ok") throw new Error(`${result}: ${text.slice(0, 200)}`);
  }

  snapshot(body: string, venueSymbol: string, receivedUs: number): void {
    const instrument = this.decoder.instruments.get(venueSymbol);
    if (instrument === undefined) throw new Error(`No instrument ${venueSymbol}`);
    const result = this.decoder.decodeSnapshot?.(body, instrument, receivedUs);
    if (result !== "ok") throw new Error(`${result}: ${body.slice(0, 200)}`);
  }

  flush(): void {
    for (const replay of this.instruments.values()) replay.flush();
  }
}

/** Numbers to a relative 1e-9 (expected ones are rounded to ten digits), all else exactly. Lists every difference. */
export function expectSame(actual: unknown, expected: unknown): void {
  const differences: string[] = [];
  compare(actual, expected, "", differences);
  expect(differences.slice(0, 20)).toEqual([]);
}

function compare(actual: unknown, expected: unknown, path: string, differences: string[]): void {
  if (typeof expected === "number" && typeof actual === "number") {
    if (Math.abs(actual - expected) > Math.abs(expected) * 1e-9) {
      differences.push(`${path}: ${actual} not ${expected}`);
    }
  } else if (
    typeof expected === "object" && expected !== null && typeof actual === "object" && actual !== null
  ) {
    const left: Record<string, unknown> = { ...actual };
    const right: Record<string, unknown> = { ...expected };
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      compare(left[key], right[key], `${path}.${key}`, differences);
    }
  } else if (actual !== expected) {
    differences.push(`${path}: ${JSON.stringify(actual)} not ${JSON.stringify(expected)}`);
  }
}
