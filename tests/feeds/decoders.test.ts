/** Venues' messages one by one: what each becomes, and what bad ones are answered. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { BinanceDecoder } from "../../src/ingest/feeds/binance.ts";
import { BybitDecoder } from "../../src/ingest/feeds/bybit.ts";
import { CoinbaseAdvancedDecoder } from "../../src/ingest/feeds/coinbase-advanced.ts";
import { CoinbaseDecoder } from "../../src/ingest/feeds/coinbase.ts";
import { type Decoder, isoToUs, type MessageSink, secondsToUs } from "../../src/ingest/feeds/decoder.ts";
import { KrakenV1Decoder } from "../../src/ingest/feeds/kraken-v1.ts";
import { KrakenV2Decoder } from "../../src/ingest/feeds/kraken-v2.ts";
import { OkxDecoder } from "../../src/ingest/feeds/okx.ts";
import { TwelveDataDecoder } from "../../src/ingest/feeds/twelve-data.ts";
import { describeMessage } from "./described.ts";
import { readRecording } from "./recordings.ts";

const VENUES = {
  binance: (sink: MessageSink) => new BinanceDecoder(sink, { venue: "binance" }),
  bybit: (sink: MessageSink) => new BybitDecoder(sink),
  coinbase: (sink: MessageSink) => new CoinbaseDecoder(sink),
  "coinbase-advanced": (sink: MessageSink) => new CoinbaseAdvancedDecoder(sink),
  "kraken-v1": (sink: MessageSink) => new KrakenV1Decoder(sink),
  "kraken-v2": (sink: MessageSink) => new KrakenV2Decoder(sink),
  okx: (sink: MessageSink) => new OkxDecoder(sink),
  twelvedata: (sink: MessageSink) => new TwelveDataDecoder(sink),
};

/** Decodes texts in turn; the result of the last, and all messages. */
function decodeAll(make: (sink: MessageSink) => Decoder, ...texts: string[]) {
  const messages: Record<string, unknown>[] = [];
  const decoder = make((message) => messages.push(describeMessage(message)));
  let result = "ok";
  for (const text of texts) result = decoder.decode(text, 1_000_000);
  return { result, messages };
}

