import { expect, test } from "bun:test";
import { Bar } from "../../src/market/bar.ts";
import { Instrument } from "../../src/market/instrument.ts";
import { MarketMessage } from "../../src/market/message.ts";
import { barJson, messageJson } from "../../src/market/payload.ts";

const instrument = () => new Instrument("binance", "BTCUSDT", "BTC-USDT");

test("messageJson() writes a trade with every digit and nothing that is absent", () => {
  const message = new MarketMessage();
  message.begin("trade", instrument(), 1_700_000_000_000_001);
  message.setEventTime(1_700_000_000_000_000);
  message.price = message.priceOf("61804.80");
  message.qty = message.qtyOf("0.00000010");
  message.side = -1;
  message.id = 3_735_683_259;
  expect(messageJson(message)).toBe(
    '{"kind":"trade","venue":"binance","symbol":"BTC-USDT","time_us":1700000000000000,' +
      '"received_us":1700000000000001,"price":"61804.8","qty":"0.0000001","side":"sell","id":3735683259}',
  );
});

test("messageJson() writes books with quantities over 2^53 as they came", () => {
  const message = new MarketMessage();
  message.begin("book_delta", instrument(), 5);
  message.pushLevel(message.bids, "0.00001234", "1063829787.23404255");
  message.pushLevel(message.asks, "0.00001240", "0.000");
  [message.firstId, message.lastId] = [7, 9];
  expect(JSON.parse(messageJson(message))).toEqual({
    kind: "book_delta",
    venue: "binance",
    symbol: "BTC-USDT",
    received_us: 5,
    bids: [["0.00001234", "1063829787.23404255"]],
    asks: [["0.0000124", "0"]],
    first_id: 7,
    last_id: 9,
  });
});

test("messageJson() escapes what a venue says", () => {
  const message = new MarketMessage();
  message.beginText("error", 'bad "thing"\n', 1);
  expect(JSON.parse(messageJson(message))).toEqual({
    kind: "error",
    venue: "",
    received_us: 1,
    text: 'bad "thing"\n',
  });
});

test("barJson() writes a bar with its revision", () => {
  const bar = new Bar(60_000, 60_000, { price: 1, qty: 0 });
  bar.add(105, 2, 1);
  bar.add(100, 1, -1);
  bar.revision = 1;
  expect(JSON.parse(barJson(bar, instrument()))).toEqual({
    kind: "bar",
    venue: "binance",
    symbol: "BTC-USDT",
    start_us: 60_000_000,
    interval_ms: 60_000,
    open: "10.5",
    high: "10.5",
    low: "10",
    close: "10",
    volume: "3",
    vwap: "10.3333333333",
    buy_volume: "2",
    sell_volume: "1",
    delta: "1",
    trades: 2,
    revision: 1,
  });
});
