/** The generic mapping: what it can express, proved against the decoders written in code, and how it refuses. */
import { expect, test } from "bun:test";
import { EscError } from "../../src/errors.ts";
import { BinanceDecoder } from "../../src/ingest/feeds/binance.ts";
import { BybitDecoder } from "../../src/ingest/feeds/bybit.ts";
import { CoinbaseAdvancedDecoder } from "../../src/ingest/feeds/coinbase-advanced.ts";
import { CoinbaseDecoder } from "../../src/ingest/feeds/coinbase.ts";
import type { Decoder, MessageSink } from "../../src/ingest/feeds/decoder.ts";
import { KrakenV1Decoder } from "../../src/ingest/feeds/kraken-v1.ts";
import { KrakenV2Decoder } from "../../src/ingest/feeds/kraken-v2.ts";
import { parseMapping } from "../../src/ingest/feeds/mapping-spec.ts";
import { mappedBookOptions, MappingDecoder } from "../../src/ingest/feeds/mapping.ts";
import { OkxDecoder } from "../../src/ingest/feeds/okx.ts";
import { describeMessage } from "./described.ts";
import binanceYaml from "./mappings/binance.yaml";
import bybitYaml from "./mappings/bybit.yaml";
import coinbaseAdvancedYaml from "./mappings/coinbase-advanced.yaml";
import coinbaseYaml from "./mappings/coinbase.yaml";
import krakenV1Yaml from "./mappings/kraken-v1.yaml";
import krakenV2Yaml from "./mappings/kraken-v2.yaml";
import okxYaml from "./mappings/okx.yaml";
import { readRecording } from "./recordings.ts";

/** Messages as texts, without what only one of the two has: words of acks, and times of Kraken v1's levels. */
function decodeAll(make: (sink: MessageSink) => Decoder, texts: readonly string[]): string[] {
  const messages: string[] = [];
  const decoder = make((message) => {
    const { text: _text, time, ...rest } = describeMessage(message);
    const isKrakenBook = message.instrument.venue === "kraken" && message.kind.startsWith("book");
    messages.push(JSON.stringify(isKrakenBook ? rest : { ...rest, time }));
  });
  for (const text of texts) expect(decoder.decode(text, 1_000_000)).toBe("ok");
  return messages;
}

const BYBIT = [
  {
    topic: "orderbook.50.BTCUSDT",
    type: "snapshot",
    ts: 4,
    data: { s: "BTCUSDT", b: [["1", "2"]], a: [], u: 5 },
    cts: 3,
  },
  {
    topic: "orderbook.50.BTCUSDT",
    type: "delta",
    ts: 5,
    data: { s: "BTCUSDT", b: [], a: [["2", "0"]], u: 6 },
  },
  {
    topic: "publicTrade.BTCUSDT",
    ts: 1,
    data: [{ T: 7, s: "BTCUSDT", S: "Sell", v: "0.1", p: "1.5", i: "a-b" }, {
      T: 8,
      s: "BTCUSDT",
      S: "Buy",
      v: "0.2",
      p: "1.6",
      i: "a-c",
    }],
  },
].map((message) => JSON.stringify(message));

const ADVANCED = [
  {
    channel: "l2_data",
    timestamp: "2023-02-09T20:32:50.714964Z",
    sequence_num: 0,
    events: [
      {
        type: "snapshot",
        product_id: "BTC-USD",
        updates: [{ side: "bid", price_level: "1", new_quantity: "2" }, {
          side: "offer",
          price_level: "3",
          new_quantity: "4",
        }],
      },
      {
        type: "update",
        product_id: "ETH-USD",
        updates: [{ side: "offer", price_level: "5", new_quantity: "0" }],
      },
    ],
  },
  {
    channel: "market_trades",
    sequence_num: 1,
    events: [{
      type: "update",
      trades: ["1", "2"].map((id) => ({
        trade_id: id,
        product_id: "BTC-USD",
        price: "1.5",
        size: "2",
        side: "SELL",
        time: "2023-02-09T20:32:50.714964Z",
      })),
    }],
  },
].map((message) => JSON.stringify(message));

async function texts(name: string): Promise<string[]> {
  return (await readRecording(name)).map(({ text }) => text).filter((text) =>
    !text.startsWith('{"lastUpdateId"')
  );
}