const CASES: {
  venue: keyof typeof VENUES;
  what: string;
  text: unknown;
  messages: Record<string, unknown>[];
}[] = [
  {
    venue: "binance",
    what: "a trade: m = true sold",
    text: {
      e: "trade",
      E: 1,
      s: "BNBBTC",
      t: 12345,
      p: "0.001",
      q: "100",
      T: 1672515782136,
      m: true,
      M: true,
    },
    messages: [{
      kind: "trade",
      symbol: "BNB-BTC",
      time: 1672515782136000,
      price: "0.001",
      qty: "100",
      side: -1,
      id: 12345,
    }],
  },
  {
    venue: "binance",
    what: "no off-book trade",
    text: { e: "trade", E: 1, T: 1, s: "BTCUSDT", t: 5, p: "1", q: "1", X: "INSURANCE_FUND", m: true },
    messages: [],
  },
  {
    venue: "binance",
    what: "a combined book ticker in microseconds",
    text: {
      stream: "x",
      data: { e: "bookTicker", u: 7, s: "BTCUSDT", b: "1", B: "2", a: "3", A: "4", T: 1672515782136123 },
    },
    messages: [{
      kind: "quote",
      symbol: "BTC-USDT",
      time: 1672515782136123,
      bid: ["1", "2"],
      ask: ["3", "4"],
      last: 7,
    }],
  },
  {
    venue: "binance",
    what: "an answer",
    text: { result: null, id: 1 },
    messages: [{ kind: "ack", text: "1" }],
  },
  {
    venue: "binance",
    what: "a refusal",
    text: { error: { code: 2, msg: "Invalid request" }, id: 1 },
    messages: [{ kind: "error", text: "Invalid request" }],
  },
  {
    venue: "binance",
    what: "a shutdown",
    text: { e: "serverShutdown", E: 1 },
    messages: [{ kind: "reconnect", text: "serverShutdown" }],
  },
  {
    venue: "bybit",
    what: "a snapshot",
    text: {
      topic: "orderbook.50.BTCUSDT",
      type: "snapshot",
      ts: 1672304484978,
      data: {
        s: "BTCUSDT",
        b: [["16493.50", "0.006"]],
        a: [["16611.00", "0.029"]],
        u: 18521288,
        seq: 7961638724,
      },
      cts: 1672304484976,
    },
    messages: [{
      kind: "book_snapshot",
      symbol: "BTC-USDT",
      time: 1672304484976000,
      bids: ["16493.5 0.006 515"],
      asks: ["16611 0.029 515"],
      last: 18521288,
    }],
  },
  {
    venue: "bybit",
    what: "update id 1 as a snapshot",
    text: {
      topic: "orderbook.50.BTCUSDT",
      type: "delta",
      ts: 5,
      data: { s: "BTCUSDT", b: [], a: [["2", "1"]], u: 1 },
    },
    messages: [{ kind: "book_snapshot", symbol: "BTC-USDT", time: 5000, asks: ["2 1 0"], last: 1 }],
  },
  {
    venue: "bybit",
    what: "trades with ids that are no numbers",
    text: {
      topic: "publicTrade.BTCUSDT",
      type: "snapshot",
      ts: 1,
      data: [{
        T: 1672304486865,
        s: "BTCUSDT",
        S: "Buy",
        v: "0.001",
        p: "16578.50",
        i: "20f43950-d8dd-5b31-9112",
      }],
    },
    messages: [{
      kind: "trade",
      symbol: "BTC-USDT",
      time: 1672304486865000,
      price: "16578.5",
      qty: "0.001",
      side: 1,
      id: "20f43950-d8dd-5b31-9112",
    }],
  },
  { venue: "bybit", what: "a pong", text: { op: "pong" }, messages: [{ kind: "heartbeat", text: "pong" }] },
  {
    venue: "bybit",
    what: "a refusal",
    text: { success: false, ret_msg: "Invalid topic", op: "subscribe" },
    messages: [{ kind: "error", text: "Invalid topic" }],
  },
  {
    venue: "coinbase",
    what: "a match: the maker's side inverted",
    text: {
      type: "match",
      trade_id: 10,
      side: "sell",
      size: "5.2",
      price: "400.20",
      product_id: "BTC-USD",
      sequence: 50,
      time: "2014-11-07T08:19:27.028459Z",
    },
    messages: [{
      kind: "trade",
      symbol: "BTC-USD",
      time: 1415348367028459,
      price: "400.2",
      qty: "5.2",
      side: 1,
      id: 10,
      last: 50,
    }],
  },
  {
    venue: "coinbase",
    what: "a heartbeat with the last trade",
    text: {
      type: "heartbeat",
      sequence: 90,
      last_trade_id: 20,
      product_id: "BTC-USD",
      time: "2014-11-07T08:19:28.464459Z",
    },
    messages: [{ kind: "heartbeat", symbol: "BTC-USD", time: 1415348368464459, id: 20, last: 90 }],
  },
  {
    venue: "coinbase",
    what: "an error",
    text: { type: "error", message: "Failed to subscribe", reason: "level2 needs a key" },
    messages: [{ kind: "error", text: "Failed to subscribe: level2 needs a key" }],
  },
  { venue: "coinbase", what: "nothing of an unknown type", text: { type: "rfq_match" }, messages: [] },
  {
    venue: "coinbase-advanced",
    what: "books of two products in one message",
    text: {
      channel: "l2_data",
      timestamp: "2023-02-09T20:32:50.714964855Z",
      sequence_num: 0,
      events: [
        {
          type: "snapshot",
          product_id: "BTC-USD",
          updates: [{ side: "bid", price_level: "21921.73", new_quantity: "0.06317902" }],
        },
        {
          type: "update",
          product_id: "ETH-USD",
          updates: [{ side: "offer", price_level: "1600.1", new_quantity: "0" }],
        },
      ],
    },
    messages: [
      { kind: "book_snapshot", symbol: "BTC-USD", time: 1675974770714964, bids: ["21921.73 0.06317902 520"] },
      { kind: "book_delta", symbol: "ETH-USD", time: 1675974770714964, asks: ["1600.1 0 256"] },
    ],
  },
  {
    venue: "coinbase-advanced",
    what: "trades with the taker's side",
    text: {
      channel: "market_trades",
      sequence_num: 0,
      events: [{
        type: "update",
        trades: [{
          trade_id: "7",
          product_id: "ETH-USD",
          price: "1260.01",
          size: "0.3",
          side: "BUY",
          time: "2019-08-14T20:42:27.265Z",
        }],
      }],
    },
    messages: [{
      kind: "trade",
      symbol: "ETH-USD",
      time: 1565815347265000,
      price: "1260.01",
      qty: "0.3",
      side: 1,
      id: 7,
    }],
  },
  {
    venue: "kraken-v1",
    what: "an update of both sides in two maps, with a republished level",
    text: [
      1234,
      { a: [["5541.30000", "2.50700000", "1534614248.456738"]] },
      { b: [["5541.20000", "0.00000000", "1534614335.345903", "r"]], c: "974942666" },
      "book-10",
      "XBT/USD",
    ],
    messages: [{
      kind: "book_delta",
      symbol: "BTC-USD",
      time: 1534614335345903,
      bids: ["5541.2 0 1288"],
      asks: ["5541.3 2.507 1288"],
      checksum: 974942666,
    }],
  },
  {
    venue: "kraken-v1",
    what: "a spread",
    text: [
      0,
      ["5698.40000", "5700.00000", "1542057299.545897", "1.01234567", "0.98765432"],
      "spread",
      "XDG/USD",
    ],
    messages: [{
      kind: "quote",
      symbol: "DOGE-USD",
      time: 1542057299545897,
      bid: ["5698.4", "1.01234567"],
      ask: ["5700", "0.98765432"],
    }],
  },
  {
    venue: "kraken-v1",
    what: "a refused subscription",
    text: { event: "subscriptionStatus", status: "error", errorMessage: "Pair not supported", pair: "X/Y" },
    messages: [{ kind: "error", text: "Pair not supported" }],
  },
  {
    venue: "kraken-v2",
    what: "trades of before the subscription as history",
    text: {
      channel: "trade",
      type: "snapshot",
      data: [{
        symbol: "MATIC/USD",
        side: "sell",
        price: 0.5117,
        qty: 40.0,
        ord_type: "market",
        trade_id: 4665906,
        timestamp: "2023-09-25T07:49:37.708706Z",
      }],
    },
    messages: [{
      kind: "trade",
      symbol: "MATIC-USD",
      time: 1695628177708706,
      price: "0.5117",
      qty: "40",
      side: -1,
      id: 4665906,
      historic: true,
    }],
  },
  {
    venue: "okx",
    what: "a checksum of 0 as none",
    text: {
      arg: { channel: "books", instId: "BTC-USDT" },
      action: "update",
      data: [{
        asks: [],
        bids: [["8476.97", "256", "0", "12"]],
        ts: "1597026383085",
        checksum: 0,
        prevSeqId: 1,
        seqId: 2,
      }],
    },
    messages: [{
      kind: "book_delta",
      symbol: "BTC-USDT",
      time: 1597026383085000,
      bids: ["8476.97 256 512"],
      last: 2,
      previous: 1,
    }],
  },
  {
    venue: "okx",
    what: "a swap's symbol",
    text: {
      arg: { channel: "trades", instId: "BTC-USDT-SWAP" },
      data: [{ instId: "BTC-USDT-SWAP", tradeId: "3", px: "1", sz: "2", side: "sell", ts: "5" }],
    },
    messages: [{ kind: "trade", symbol: "BTC-USDT-SWAP", time: 5000, price: "1", qty: "2", side: -1, id: 3 }],
  },
  {
    venue: "okx",
    what: "an error",
    text: { event: "error", code: "60012", msg: "Invalid request" },
    messages: [{ kind: "error", text: "Invalid request" }],
  },
  {
    venue: "twelvedata",
    what: "a price with bid and ask, in seconds",
    text: {
      event: "price",
      symbol: "EUR/USD",
      timestamp: 1684508044,
      price: 1.0812,
      bid: 1.0811,
      ask: "1.0813",
    },
    messages: [{
      kind: "quote",
      symbol: "EUR-USD",
      time: 1684508044000000,
      price: "1.0812",
      bid: ["1.0811", undefined],
      ask: ["1.0813", undefined],
    }],
  },
  {
    venue: "twelvedata",
    what: "a subscription taken in part",
    text: {
      event: "subscribe-status",
      status: "ok",
      success: [{ symbol: "EUR/USD" }],
      fails: [{ symbol: "X" }],
    },
    messages: [{ kind: "ack", text: "EUR/USD" }, { kind: "error", text: "not subscribed: X" }],
  },
];
for (const { venue, what, text, messages } of CASES) {
  test(`${venue} decodes ${what}`, () => {
    expect(decodeAll(VENUES[venue], JSON.stringify(text))).toEqual({ result: "ok", messages });
  });
}

