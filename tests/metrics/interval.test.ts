import { expect, test } from "bun:test";
import { createHistograms, Histogram } from "../../src/metrics/histogram.ts";
import { IntervalLatency } from "../../src/metrics/interval.ts";

test("read() gives the percentiles of what was recorded since the last call, of all histograms together", () => {
  const memory = createHistograms(2);
  const [one, other] = [new Histogram(memory, 0), new Histogram(memory, 1)];
  const latency = new IntervalLatency([one, other]);
  expect(latency.read([50, 99])).toEqual([]);
  for (let us = 1; us <= 50; us++) one.record(us, 1);
  for (let us = 51; us <= 100; us++) other.record(us, 1);
  expect(latency.read([50, 99, 100])).toEqual([50, 99, 100]);
  expect(latency.read([50, 99])).toEqual([]);
  // What was slow before does not count any more.
  one.record(7, 10);
  expect(latency.read([50, 99])).toEqual([7, 7]);
});

test("read() keeps two sets of histograms apart", () => {
  const memory = createHistograms(2);
  const [one, other] = [new Histogram(memory, 0), new Histogram(memory, 1)];
  const [first, second] = [new IntervalLatency([one]), new IntervalLatency([other])];
  one.record(10, 3);
  other.record(500, 3);
  expect([first.read([50]), second.read([50])]).toEqual([[10], [500]]);
  one.record(20, 1);
  expect([first.read([50]), second.read([50])]).toEqual([[20], []]);
});