const PROOFS: [
  name: string,
  yaml: unknown,
  venue: string,
  code: (sink: MessageSink) => Decoder,
  () => Promise<string[]>,
][] = [
  [
    "Binance futures",
    binanceYaml,
    "binance",
    (sink) => new BinanceDecoder(sink, { venue: "binance" }),
    () => texts("binance-coinm/btcusd_perp_first3000.gz"),
  ],
  [
    "Binance spot",
    binanceYaml,
    "binance",
    (sink) => new BinanceDecoder(sink, { venue: "binance" }),
    () => texts("binance-spot/btcusdt_first3000.gz"),
  ],
  [
    "Coinbase",
    coinbaseYaml,
    "coinbase",
    (sink) => new CoinbaseDecoder(sink),
    () => texts("coinbase-exchange/ws.gz"),
  ],
  [
    "Kraken v1 books",
    krakenV1Yaml,
    "kraken",
    (sink) => new KrakenV1Decoder(sink),
    () => texts("kraken-v1/book.gz"),
  ],
  [
    "Kraken v1 trades",
    krakenV1Yaml,
    "kraken",
    (sink) => new KrakenV1Decoder(sink),
    () => texts("kraken-v1/trade.gz"),
  ],
  [
    "Kraken v1 tickers",
    krakenV1Yaml,
    "kraken",
    (sink) => new KrakenV1Decoder(sink),
    () => texts("kraken-v1/ticker.gz"),
  ],
  [
    "Kraken v2",
    krakenV2Yaml,
    "kraken",
    (sink) =>
      new KrakenV2Decoder(sink, { precisions: { "BTC/USD": { price_precision: 1, qty_precision: 8 } } }),
    () => texts("kraken-v2/btcusd_depth10.txt"),
  ],
  ["OKX", okxYaml, "okx", (sink) => new OkxDecoder(sink), () => texts("okx-v5/ws.gz")],
  ["Bybit", bybitYaml, "bybit", (sink) => new BybitDecoder(sink), () => Promise.resolve(BYBIT)],
  [
    "Coinbase Advanced",
    coinbaseAdvancedYaml,
    "coinbase",
    (sink) => new CoinbaseAdvancedDecoder(sink),
    () => Promise.resolve(ADVANCED),
  ],
];
for (const [name, yaml, venue, code, load] of PROOFS) {
  test(`a mapping makes of ${name} what the decoder in code makes`, async () => {
    const input = await load();
    const mapped = decodeAll((sink) => new MappingDecoder(sink, venue, parseMapping(yaml)), input);
    expect(mapped).toEqual(decodeAll(code, input));
    expect(mapped.length).toBeGreaterThan(1);
  });
}

test("mappedBookOptions() names rule, checksum, depth, and where snapshots come from", () => {
  expect(mappedBookOptions(parseMapping(krakenV1Yaml))).toMatchObject({
    rule: { snapshot: "stream" },
    checksum: "kraken",
    depth: 1000,
  });
  expect(mappedBookOptions(parseMapping(krakenV2Yaml))).toMatchObject({ checksum: "kraken", depth: 10 });
  expect(mappedBookOptions(parseMapping(binanceYaml)).rule.snapshot).toBe("rest");
});

test("templates, prefixes, nanoseconds and nested scopes", () => {
  const mapping = parseMapping({
    aliases: { "gold/usd": "XAU-USD" },
    messages: [{
      each: "groups.*.items.*",
      emit: "quote",
      symbol: { template: "{^.base}/{$.quote}" },
      time: { path: "at", unit: "ns" },
      price: ["missing", "last"],
    }],
  });
  const messages: unknown[] = [];
  const decoder = new MappingDecoder((message) => messages.push(describeMessage(message)), "v", mapping);
  const result = decoder.decode(
    JSON.stringify({
      quote: "usd",
      groups: [{ base: "gold", items: [{ at: "1700000000123456789", last: 1.5 }] }, {
        base: "btc",
        items: [],
      }, {}],
    }),
    1,
  );
  expect({ result, messages }).toEqual({
    result: "ok",
    messages: [{ kind: "quote", symbol: "XAU-USD", time: 1700000000123456, price: "1.5" }],
  });
});

const BAD: [problem: string, mapping: unknown, says: string][] = [
  ["no messages", { messages: [] }, "messages"],
  ["an unknown key", { messages: [{ emit: "ack", wehn: [] }] }, "wehn"],
  ["an unknown kind", { messages: [{ emit: "tradde" }] }, "messages.0.emit"],
  ["a trade without price", { messages: [{ emit: "trade", symbol: "s", qty: "q" }] }, "messages.0.price"],
  ["a book without levels", { messages: [{ emit: "book_delta", symbol: "s" }] }, "messages.0.levels"],
  [
    "a rule without its ids",
    { messages: [{ emit: "book_delta", symbol: "s", bids: { path: "b" } }], book: { sequence: "range" } },
    "messages.0.first_id",
  ],
  [
    "a condition with two tests",
    { messages: [{ emit: "ack", when: [{ path: "a", equals: 1, prefix: "b" }] }] },
    "exactly one of",
  ],
  ["a path with an empty step", { messages: [{ emit: "ack", text: "a..b" }] }, "empty step"],
  ["a star outside each", { messages: [{ emit: "ack", text: "a.*" }] }, "only in each"],
];
for (const [problem, mapping, says] of BAD) {
  test(`a mapping with ${problem} is refused with its place`, () => {
    try {
      parseMapping(mapping);
    } catch (error) {
      expect(error).toBeInstanceOf(EscError);
      expect((error as EscError).code).toBe("CONFIG_INVALID");
      expect((error as EscError).message).toContain(says);
      return;
    }
    throw new Error("was accepted");
  });
}

test("messages a mapping cannot use are answered, not thrown at", () => {
  const decoder = new MappingDecoder(() => {}, "v", parseMapping(coinbaseYaml));
  expect(decoder.decode("{", 1)).toBe("not_json");
  expect(decoder.decode('{"type":"unknown"}', 1)).toBe("ok");
  expect(decoder.decode('{"type":"match"}', 1)).toBe("unknown_symbol");
  expect(decoder.decode('{"type":"match","product_id":"BTC-USD","price":"x","size":"1"}', 1)).toBe(
    "bad_number",
  );
  expect(decoder.decode('{"type":"l2update","product_id":"BTC-USD","changes":{}}', 1)).toBe("bad_message");
  expect(decoder.decode('{"type":"l2update","product_id":"BTC-USD","changes":[["left","1","1"]]}', 1)).toBe(
    "bad_message",
  );
});
