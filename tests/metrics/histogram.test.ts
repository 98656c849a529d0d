import { expect, test } from "bun:test";
import { createHistograms, Histogram, HISTOGRAM_US_MAX } from "../../src/metrics/histogram.ts";

/** Reproducible numbers in [0, 1): mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function exactPercentile(sorted: Float64Array, percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] as number;
}

test("percentile() is within 0.1 % of the exact one over 1 M samples from 1 us to 60 s", () => {
  const seed = 20_240_711;
  console.log(`seed ${seed}`);
  const next = random(seed);
  const histogram = new Histogram(createHistograms(1));
  const samples = new Float64Array(1_000_000);
  for (let i = 0; i < samples.length; i++) {
    const us = Math.floor(Math.exp(next() * Math.log(HISTOGRAM_US_MAX)));
    samples[i] = us;
    histogram.record(us, 1);
  }
  samples.sort();
  for (const percent of [0.001, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100]) {
    const exact = exactPercentile(samples, percent);
    const off = Math.abs(histogram.percentile(percent) - exact);
    expect(off, `p${percent} of seed ${seed}`).toBeLessThanOrEqual(exact * 0.001);
  }
  expect(histogram.count).toBe(1_000_000);
  expect(histogram.sumUs).toBe(samples.reduce((sum, us) => sum + us, 0));
  expect(histogram.maxUs).toBe(samples[samples.length - 1] as number);
});

test("record() keeps values up to 1023 us exact", () => {
  for (const us of [0, 1, 511, 512, 1023]) {
    const histogram = Histogram.empty();
    histogram.record(us, 1);
    expect(histogram.percentile(50)).toBe(us);
  }
});

test("record() takes negative values as 0 and values over 60 s as 60 s, but keeps the true maximum", () => {
  const histogram = Histogram.empty();
  histogram.record(-5, 1);
  expect(histogram.percentile(100)).toBe(0);
  histogram.record(HISTOGRAM_US_MAX * 10, 1);
  expect(histogram.maxUs).toBe(HISTOGRAM_US_MAX * 10);
  expect(Math.abs(histogram.percentile(100) - HISTOGRAM_US_MAX)).toBeLessThan(HISTOGRAM_US_MAX * 0.001);
});

test("record() counts a weight as that many events", () => {
  const histogram = Histogram.empty();
  histogram.record(100, 99);
  histogram.record(900, 1);
  expect(histogram.count).toBe(100);
  expect(histogram.percentile(99)).toBe(100);
  expect(histogram.percentile(99.1)).toBe(900);
});

test("percentile() of an empty histogram is 0", () => {
  expect(Histogram.empty().percentile(99)).toBe(0);
});

test("add() over blocks gives what one histogram of all values gives", () => {
  const next = random(7);
  const memory = createHistograms(3);
  const parts = [new Histogram(memory, 0), new Histogram(memory, 1), new Histogram(memory, 2)];
  const whole = Histogram.empty();
  for (let i = 0; i < 30_000; i++) {
    const us = Math.floor(next() * 2_000_000);
    parts[i % 3]?.record(us, 1);
    whole.record(us, 1);
  }
  const merged = Histogram.empty();
  for (const part of parts) merged.add(part);
  expect(merged.count).toBe(whole.count);
  expect(merged.sumUs).toBe(whole.sumUs);
  expect(merged.maxUs).toBe(whole.maxUs);
  for (const percent of [1, 50, 99, 100]) expect(merged.percentile(percent)).toBe(whole.percentile(percent));
});

test("cumulative() counts values up to each bound and never falls", () => {
  const histogram = Histogram.empty();
  for (const us of [10, 100, 100, 1_000, 1_000_000]) histogram.record(us, 1);
  expect(histogram.cumulative([9, 10, 100, 1_000, 500_000, 60_000_000])).toEqual([0, 1, 3, 4, 4, 5]);
});