test("okx takes the text pong for a heartbeat", () => {
  expect(decodeAll(VENUES.okx, "pong").messages).toEqual([{ kind: "heartbeat", text: "pong" }]);
});

test("coinbase-advanced asks for a new line when a number of the connection is missing", () => {
  const beat = (n: number) =>
    JSON.stringify({ channel: "heartbeats", sequence_num: n, events: [{ heartbeat_counter: n }] });
  expect(decodeAll(VENUES["coinbase-advanced"], beat(5), beat(6), beat(8)).messages.map(({ kind }) => kind))
    .toEqual(
      ["heartbeat", "heartbeat", "reconnect", "heartbeat"],
    );
});

test("coinbase uses the time before when the venue sends year 1", () => {
  const update = (time: string) =>
    JSON.stringify({ type: "l2update", product_id: "BTC-USD", changes: [["buy", "1", "2"]], time });
  const { messages } = decodeAll(
    VENUES.coinbase,
    update("2021-04-17T16:43:37.5Z"),
    update("0001-01-01T00:00:00.000000Z"),
  );
  expect(messages.map(({ time }) => time)).toEqual([1618677817500000, 1618677817500000]);
});

test("kraken-v2 keeps digits no double can hold", () => {
  const text = '{"channel":"book","type":"snapshot","data":[{"symbol":"SHIB/USD","bids":[' +
    '{"price":0.00001234,"qty":1063829787.23404255}],"asks":[],"checksum":1}]}';
  expect(decodeAll(VENUES["kraken-v2"], text).messages[0]?.bids).toEqual([
    `0.00001234 1063829787.23404255 ${8 << 8 | 8}`,
  ]);
});

