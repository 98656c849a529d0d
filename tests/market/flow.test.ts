import { expect, test } from "bun:test";
import { Bar } from "../../src/market/bar.ts";
import { EffectiveSpread } from "../../src/market/effective-spread.ts";
import { BarFlow, Vpin } from "../../src/market/flow.ts";
import { Microstructure } from "../../src/market/microstructure.ts";
import { VolumeProfile } from "../../src/market/profile.ts";

function bar(price: number, buy: number, sell: number): Bar {
  const one = new Bar(0, 1000, { price: 0, qty: 0 });
  if (buy > 0) one.add(price, buy, 1);
  if (sell > 0) one.add(price, sell, -1);
  return one;
}

test("BarFlow: the slope of exact lines is exact, whatever the level of the price", () => {
  const flow = new BarFlow();
  let price = 1_000_000;
  for (const delta of [1, 4, -3, 7, -2, 0]) {
    price += 3 * delta + 2;
    flow.push(bar(price, 100 + delta, 100));
  }
  expect(flow.kyleLambda).toBeCloseTo(3, 9);
  expect(flow.count).toBe(5);
});

test("BarFlow: realised volatility and illiquidity by their formulas", () => {
  const flow = new BarFlow();
  for (const price of [100, 110, 99]) flow.push(bar(price, 2, 0));
  const [up, down] = [Math.log(110 / 100), Math.log(99 / 110)];
  expect(flow.realisedVolatility).toBeCloseTo(Math.hypot(up, down), 12);
  expect(flow.amihud).toBeCloseTo((up / 220 - down / 198) / 2, 12);
});

test("Vpin splits trades at bucket edges and forgets buckets beyond its number", () => {
  const vpin = new Vpin(10, 2);
  expect(vpin.value).toBeNaN();
  vpin.push(25, 1); // two buckets of 10 bought, 5 over
  vpin.push(5, -1); // 5 bought, 5 sold
  expect(vpin.bucketCount).toBe(2);
  expect(vpin.value).toBe(0.5);
  expect(() => new Vpin(0)).toThrow(RangeError);
});

test("EffectiveSpread: by arrival the last quote, by venue time the last strictly before", () => {
  const spread = new EffectiveSpread();
  spread.trade(100, 1, 1, 5); // no quote yet
  spread.quote(100, 10);
  spread.quote(200, 20);
  spread.trade(202, 1, 1, 20); // by time: against 100
  spread.trade(202, 3, -1, 25); // waits for a quote at 25 or later
  expect(spread.arrival).toMatchObject({ tradeCount: 2, mean: 0 });
  spread.quote(400, 25);
  expect(spread.exchange.tradeCount).toBe(2);
  expect(spread.exchange.mean).toBeCloseTo((20_400 - 200) / 2, 9);
  expect(spread.exchange.volumeWeighted).toBeCloseTo((20_400 - 3 * 200) / 4, 9);
  spread.quote(300, 24);
  expect(spread.quotesTimeOrdered).toBe(false);
  expect(spread.skippedCount).toBe(1);
});

test("Microstructure: effective spread is realised spread plus price impact", () => {
  const micro = new Microstructure(1000);
  micro.quote(100, 0);
  micro.trade(101, 1, 10); // bought 1 over the middle
  micro.quote(103, 500);
  micro.trade(102, -1, 600); // sold 1 under it
  micro.quote(104, 1010);
  micro.sample(1011);
  expect(micro.costs.tradeCount).toBe(1);
  expect(micro.costs.effectiveSpreadBps).toBeCloseTo(200, 9);
  expect(micro.costs.priceImpactBps).toBeCloseTo(600, 9);
  expect(micro.costs.realisedSpreadBps).toBeCloseTo(-400, 9);
});

test("Microstructure: volatility needs ten returns, momentum five", () => {
  const micro = new Microstructure();
  const mids = [100, 101, 100, 101, 100, 101, 100, 101, 100, 101, 100];
  for (const [at, mid] of mids.entries()) {
    micro.quote(mid, at);
    micro.sample(at);
    expect(Number.isNaN(micro.volatility)).toBe(at < 10);
    expect(Number.isNaN(micro.momentum)).toBe(at < 5);
  }
  expect(micro.volatility).toBeCloseTo(Math.log(101 / 100), 12);
  expect(micro.momentum).toBeCloseTo(100 / 101 - 1, 12);
});

const SCALES = { price: 0, qty: 0 };

test("VolumeProfile: ties go to the row nearest the middle, then to the lower", () => {
  const profile = (prices: number[]) => {
    const one = new VolumeProfile("1");
    for (const price of prices) one.add(price, 1, 1, SCALES);
    return one.pointOfControl();
  };
  expect(profile([1, 2, 9])).toBe(2); // middle 5: row 2 is nearer than 1
  expect(profile([4, 6])).toBe(4); // both one away from 5
  expect(profile([6, 4])).toBe(4);
});

test("VolumeProfile: the pair above wins a tie, a single row at the end counts as a pair", () => {
  const profile = new VolumeProfile("1");
  for (const [row, qty] of [[0, 5], [1, 5], [2, 20], [3, 4], [4, 6], [5, 10]] as const) {
    profile.add(row, qty, 1, SCALES);
  }
  // From row 2 (20 of 50): 3+4 = 10 above against 1+0 = 10 below: above (30); then 5 alone = 10 against 10: above (40).
  // One by one: 5 below (25), 5 below (30), nothing left there, 4 above (34), 6 above (40).
  expect(profile.valueArea("pairs")).toEqual({ highRow: 5, lowRow: 2, volume: 40 });
  expect(profile.valueArea("single")).toEqual({ highRow: 4, lowRow: 0, volume: 40 });
});

test("VolumeProfile: rows finer than the price's decimals, and scales that grow", () => {
  const profile = new VolumeProfile("0.25");
  profile.add(3, 1, 1, SCALES);
  profile.add(324, 5, -1, { price: 2, qty: 1 });
  profile.add(325, 5, -1, { price: 2, qty: 1 });
  expect(
    profile.topRows(5).map(({ row, volume, buy }) => [profile.rowText(row), profile.qtyText(volume), buy]),
  ).toEqual(
    [["3", "1.5", 10], ["3.25", "0.5", 0]],
  );
});

test("VolumeProfile: more rows than allowed are refused and counted", () => {
  const profile = new VolumeProfile("1", 2);
  for (const price of [1, 2, 3, 1]) profile.add(price, 1, 1, SCALES);
  expect([profile.rowCount, profile.refusedCount, profile.total]).toEqual([2, 1, 3]);
  expect(() => new VolumeProfile("0")).toThrow(RangeError);
});
