import { expect, test } from "bun:test";
import { canonicalSymbol, Instrument, InstrumentTable } from "../../src/market/instrument.ts";
import { MarketMessage } from "../../src/market/message.ts";

const NAMES: [venueSymbol: string, symbol: string | undefined][] = [
  ["BTCUSDT", "BTC-USDT"],
  ["btcusdt", "BTC-USDT"],
  ["BTC-USD", "BTC-USD"],
  ["XBT/USD", "BTC-USD"],
  ["XDG/USD", "DOGE-USD"],
  ["ADA/XBT", "ADA-BTC"],
  ["BTC-USDT-SWAP", "BTC-USDT-SWAP"],
  ["BTCUSD_PERP", "BTC-USD-PERP"],
  ["BTCUSDT_240927", "BTC-USDT-240927"],
  ["ETHBTC", "ETH-BTC"],
  ["EUR/USD", "EUR-USD"],
  ["EURUSD", "EUR-USD"],
  ["USDCUSDT", "USDC-USDT"],
  ["AAPL", "AAPL"],
  ["USDT", "USDT"],
  ["", undefined],
  ["BTC USDT", undefined],
  ["A.B", undefined],
  ["x".repeat(65), undefined],
];
for (const [venueSymbol, symbol] of NAMES) {
  test(`canonicalSymbol("${venueSymbol.slice(0, 20)}") is ${symbol}`, () => {
    expect(canonicalSymbol(venueSymbol)).toBe(symbol as string);
  });
}

test("InstrumentTable obeys aliases, makes each instrument once, and has a limit", () => {
  const table = new InstrumentTable("kraken", { WEIRD: "GOOD-USD" }, 2);
  expect(table.get("WEIRD")?.topic("trade")).toBe("market.kraken.GOOD-USD.trade");
  expect(table.get("WEIRD")).toBe(table.get("WEIRD") as Instrument);
  expect(table.get("BTC/USD")?.symbol).toBe("BTC-USD");
  expect(table.get("ETH/USD")).toBeUndefined();
});

test("MarketMessage.priceOf() learns decimals, converts what it has, and refuses what could not stay exact", () => {
  const message = new MarketMessage();
  const instrument = new Instrument("v", "X", "X");
  message.begin("quote", instrument, 1);
  message.bidPrice = message.priceOf("100");
  message.askPrice = message.priceOf("100.25");
  expect([message.bidPrice, message.askPrice, instrument.priceScale]).toEqual([10_000, 10_025, 2]);
  expect(message.midValue).toBe(100.125);
  expect(message.priceOf("1.0000000000000000001")).toBeNaN(); // 100.25 would not fit 2^53 any more
  expect(instrument.priceScale).toBe(2);
  expect(message.priceOf("100.2x")).toBeNaN();
  expect(message.priceOf("")).toBeNaN();
});
