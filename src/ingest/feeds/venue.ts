/**
 * What a feed must know of a venue beside its messages: where to connect, how to subscribe, how to ping, how long it
 * may be silent, and where a book's snapshot comes from. One entry a venue; sources in `docs/market-data.md`.
 */
import { BinanceDecoder } from "./binance.ts";
import type { BookFeedOptions } from "./book-feed.ts";
import { BybitDecoder } from "./bybit.ts";
import { CoinbaseAdvancedDecoder } from "./coinbase-advanced.ts";
import { CoinbaseDecoder } from "./coinbase.ts";
import type { Decoder, MessageSink } from "./decoder.ts";
import { KrakenV1Decoder } from "./kraken-v1.ts";
import { KrakenV2Decoder } from "./kraken-v2.ts";
import { OkxDecoder } from "./okx.ts";
import { SEQUENCE_RULES } from "./sequence.ts";
import { TwelveDataDecoder } from "./twelve-data.ts";

export type Channel = "trades" | "book" | "quotes";

/** What to receive: the venue's own symbols, and kinds of messages for all of them. */
export interface Wanted {
  readonly symbols: readonly string[];
  readonly channels: readonly Channel[];
}

export interface Venue {
  /** Name in topics. */
  readonly name: string;
  readonly url: string;
  readonly book: BookFeedOptions;
  /** Trades are numbered without holes per instrument, so that a hole means loss and a repeat can be told. */
  readonly tradesContiguous: boolean;
  makeDecoder(sink: MessageSink): Decoder;
  /** Messages that subscribe, batched as the venue allows. */
  subscribe(wanted: Wanted): string[];
  /** Messages that make the venue send one book's snapshot again; only where it comes on the line. */
  resubscribe?(symbol: string): string[];
  /** Where a book's snapshot is fetched, and what that costs of `restWeightPerMinute`. */
  snapshotUrl?(symbol: string): string;
  readonly snapshotWeight?: number;
  readonly restWeightPerMinute?: number;
  readonly sendsPerSecondMax: number;
  readonly ping?: { readonly text: string; readonly everyMs: number };
  readonly silenceMs: number;
  /** Heartbeats alone for so long: the subscription is dead. */
  readonly dataSilenceMs?: number;
  readonly rotateMs?: number;
}

const HOUR_MS = 3_600_000;
/** Arguments in one subscription message. */
const BATCH = 10;

function batches<Item>(items: readonly Item[], size: number): Item[][] {
  const made: Item[][] = [];
  for (let at = 0; at < items.length; at += size) made.push(items.slice(at, at + size));
  return made;
}

function binance(
  name: string,
  options: {
    url: string;
    rest: string;
    rule: "range" | "previous";
    book: string;
    limit: number;
    weight: number;
  },
): Venue {
  const suffixes: Record<Channel, string> = { trades: "trade", book: options.book, quotes: "bookTicker" };
  return {
    name,
    url: options.url,
    book: { rule: SEQUENCE_RULES[options.rule] },
    tradesContiguous: true,
    makeDecoder: (sink) => new BinanceDecoder(sink, { venue: name }),
    subscribe({ symbols, channels }) {
      const streams = symbols.flatMap((symbol) =>
        channels.map((channel) => `${symbol.toLowerCase()}@${suffixes[channel]}`)
      );
      return batches(streams, 100).map((params, at) =>
        JSON.stringify({ method: "SUBSCRIBE", params, id: at + 1 })
      );
    },
    snapshotUrl: (symbol) => `${options.rest}?symbol=${symbol}&limit=${options.limit}`,
    snapshotWeight: options.weight,
    restWeightPerMinute: name === "binance" ? 6000 : 2400,
    sendsPerSecondMax: 4, // of five: the platform answers the venue's pings by itself, and pongs count
    silenceMs: 60_000,
    rotateMs: 23 * HOUR_MS,
  };
}

