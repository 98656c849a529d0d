import { expect, test } from "bun:test";
import { type Bar, barRow } from "../../src/market/bar.ts";
import { Bars, type BarsOptions } from "../../src/market/bars.ts";

/** Bars of 1 s over ticks `[time, price, qty, side]`; what was given out, in order. */
function run(options: Partial<BarsOptions>, ticks: [number, number, number, number][], finish = true) {
  const given: string[] = [];
  const last = new Map<number, Bar>();
  const bars = new Bars((bar) => {
    given.push(`${bar.startMs} r${bar.revision} n${bar.tradeCount}`);
    last.set(bar.startMs, bar);
  }, { intervalMs: 1000, ...options });
  for (const tick of ticks) bars.add(...tick);
  if (finish) bars.flush();
  return { given, bars, rows: [...last.values()].map(barRow) };
}

test("a bar holds [start, start + interval) and is labelled with its start", () => {
  const { rows } = run({}, [[1000, 10, 1, 1], [1999, 12, 2, -1], [2000, 9, 4, 1]]);
  expect(rows).toEqual([
    [1000, "10", "12", "10", "12", "3", "11.3333333333", "1", "2", "-1", 2],
    [2000, "9", "9", "9", "9", "4", "9", "4", "0", "4", 1],
  ]);
});

test("intervals without trades have no bar", () => {
  expect(run({}, [[0, 1, 1, 1], [9000, 1, 1, 1]]).given).toEqual(["0 r0 n1", "9000 r0 n1"]);
});

test("a late trade corrects its bar, which is given out again with a higher revision", () => {
  const { given, rows } = run({}, [[1000, 10, 1, 1], [2000, 11, 1, 1], [1500, 15, 2, -1], [1600, 8, 1, 1]]);
  expect(given).toEqual(["1000 r0 n1", "1000 r1 n2", "1000 r2 n3", "2000 r0 n1"]);
  expect(rows[0]?.slice(1, 6)).toEqual(["10", "15", "8", "8", "4"]);
});

test("a late trade of an interval without a bar makes one in its place", () => {
  const { given } = run({}, [[1000, 10, 1, 1], [5000, 11, 1, 1], [3000, 9, 1, 1]]);
  expect(given).toEqual(["1000 r0 n1", "3000 r0 n1", "5000 r0 n1"]);
});

test("grace holds a bar back for trades that are a little late", () => {
  const ticks: [number, number, number, number][] = [[1000, 10, 1, 1], [2100, 11, 1, 1], [1900, 12, 1, 1]];
  expect(run({ graceMs: 200 }, ticks, false).given).toEqual([]);
  expect(run({ graceMs: 100 }, ticks, false).given).toEqual(["1000 r0 n1", "1000 r1 n2"]);
  expect(run({ graceMs: 200 }, [...ticks, [2200, 1, 1, 1]], false).given).toEqual(["1000 r0 n2"]);
});

test("trades older than all kept bars are counted and in no bar", () => {
  const { bars, given } = run({ keepMax: 2 }, [[1000, 1, 1, 1], [2000, 1, 1, 1], [3000, 1, 1, 1], [
    1000,
    1,
    1,
    1,
  ]]);
  expect(given).toEqual(["1000 r0 n1", "2000 r0 n1", "3000 r0 n1"]);
  expect(bars.tooLateCount).toBe(1);
  bars.add(500, 1, 1, 1);
  expect(bars.tooLateCount).toBe(2);
});

test("advance() ends bars without a trade behind them", () => {
  const { bars, given } = run({}, [[1000, 10, 1, 1]], false);
  bars.advance(1999);
  expect(given).toEqual([]);
  bars.advance(2000);
  expect(given).toEqual(["1000 r0 n1"]);
});

test("useScales() keeps what was added before", () => {
  const { bars } = run({}, [[1000, 10, 3, 1]], false);
  bars.useScales(2, 1);
  bars.add(1001, 1025, 5, -1);
  const bar = bars.current();
  if (bar === undefined) throw new Error("no bar");
  expect(barRow(bar)).toEqual([
    1000,
    "10",
    "10.25",
    "10",
    "10.25",
    "3.5",
    "10.0357142857",
    "3",
    "0.5",
    "2.5",
    2,
  ]);
});
