/** What counters say about an interval: rates, the queue that stands, and what would fit in again. */
import { expect, test } from "bun:test";
import { FigureWindow, type Reading, type ShardReading } from "../../src/control/figures.ts";
import { SlaWatch } from "../../src/control/sla.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import { Random } from "../support/seed.ts";

const LIMITS = { maxQueueDepth: 1000, maxLatencyMs: 100, recoveryFactor: 0.8 };
const SHARD: ShardReading = {
  name: "batch/0",
  blocks: false,
  taken: 0,
  dropped: 0,
  shed: 0,
  emergency: 0,
  depthEvents: 0,
  depthBytes: 0,
  spilledBytes: 0,
  capacityBytes: 1 << 20,
};

function reading(nowMs: number, shard: Partial<ShardReading>, refused = 0): Reading {
  return { nowMs, shards: [{ ...SHARD, ...shard }], refused };
}

/** Figures of one second that began with nothing and ends so. */
function second(end: Partial<ShardReading>, start: Partial<ShardReading> = {}, refused = 0) {
  const window = new FigureWindow(LIMITS);
  window.sample(reading(0, start));
  return window.close(reading(1000, end, refused), 7);
}

/** A queue of so many events, a hundred bytes each. */
function queue(depthEvents: number): Partial<ShardReading> {
  return { depthEvents, depthBytes: depthEvents * 100 };
}

test("close() without an interval, or with one of no length, says nothing", () => {
  const window = new FigureWindow(LIMITS);
  expect(window.close(reading(0, {}), 0)).toBeUndefined();
  expect(window.close(reading(0, {}), 0)).toBeUndefined();
});

test("rates are those of the interval, not since start", () => {
  const start = { taken: 1_000_000, dropped: 500_000 };
  expect(second({ taken: 1_000_900, dropped: 500_100 }, start)).toEqual({
    events: 1000,
    dropPercent: 10,
    queuePercent: 0,
    queue: "",
    latencyMs: 7,
    isShedNeeded: false,
    isEmergencyNeeded: false,
  });
});

test("datagrams refused by a full lane are lost events, too", () => {
  expect(second({ taken: 900 }, {}, 100)).toMatchObject({ events: 1000, dropPercent: 10 });
});

test("what the control plane takes out came, and was not lost", () => {
  expect(second({ taken: 500, shed: 400, emergency: 100 })).toMatchObject({ events: 1000, dropPercent: 0 });
});

test("a queue counts with the least that stood in it", () => {
  const window = new FigureWindow(LIMITS);
  for (const [nowMs, depth] of [[0, 900], [300, 600], [600, 800]] as const) {
    window.sample(reading(nowMs, queue(depth)));
  }
  expect(window.close(reading(1000, queue(700)), 0)).toMatchObject({ queuePercent: 60, queue: "batch/0" });
});

test("a queue that is empty once does not count", () => {
  const window = new FigureWindow(LIMITS);
  window.sample(reading(0, queue(900)));
  window.sample(reading(500, queue(0)));
  expect(window.close(reading(1000, queue(900)), 0)?.queuePercent).toBe(0);
});

test("max_queue_depth decides how much may wait", () => {
  const window = new FigureWindow({ ...LIMITS, maxQueueDepth: 2000 });
  window.sample(reading(0, queue(900)));
  expect(window.close(reading(1000, queue(900)), 0)?.queuePercent).toBe(45);
});

test("few large events fill a queue by their bytes", () => {
  const large = { depthEvents: 3, depthBytes: 1 << 19 };
  expect(second(large, large)?.queuePercent).toBe(50);
});

test("a deep queue that moves counts only from a wait of max_latency_ms on", () => {
  const deep = queue(900);
  expect(second({ ...deep, taken: 9_000 }, deep)?.queuePercent).toBe(0);
  expect(second({ ...deep, taken: 8_999 }, deep)?.queuePercent).toBe(90);
});

