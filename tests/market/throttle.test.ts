import { expect, test } from "bun:test";
import fc from "fast-check";
import { Throttle, type ThrottleStrategy } from "../../src/market/throttle.ts";

interface Update {
  readonly id: number;
  readonly high: number;
  readonly low: number;
  readonly last: number;
  readonly volume: number;
}

function update(id: number, price = id): Update {
  return { id, high: price, low: price, last: price, volume: 1 };
}

function merge(waiting: Update, newer: Update): Update {
  return {
    id: newer.id,
    high: Math.max(waiting.high, newer.high),
    low: Math.min(waiting.low, newer.low),
    last: newer.last,
    volume: waiting.volume + newer.volume,
  };
}

function run(strategy: ThrottleStrategy, options: { updatesPerWindow?: number; burst?: number } = {}) {
  const sent: Update[] = [];
  const throttle = new Throttle<Update>((one) => sent.push(one), {
    strategy,
    updatesPerWindow: 2,
    windowUs: 1000,
    merge,
    ...options,
  });
  return { sent, throttle, ids: () => sent.map(({ id }) => id) };
}

test("drop_newest drops what comes while the budget is spent", () => {
  const { throttle, ids } = run("drop_newest");
  for (const [id, nowUs] of [[1, 0], [2, 10], [3, 20], [4, 999], [5, 1000], [6, 1009], [7, 1010]] as const) {
    throttle.offer(update(id), nowUs);
  }
  expect(ids()).toEqual([1, 2, 5, 7]);
  expect(throttle.droppedCount).toBe(3);
});

test("drop_oldest keeps the newest waiting, at most the burst", () => {
  const { throttle, ids } = run("drop_oldest", { burst: 2 });
  for (let id = 1; id <= 6; id++) throttle.offer(update(id), id);
  expect(ids()).toEqual([1, 2]);
  expect(throttle.nextUs).toBe(1001);
  throttle.release(1002);
  expect(ids()).toEqual([1, 2, 5, 6]);
  expect([throttle.droppedCount, throttle.overflowCount]).toEqual([2, 2]);
  expect(throttle.nextUs).toBeNaN();
});

test("merge keeps high, low, last and the sum of volumes", () => {
  const { throttle, sent } = run("merge");
  for (const [id, price] of [[1, 10], [2, 10], [3, 15], [4, 7], [5, 9]] as const) {
    throttle.offer(update(id, price), id);
  }
  throttle.release(1001);
  expect(sent[2]).toEqual({ id: 5, high: 15, low: 7, last: 9, volume: 3 });
  expect(throttle.mergedCount).toBe(2);
});

test("sample keeps only the newest waiting", () => {
  const { throttle, ids } = run("sample");
  for (let id = 1; id <= 5; id++) throttle.offer(update(id), id);
  throttle.release(1001);
  expect(ids()).toEqual([1, 2, 5]);
});

test("no window ever has more than the budget, whatever the strategy and the times", () => {
  fc.assert(fc.property(
    fc.constantFrom<ThrottleStrategy>("drop_oldest", "drop_newest", "merge", "sample"),
    fc.array(fc.nat(40_000), { maxLength: 400 }),
    (strategy, steps) => {
      const sentUs: number[] = [];
      let nowUs = 0;
      let volume = 0;
      const throttle = new Throttle<Update>((one) => {
        sentUs.push(nowUs);
        volume += one.volume;
      }, { strategy, merge });
      for (const step of steps) throttle.offer(update(1), nowUs += step);
      for (let at = 60; at < sentUs.length; at++) {
        if ((sentUs[at] ?? 0) - (sentUs[at - 60] ?? 0) < 1_000_000) return false;
      }
      while (throttle.waitingCount > 0) throttle.release(nowUs = throttle.nextUs);
      return volume + throttle.droppedCount === steps.length; // merged volume is not lost
    },
  ));
});

test("merge without a merge function is refused", () => {
  expect(() => new Throttle(() => {}, { strategy: "merge" })).toThrow(RangeError);
});