const BAD: [venue: keyof typeof VENUES, text: string, result: string][] = [
  ["binance", "{", "not_json"],
  ["binance", '{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":[["x","1"]],"a":[]}', "bad_number"],
  ["binance", '{"e":"depthUpdate","s":"BTC USDT","U":1,"u":2,"b":[],"a":[]}', "unknown_symbol"],
  ["binance", '{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":7,"a":[]}', "bad_message"],
  ["binance", '{"e":"trade","s":"BTCUSDT","t":1,"p":"-1","q":"1","T":1,"m":true}', "bad_number"],
  ["binance", '{"e":"trade","s":"BTCUSDT","t":1,"p":"NaN","q":"1","T":1,"m":true}', "bad_number"],
  ["coinbase", '{"type":"l2update","product_id":"BTC-USD","changes":[["left","1","2"]]}', "bad_message"],
  ["kraken-v1", "[1,2,3]", "bad_message"],
  ["kraken-v2", '{"channel":"book","data":7}', "bad_message"],
  ["okx", '{"arg":{"channel":"books"},"data":[{}]}', "unknown_symbol"],
  ["twelvedata", '{"event":"price","symbol":"EUR/USD","price":0}', "bad_number"],
  ["twelvedata", '{"event":"price","symbol":"EUR/USD","price":01}', "not_json"],
];
for (const [venue, text, result] of BAD) {
  test(`${venue} answers ${result} to ${text.slice(0, 60)}`, () => {
    expect(decodeAll(VENUES[venue], text)).toEqual({ result, messages: [] });
  });
}

