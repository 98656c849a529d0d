/** Indicators against TA-Lib compiled to WebAssembly, over random walks, and at their edges. */
import { beforeAll, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import * as talib from "talib-web";
import { Atr, Bollinger, Ema, Macd, Rsi, Sma } from "../../src/market/indicators.ts";

beforeAll(async () => {
  // talib-web fetches its file by a plain path when it thinks it runs in a browser: give it that one file.
  const path = fileURLToPath(new URL("talib.wasm", import.meta.resolve("talib-web")));
  const { fetch } = globalThis;
  globalThis.fetch = Object.assign(() => Promise.resolve(new Response(Bun.file(path))), {
    preconnect: fetch.preconnect,
  });
  try {
    await talib.init(path);
  } finally {
    globalThis.fetch = fetch;
  }
});

const SEEDS = [1, 2, 3];
const LENGTH = 2000;

/** High, low and close of a random walk around 60,000 with two decimals (a fixed linear congruence). */
function walk(seed: number): { high: number[]; low: number[]; close: number[] } {
  let state = seed;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const bars = { high: [] as number[], low: [] as number[], close: [] as number[] };
  let price = 60_000;
  for (let at = 0; at < LENGTH; at++) {
    price = Math.round((price + (random() - 0.5) * 50) * 100) / 100;
    bars.close.push(price);
    bars.high.push(price + Math.round(random() * 1000) / 100);
    bars.low.push(price - Math.round(random() * 1000) / 100);
  }
  return bars;
}

/** TA-Lib's answer starts with the first value there is; ours has NaN before it. */
function expectNear(ours: number[], theirs: number[], tolerance = 1e-9): void {
  const first = ours.findIndex((value) => !Number.isNaN(value));
  expect(first).toBeGreaterThan(0);
  for (let at = first; at < ours.length; at++) {
    const [mine = NaN, other = NaN] = [ours[at], theirs[at - first]];
    if (!(Math.abs(mine - other) <= Math.abs(other) * tolerance)) {
      throw new Error(`${at}: ${mine} not ${other}`);
    }
  }
}

for (const seed of SEEDS) {
  test(`indicators equal TA-Lib's over random walk ${seed}`, () => {
    const { high, low, close } = walk(seed);
    const [sma, ema, rsi, atr] = [new Sma(20), new Ema(12), new Rsi(), new Atr()];
    expectNear(close.map((value) => sma.push(value)), talib.SMA({ inReal: close, timePeriod: 20 }).output);
    expectNear(close.map((value) => ema.push(value)), talib.EMA({ inReal: close, timePeriod: 12 }).output);
    expectNear(close.map((value) => rsi.push(value)), talib.RSI({ inReal: close, timePeriod: 14 }).output);
    expectNear(
      close.map((value, at) => atr.push(high[at] ?? NaN, low[at] ?? NaN, value)),
      talib.ATR({ high, low, close, timePeriod: 14 }).output,
    );
    const bands = new Bollinger();
    // Its BBANDS and STDDEV take the root of the first 20 values only; the variance under it is whole.
    const middle = talib.SMA({ inReal: close, timePeriod: 20 }).output;
    const variance = talib.VAR({ inReal: close, timePeriod: 20, nbDev: 1 }).output;
    const reach = variance.map((value) => 2 * Math.sqrt(value));
    const ours = close.map((value) => [bands.push(value), bands.upper, bands.lower]);
    expectNear(ours.map(([own = NaN]) => own), middle);
    expectNear(ours.map(([, upper = NaN]) => upper), middle.map((value, at) => value + (reach[at] ?? NaN)));
    expectNear(ours.map(([, , lower = NaN]) => lower), middle.map((value, at) => value - (reach[at] ?? NaN)));
  });

  test(`MACD equals TA-Lib's over random walk ${seed} once both are warm`, () => {
    const { close } = walk(seed);
    const macd = new Macd();
    const ours = close.map((value) => [macd.push(value), macd.signal, macd.histogram]);
    const theirs = talib.MACD({ inReal: close, fastPeriod: 12, slowPeriod: 26, signalPeriod: 9 });
    // TA-Lib's first output is at bar 33; it seeds the fast mean with other bars, which fades by (1 - 2/13)^n.
    for (let at = 300; at < close.length; at++) {
      for (const [part, list] of [theirs.MACD, theirs.MACDSignal, theirs.MACDHist].entries()) {
        expect(ours[at]?.[part] ?? NaN).toBeCloseTo(list[at - 33] ?? NaN, 8);
      }
    }
  });
}

test("RSI is 100 without losses and 50 without any change", () => {
  const rising = new Rsi(3);
  expect([1, 2, 3, 4, 5].map((value) => rising.push(value))).toEqual([NaN, NaN, NaN, 100, 100]);
  const flat = new Rsi(3);
  expect([7, 7, 7, 7].map((value) => flat.push(value))).toEqual([NaN, NaN, NaN, 50]);
});

test("Bollinger of equal values has no width, also after a large jump has left the window", () => {
  const bands = new Bollinger(4);
  for (const value of [1e9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) bands.push(value);
  expect([bands.lower, bands.middle, bands.upper]).toEqual([0.1, 0.1, 0.1]);
});

test("Ema seeds itself with the mean of its first values", () => {
  const ema = new Ema(3);
  expect([1, 2, 6, 3].map((value) => ema.push(value))).toEqual([NaN, NaN, 3, 3]);
});
