/** Each pattern just at its threshold (not reported), just over it, and at its most certain. */
import { expect, test } from "bun:test";
import { Bar } from "../../src/market/bar.ts";
import { CandlePatterns } from "../../src/market/candles.ts";
import { type ActivityPattern, ActivityPatterns } from "../../src/market/patterns.ts";

interface Shape {
  open?: number;
  close?: number;
  high?: number;
  low?: number;
  buy?: number;
  sell?: number;
  trades?: number;
  spread?: number;
}

/** A bar of prices with two decimals. */
function barOf(shape: Shape): Bar {
  const { open = 100, close = open, buy = 5, sell = 5, trades = 4, spread = 1 } = shape;
  const { high = Math.max(open, close), low = Math.min(open, close) } = shape;
  const bar = new Bar(0, 1000, { price: 2, qty: 0 });
  for (const price of [open, high, low, close]) bar.add(Math.round(price * 100), 0, 0);
  bar.buyVolume.add(buy);
  bar.sellVolume.add(sell);
  bar.volume.add(buy + sell);
  bar.tradeCount = trades;
  bar.quoteCount = 1;
  bar.spreadSum = spread;
  return bar;
}

/** What the last bar completes, as name and confidence. */
function found(pattern: ActivityPattern, shapes: Shape[], depths: number[] = []) {
  const patterns = new ActivityPatterns();
  let last: ReturnType<ActivityPatterns["push"]> = [];
  for (const [at, shape] of shapes.entries()) last = patterns.push(barOf(shape), depths[at] ?? NaN);
  return last.filter((report) => report.pattern === pattern).map((
    { confidence, direction },
  ) => [confidence, direction]);
}

const quiet = (count: number): Shape[] =>
  Array.from({ length: count }, () => ({ high: 101, low: 100, close: 100 }));

test("momentum_surge needs two rises of more than 0.1 % together", () => {
  const closes = (...list: number[]) => found("momentum_surge", list.map((close) => ({ close })));
  expect(closes(1000, 1000.5, 1001)).toEqual([]);
  expect(closes(1000, 1000.5, 1001.1)).toEqual([[55, "up"]]);
  expect(closes(1000, 999, 998)).toEqual([[100, "down"]]);
  expect(closes(1000, 1002, 1001.9)).toEqual([]);
});

test("volume_spike needs more than twice the mean of four", () => {
  const volumes = (...list: number[]) => found("volume_spike", list.map((buy) => ({ buy, sell: 0 })));
  expect(volumes(10, 10, 10, 10, 20)).toEqual([]);
  expect(volumes(10, 10, 10, 10, 21)).toEqual([[53, "up"]]);
  expect(volumes(10, 10, 10, 10, 40)).toEqual([[100, "up"]]);
  expect(volumes(10, 10, 10, 40)).toEqual([]);
});

test("spread_widening needs three rises of more than half together", () => {
  const spreads = (...list: number[]) => found("spread_widening", list.map((spread) => ({ spread })));
  expect(spreads(10, 11, 12, 15)).toEqual([]);
  expect(spreads(10, 11, 12, 16)).toEqual([[60, "none"]]);
  expect(spreads(10, 11, 11, 30)).toEqual([]);
});

test("unusual_activity needs over three times the trades or the delta", () => {
  const trades = (count: number) => found("unusual_activity", [...quiet(5), { trades: count }]);
  expect(trades(12)).toEqual([]);
  expect(trades(13)).toEqual([[54, "none"]]);
  const delta = (buy: number) =>
    found("unusual_activity", [...quiet(5).map(() => ({ buy: 6, sell: 5 })), { buy, sell: 5 }]);
  expect(delta(8)).toEqual([]);
  expect(delta(9)).toEqual([[67, "up"]]);
});

test("price_gap needs an open more than 0.1 % from the close before", () => {
  const opens = (open: number) => found("price_gap", [{ close: 1000 }, { open }]);
  expect(opens(1001)).toEqual([]);
  expect(opens(1001.2)).toEqual([[60, "up"]]);
  expect(opens(998)).toEqual([[100, "down"]]);
});

test("liquidity_drain needs under half of the mean depth", () => {
  const depth = (last: number) => found("liquidity_drain", quiet(6), [100, 100, 100, 100, 100, last]);
  expect(depth(50)).toEqual([]);
  expect(depth(40)).toEqual([[60, "none"]]);
  expect(depth(0)).toEqual([[100, "none"]]);
  expect(found("liquidity_drain", quiet(6))).toEqual([]); // no book is kept
});

test("order_flow_imbalance needs over 70 % of the volume on one side", () => {
  expect(found("order_flow_imbalance", [{ buy: 85, sell: 15 }])).toEqual([]);
  expect(found("order_flow_imbalance", [{ buy: 10, sell: 90 }])).toEqual([[57, "down"]]);
  expect(found("order_flow_imbalance", [{ buy: 100, sell: 0 }])).toEqual([[71, "up"]]);
});

test("volatility_cluster needs three wide bars running", () => {
  const wide = { high: 101.6, low: 100, close: 100 };
  const edge = { high: 101.5, low: 100, close: 100 };
  expect(found("volatility_cluster", [...quiet(5), wide, wide, edge])).toEqual([]);
  expect(found("volatility_cluster", [...quiet(5), wide, wide, wide])).toEqual([[53, "none"]]);
  expect(found("volatility_cluster", [...quiet(5), wide, wide])).toEqual([]);
});

test("candle patterns follow their definitions at the edges", () => {
  const shapes = (...list: Shape[]) => {
    const patterns = new CandlePatterns();
    let last: string[] = [];
    for (const shape of list) last = patterns.push(barOf(shape));
    return last;
  };
  expect(shapes({ open: 100, close: 100.1, high: 100.5, low: 99.5 })).toEqual(["doji"]);
  expect(shapes({ open: 100, close: 100.11, high: 100.6, low: 99.6 })).toEqual([]);
  expect(shapes({ open: 99.3, close: 99.6, high: 99.69, low: 98.7 })).toEqual(["hammer"]);
  expect(shapes({ open: 100, close: 99.7, high: 100.6, low: 99.61 })).toEqual(["shooting_star"]);
  expect(shapes({ open: 101, close: 100 }, { open: 100, close: 101.5 })).toEqual(["bullish_engulfing"]);
  expect(shapes({ open: 101, close: 100 }, { open: 100, close: 101 })).toEqual([]);
  expect(shapes({ open: 100, close: 101 }, { open: 101, close: 99.5 })).toEqual(["bearish_engulfing"]);
  expect(shapes({ open: 100, close: 102 }, { open: 100.5, close: 101 })).toEqual(["inside_bar"]);
  const twenty = Array.from({ length: 20 }, () => ({ open: 100, close: 102 }));
  expect(shapes(...twenty, { open: 102, close: 102 })).toEqual([]);
  expect(shapes(...twenty, { open: 102, close: 102.01 })).toEqual(["breakout_up_20"]);
  expect(shapes(...twenty.slice(1), { open: 102, close: 102.01 })).toEqual([]);
  expect(shapes(...twenty, { open: 100, close: 99.99 })).toEqual(["breakout_down_20"]);
});