test("no decoder throws at any JSON, nor at pieces of real messages", async () => {
  const lines = await readRecording("binance-spot-2021/ws.gz");
  const real = fc.constantFrom(...lines.slice(0, 50).map(({ text }) => text));
  const torn = fc.tuple(real, fc.nat(2000), fc.string({ maxLength: 3 })).map(([text, at, noise]) =>
    text.slice(0, at % text.length) + noise + text.slice((at % text.length) + noise.length)
  );
  fc.assert(
    fc.property(fc.oneof(fc.json(), torn, fc.string()), (text) => {
      for (const make of Object.values(VENUES)) decodeAll(make, text);
    }),
    { numRuns: 300 },
  );
});

test("Binance's scanner and its JSON decoder make the same of every recorded message", async () => {
  for (
    const name of [
      "binance-spot/btcusdt_first3000.gz",
      "binance-usdm/btcusdt_first3000.gz",
      "binance-coinm/btcusd_perp_first3000.gz",
      "binance-spot-2021/ws.gz",
    ]
  ) {
    const scanned: unknown[] = [];
    const parsed: unknown[] = [];
    const scan = new BinanceDecoder((message) => scanned.push(describeMessage(message)), { venue: "b" });
    const parse = new BinanceDecoder((message) => parsed.push(describeMessage(message)), {
      venue: "b",
      scan: false,
    });
    for (const { text, receivedUs } of await readRecording(name)) {
      scan.decode(text, receivedUs);
      parse.decode(text, receivedUs);
    }
    expect(scanned).toEqual(parsed);
    expect(scanned.length).toBeGreaterThan(200);
  }
});

test("Binance's scanner and its JSON decoder make the same of damaged messages", async () => {
  const lines = await readRecording("binance-coinm/btcusd_perp_first3000.gz");
  const texts = lines.filter(({ text }) => text.length < 600).slice(0, 200).map(({ text }) => text);
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.nat(600),
      fc.constantFrom("", " ", "9", "-", "e", '"', ",", ":", "[", "]", "{", "}", "\\", "0.", "null", "x"),
      fc.boolean(),
      (text, place, noise, isInsert) => {
        const at = place % text.length;
        const damaged = text.slice(0, at) + noise + text.slice(isInsert ? at : at + 1);
        const scan = decodeAll(VENUES.binance, damaged);
        const parse = decodeAll(
          (sink) => new BinanceDecoder(sink, { venue: "binance", scan: false }),
          damaged,
        );
        expect(scan).toEqual(parse);
      },
    ),
    { numRuns: Number(process.env.ESC_FUZZ_RUNS ?? 3000) },
  );
});

test("isoToUs() and secondsToUs() keep microseconds", () => {
  expect(isoToUs("2023-10-06T17:35:55.440295Z")).toBe(1696613755440295);
  expect(isoToUs("2023-10-06T17:35:55+02:00")).toBe(1696606555000000);
  expect(isoToUs("2023-10-06T17:35:55.123456789Z")).toBe(1696613755123456);
  expect(isoToUs("yesterday")).toBeNaN();
  expect(secondsToUs("1534614248.4567")).toBe(1534614248456700);
  expect(secondsToUs("-1")).toBeNaN();
});