test("only what has spilled over is an emergency", () => {
  const full = { ...queue(5000), depthBytes: 1 << 20 };
  const spilled = { ...full, depthBytes: 2 << 20, spilledBytes: 1 << 20 };
  expect([second(full, full)?.queuePercent, second(spilled, spilled)?.queuePercent]).toEqual([150, 500]);
});

test("a lane that holds producers back is never critical while it moves", () => {
  const full = { ...queue(5000), spilledBytes: 1000, blocks: true };
  expect(second({ ...full, taken: 1 }, full)?.queuePercent).toBe(99);
  expect(second(full, full)?.queuePercent).toBe(500);
});

test("shedding is needed while what is shed would not fit into what the shard has shown it can do", () => {
  const window = new FigureWindow(LIMITS);
  let taken = 0;
  let dropped = 0;
  let shed = 0;
  let nowMs = 0;
  const interval = (more: { taken?: number; dropped?: number; shed?: number }) => {
    taken += more.taken ?? 0;
    dropped += more.dropped ?? 0;
    shed += more.shed ?? 0;
    nowMs += 1000;
    return window.close(reading(nowMs, { taken, dropped, shed }), 0);
  };
  window.sample(reading(0, {}));
  // Twice as much as it can do: 1000 a second.
  expect(interval({ taken: 1000, dropped: 1000 })).toMatchObject({ dropPercent: 50, isShedNeeded: false });
  expect(interval({ shed: 2000 })).toMatchObject({ dropPercent: 0, isShedNeeded: true });
  expect(interval({ shed: 801 })?.isShedNeeded).toBe(true);
  expect(interval({ shed: 800 })?.isShedNeeded).toBe(false);
  expect(interval({ shed: 2000 })?.isShedNeeded).toBe(true);
  // Not for ever: what it could do then may not be so any more.
  const later = Array.from({ length: 40 }, () => interval({ shed: 2000 })?.isShedNeeded);
  expect(later).toContain(false);
  window.reset();
  window.sample(reading(nowMs, { taken, dropped, shed }));
  expect(interval({ shed: 2000 })?.isShedNeeded).toBe(false);
});

test("a load that never was too much is not kept out", () => {
  expect(second({ taken: 10, shed: 5000 })?.isShedNeeded).toBe(false);
});

test("SlaWatch counts every event over the limit, and tells once per cooldown", () => {
  const watch = new SlaWatch({ maxLatencyMs: 5, cooldownMs: 1000 });
  const histogram = Histogram.empty();
  histogram.record(4_900, 10);
  expect([watch.look([histogram], 0), watch.late]).toEqual([undefined, 0]);
  histogram.record(5_100, 3);
  expect([watch.look([histogram], 10), watch.late]).toEqual([{ late: 3, events: 13 }, 3]);
  histogram.record(60_000, 2);
  expect([watch.look([histogram], 1009), watch.late]).toEqual([undefined, 5]);
  expect(watch.look([histogram], 1010)).toEqual({ late: 2, events: 2 });
  expect(watch.look([histogram], 9999)).toBeUndefined();
});

test("another limit counts from now on", () => {
  const watch = new SlaWatch({ maxLatencyMs: 5, cooldownMs: 0 });
  const histogram = Histogram.empty();
  histogram.record(7_000, 4);
  watch.look([histogram], 0);
  watch.limits = { maxLatencyMs: 20, cooldownMs: 0 };
  watch.look([histogram], 1);
  histogram.record(10_000, 1);
  histogram.record(30_000, 2);
  expect([watch.look([histogram], 2), watch.late]).toEqual([{ late: 2, events: 3 }, 6]);
});

test("subtract() leaves what was recorded since the copy", () => {
  const random = new Random(7);
  const histogram = Histogram.empty();
  for (let index = 0; index < 1000; index++) histogram.record(random.below(50_000), 1);
  const earlier = Histogram.empty();
  earlier.add(histogram);
  for (let index = 0; index < 100; index++) histogram.record(200_000 + index, 1);
  const since = Histogram.empty();
  since.add(histogram);
  since.subtract(earlier);
  expect(since.count).toBe(100);
  expect(since.percentile(1)).toBeGreaterThan(199_000);
});
