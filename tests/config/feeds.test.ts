import { expect, test } from "bun:test";
import { loadConfig } from "../../src/config/load.ts";
import { toDocument } from "../../src/config/document.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SOURCE = { file: "test.yaml", environment: {}, readText: () => "messages: []" };

function problemsOf(text: string): string[] {
  try {
    loadConfig(text, SOURCE);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ line, message }) => `${line}: ${message}`);
    throw error;
  }
  return [];
}

test("a feed has defaults, and its document loads to the same again", () => {
  const { config } = loadConfig("feeds: [{ venue: binance, symbols: [BTCUSDT] }]", SOURCE);
  const [feed] = config.feeds;
  expect(feed).toMatchObject({
    name: "binance",
    channels: ["trades", "book", "quotes"],
    priority: 2,
    raw: false,
  });
  expect(feed?.pipeline.intervalsMs).toEqual([1000, 5000, 15_000, 30_000, 60_000, 300_000]);
  const again = loadConfig(JSON.stringify(toDocument(config)), SOURCE);
  expect(again.config.feeds).toEqual(config.feeds);
});

test("a mapped feed takes the built-in mapping of Bitstamp", () => {
  const { config } = loadConfig("feeds: [{ mapping: bitstamp, symbols: [btcusd] }]", SOURCE);
  expect(config.feeds[0]).toMatchObject({ name: "bitstamp", venue: "mapping" });
  expect(config.feeds[0]?.mapping?.line?.url).toBe("wss://ws.bitstamp.net");
});

test("every mistake in a feed is told with its place", () => {
  const text = `feeds:
  - venue: binance
  - venue: binance
    symbols: [A]
    url: http://example.com
  - venue: mapping
    name: own
    symbols: [A]
  - venue: twelvedata
    symbols: [EUR/USD]
    profile_row: minus
`;
  const told = problemsOf(text).join("\n");
  for (
    const part of [
      "at least one symbol",
      'two feeds are named "binance"',
      "ws:// or wss://",
      "needs the file",
      "needs an api_key",
      "no price above 0",
    ]
  ) {
    expect(told).toContain(part);
  }
});

test("advice: bars of trades without trades, a critical feed without a backup", () => {
  const { notices } = loadConfig(
    "feeds: [{ venue: binance, symbols: [A], channels: [book], priority: CRITICAL }]",
    SOURCE,
  );
  const told = notices.map(({ message }) => message).join("\n");
  expect(told).toContain("bars are made of trades");
  expect(told).toContain("a CRITICAL feed without a second line");
});

test("advice: a large buffer, thinned trades, no checkpoints; none on what is usual", () => {
  const advice = (feed: string) =>
    loadConfig(`feeds: [{ venue: okx, symbols: [A], ${feed} }]`, SOURCE).notices.map(({ message }) => message)
      .join("\n");
  expect(advice("channels: [trades, book]")).toBe("");
  expect(advice("buffer_size: 1000000")).toContain("1000000 ticks take some 200 MB");
  expect(advice("buffer_size: 1000000, buffer_compress: true")).toBe("");
  expect(advice("trades_per_second: 10")).toContain("bars of a restart will be incomplete");
  expect(advice("checkpoint: 0s")).toContain("begin anew after every restart");
});

test("a bucket, and a strategy that cannot be compressed, are told with their place", () => {
  expect(() => loadConfig('feeds: [{ venue: okx, symbols: [A], vpin_bucket: "-1" }]', SOURCE)).toThrow(
    "no volume above 0",
  );
  expect(() =>
    loadConfig("feeds: [{ venue: okx, symbols: [A], buffer_strategy: lifo, buffer_compress: true }]", SOURCE)
  )
    .toThrow("cannot compress a buffer of strategy lifo");
});