function krakenV1(depth: 10 | 25 | 100 | 500 | 1000): Venue {
  const names: Record<Channel, object> = {
    trades: { name: "trade" },
    book: { name: "book", depth },
    quotes: { name: "spread" },
  };
  const book = (event: string, symbol: string) =>
    JSON.stringify({ event, pair: [symbol], subscription: names.book });
  return {
    name: "kraken",
    url: "wss://ws.kraken.com",
    book: { rule: SEQUENCE_RULES.none, checksum: "kraken", depth },
    tradesContiguous: false,
    makeDecoder: (sink) => new KrakenV1Decoder(sink),
    subscribe: ({ symbols, channels }) =>
      channels.map((channel) =>
        JSON.stringify({ event: "subscribe", pair: symbols, subscription: names[channel] })
      ),
    resubscribe: (symbol) => [book("unsubscribe", symbol), book("subscribe", symbol)],
    sendsPerSecondMax: 5,
    ping: { text: '{"event":"ping"}', everyMs: 20_000 },
    silenceMs: 5000,
  };
}

function krakenV2(depth: 10 | 25 | 100 | 500 | 1000): Venue {
  const params: Record<Channel, object> = {
    trades: { channel: "trade", snapshot: false },
    book: { channel: "book", depth },
    quotes: { channel: "ticker", event_trigger: "bbo" },
  };
  const book = (method: string, symbol: string) =>
    JSON.stringify({ method, params: { ...params.book, symbol: [symbol] } });
  return {
    name: "kraken",
    url: "wss://ws.kraken.com/v2",
    book: { rule: SEQUENCE_RULES.none, checksum: "kraken", depth },
    tradesContiguous: true,
    makeDecoder: (sink) => new KrakenV2Decoder(sink),
    // The instrument channel tells the precisions the checksums run over.
    subscribe: ({ symbols, channels }) => [
      JSON.stringify({ method: "subscribe", params: { channel: "instrument" } }),
      ...channels.map((channel) =>
        JSON.stringify({ method: "subscribe", params: { ...params[channel], symbol: symbols } })
      ),
    ],
    resubscribe: (symbol) => [book("unsubscribe", symbol), book("subscribe", symbol)],
    sendsPerSecondMax: 5,
    ping: { text: '{"method":"ping"}', everyMs: 20_000 },
    silenceMs: 5000,
  };
}

function coinbase(): Venue {
  const names: Record<Channel, string> = { trades: "matches", book: "level2_batch", quotes: "ticker" };
  const message = (type: string, symbols: readonly string[], channels: readonly string[]) =>
    JSON.stringify({ type, product_ids: symbols, channels });
  return {
    name: "coinbase",
    url: "wss://ws-feed.exchange.coinbase.com",
    book: { rule: SEQUENCE_RULES.none },
    tradesContiguous: true,
    makeDecoder: (sink) => new CoinbaseDecoder(sink),
    subscribe: ({ symbols, channels }) => [
      message("subscribe", symbols, [...channels.map((channel) => names[channel]), "heartbeat"]),
    ],
    resubscribe: (symbol) =>
      ["unsubscribe", "subscribe"].map((type) => message(type, [symbol], [names.book])),
    sendsPerSecondMax: 8,
    silenceMs: 5000, // heartbeats come each second
  };
}

function coinbaseAdvanced(): Venue {
  const names: Record<Channel, string> = { trades: "market_trades", book: "level2", quotes: "ticker" };
  const message = (type: string, symbols: readonly string[], channel: string) =>
    JSON.stringify({ type, product_ids: symbols, channel });
  return {
    name: "coinbase",
    url: "wss://advanced-trade-ws.coinbase.com",
    book: { rule: SEQUENCE_RULES.none },
    tradesContiguous: true,
    makeDecoder: (sink) => new CoinbaseAdvancedDecoder(sink),
    subscribe: ({ symbols, channels }) =>
      [...channels.map((channel) => names[channel]), "heartbeats"].map((channel) =>
        message("subscribe", symbols, channel)
      ),
    resubscribe: (symbol) => ["unsubscribe", "subscribe"].map((type) => message(type, [symbol], names.book)),
    sendsPerSecondMax: 8,
    silenceMs: 5000,
  };
}

function okx(): Venue {
  const names: Record<Channel, string> = { trades: "trades", book: "books", quotes: "tickers" };
  const message = (op: string, args: readonly object[]) => JSON.stringify({ op, args });
  return {
    name: "okx",
    url: "wss://ws.okx.com:8443/ws/v5/public",
    book: { rule: SEQUENCE_RULES.chained, checksum: "okx" },
    tradesContiguous: false, // one message may stand for several fills
    makeDecoder: (sink) => new OkxDecoder(sink),
    subscribe({ symbols, channels }) {
      const args = symbols.flatMap((instId) =>
        channels.map((channel) => ({ channel: names[channel], instId }))
      );
      return batches(args, BATCH).map((batch) => message("subscribe", batch));
    },
    resubscribe: (instId) =>
      ["unsubscribe", "subscribe"].map((op) => message(op, [{ channel: names.book, instId }])),
    sendsPerSecondMax: 3,
    ping: { text: "ping", everyMs: 20_000 },
    silenceMs: 30_000,
  };
}

