/** Binary payloads say what the JSON ones say. */
import { expect, test } from "bun:test";
import { encodeBookDelta, encodeMessage } from "../../src/market/binary.ts";
import { decodePayload } from "../../src/market/decode-payload.ts";
import { BinanceDecoder } from "../../src/ingest/feeds/binance.ts";
import { bookDeltaJson, messageJson } from "../../src/market/payload.ts";
import { readRecording } from "../feeds/recordings.ts";

const TOPIC = "market.binance-coinm.BTC-USD-PERP.any";

test("every trade, quote and book update of a recording, as bytes and as JSON, is the same object", async () => {
  let count = 0;
  const decoder = new BinanceDecoder((message) => {
    const { kind, instrument } = message;
    const isBook = kind === "book_delta";
    if (!isBook && kind !== "trade" && kind !== "quote") return;
    const bytes = isBook ? encodeBookDelta(message, instrument) : encodeMessage(message);
    const json = isBook ? bookDeltaJson(message, instrument) : messageJson(message);
    if (typeof bytes === "string") throw new Error("Not encoded as bytes");
    expect(decodePayload(bytes, TOPIC)).toEqual(JSON.parse(json));
    expect(decodePayload(new TextEncoder().encode(json), TOPIC)).toEqual(JSON.parse(json));
    count++;
  }, { venue: "binance-coinm" });
  for (const { text, receivedUs } of await readRecording("binance-coinm/btcusd_perp_first3000.gz")) {
    decoder.decode(text, receivedUs);
  }
  expect(count).toBeGreaterThan(2500);
});

test("what is cut, longer than it says, or neither JSON nor ours, is nothing", () => {
  let bytes = new Uint8Array();
  const decoder = new BinanceDecoder((message) => {
    const encoded = encodeMessage(message);
    if (typeof encoded !== "string") bytes = new Uint8Array(encoded);
  }, { venue: "binance-coinm" });
  const trade = {
    e: "trade",
    E: 1,
    T: 1,
    s: "BTCUSD_PERP",
    t: 5,
    p: "61800.5",
    q: "3",
    X: "MARKET",
    m: true,
  };
  decoder.decode(JSON.stringify({ stream: "x", data: trade }), 10);
  expect(decodePayload(bytes, TOPIC)).toMatchObject({
    kind: "trade",
    price: "61800.5",
    qty: "3",
    side: "sell",
    id: 5,
  });
  for (let length = 0; length < bytes.length; length++) {
    expect(decodePayload(bytes.subarray(0, length), TOPIC)).toBeUndefined();
  }
  expect(decodePayload(Uint8Array.of(...bytes, 0), TOPIC)).toBeUndefined();
  expect(decodePayload(Uint8Array.of(7, ...bytes), TOPIC)).toBeUndefined();
  expect(decodePayload(new TextEncoder().encode("{broken"), TOPIC)).toBeUndefined();
});