function bybit(kind: "spot" | "linear" | "inverse"): Venue {
  const names: Record<Channel, string> = { trades: "publicTrade", book: "orderbook.50", quotes: "tickers" };
  return {
    name: kind === "spot" ? "bybit" : `bybit-${kind}`,
    url: `wss://stream.bybit.com/v5/public/${kind}`,
    book: { rule: SEQUENCE_RULES.contiguous },
    tradesContiguous: false,
    makeDecoder: (sink) => new BybitDecoder(sink, { venue: kind === "spot" ? "bybit" : `bybit-${kind}` }),
    subscribe({ symbols, channels }) {
      const args = symbols.flatMap((symbol) => channels.map((channel) => `${names[channel]}.${symbol}`));
      return batches(args, BATCH).map((batch, at) =>
        JSON.stringify({ op: "subscribe", args: batch, req_id: String(at + 1) })
      );
    },
    resubscribe: (symbol) =>
      ["unsubscribe", "subscribe"].map((op) => JSON.stringify({ op, args: [`${names.book}.${symbol}`] })),
    sendsPerSecondMax: 5,
    ping: { text: '{"op":"ping"}', everyMs: 20_000 },
    silenceMs: 30_000,
  };
}

function twelveData(apiKey: string): Venue {
  return {
    name: "twelvedata",
    url: `wss://ws.twelvedata.com/v1/quotes/price?apikey=${encodeURIComponent(apiKey)}`,
    book: { rule: SEQUENCE_RULES.none },
    tradesContiguous: false,
    makeDecoder: (sink) => new TwelveDataDecoder(sink),
    subscribe: (
      { symbols },
    ) => [JSON.stringify({ action: "subscribe", params: { symbols: symbols.join(",") } })],
    sendsPerSecondMax: 5,
    ping: { text: '{"action":"heartbeat"}', everyMs: 10_000 },
    silenceMs: 60_000,
  };
}

export const VENUE_NAMES = [
  "binance",
  "binance-usdm",
  "binance-coinm",
  "coinbase",
  "coinbase-advanced",
  "kraken-v1",
  "kraken-v2",
  "okx",
  "bybit",
  "bybit-linear",
  "bybit-inverse",
  "twelvedata",
] as const;
export type VenueName = (typeof VENUE_NAMES)[number];

export interface VenueOptions {
  /** For Twelve Data. */
  readonly apiKey?: string;
  /** Levels of Kraken's books. Default 100. */
  readonly depth?: 10 | 25 | 100 | 500 | 1000;
}

/** The venue by its name in the configuration. */
export function venueOf(name: VenueName, options: VenueOptions = {}): Venue {
  switch (name) {
    case "binance":
      return binance(name, {
        url: "wss://stream.binance.com:9443/stream",
        rest: "https://api.binance.com/api/v3/depth",
        rule: "range",
        book: "depth@100ms",
        limit: 5000,
        weight: 250,
      });
    case "binance-usdm":
      return binance(name, {
        url: "wss://fstream.binance.com/stream",
        rest: "https://fapi.binance.com/fapi/v1/depth",
        rule: "previous",
        book: "depth@0ms",
        limit: 1000,
        weight: 20,
      });
    case "binance-coinm":
      return binance(name, {
        url: "wss://dstream.binance.com/stream",
        rest: "https://dapi.binance.com/dapi/v1/depth",
        rule: "previous",
        book: "depth@0ms",
        limit: 1000,
        weight: 20,
      });
    case "coinbase":
      return coinbase();
    case "coinbase-advanced":
      return coinbaseAdvanced();
    case "kraken-v1":
      return krakenV1(options.depth ?? 100);
    case "kraken-v2":
      return krakenV2(options.depth ?? 100);
    case "okx":
      return okx();
    case "bybit":
      return bybit("spot");
    case "bybit-linear":
      return bybit("linear");
    case "bybit-inverse":
      return bybit("inverse");
    case "twelvedata":
      return twelveData(options.apiKey ?? "");
  }
}
