import { expect, test } from "bun:test";
import fc from "fast-check";
import { AckTracker } from "../../src/deliver/acks.ts";

test("add() moves done over a hole once it is filled", () => {
  const tracker = new AckTracker();
  expect(tracker.add(3, 2)).toBe(false);
  expect(tracker.add(6, 1)).toBe(false);
  expect(tracker.intervalCount).toBe(2);
  expect(tracker.add(1, 2)).toBe(true);
  expect(tracker.done).toBe(4);
  expect(tracker.add(5, 1)).toBe(true);
  expect(tracker.done).toBe(6);
  expect(tracker.intervalCount).toBe(0);
});

test("add() agrees with a set of numbers, whatever overlaps, touches or repeats", () => {
  const interval = fc.tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 20 }));
  fc.assert(
    fc.property(fc.array(interval, { maxLength: 200 }), (intervals) => {
      const tracker = new AckTracker();
      const seen = new Set<number>();
      for (const [first, count] of intervals) {
        const before = tracker.done;
        const grew = tracker.add(first, count);
        for (let seq = first; seq < first + count; seq++) seen.add(seq);
        let done = 0;
        while (seen.has(done + 1)) done++;
        expect(tracker.done).toBe(done);
        expect(grew).toBe(done > before);
        let holes = 0;
        for (const seq of seen) if (seq > done && !seen.has(seq - 1)) holes++;
        expect(tracker.intervalCount).toBe(holes);
      }
    }),
    { numRuns: 300 },
  );
});

test("intervals in reverse order merge at the end", () => {
  const tracker = new AckTracker();
  for (let seq = 9_999; seq > 1; seq -= 2) tracker.add(seq, 1);
  expect(tracker.intervalCount).toBe(4_999);
  for (let seq = 1; seq < 10_000; seq += 2) tracker.add(seq + 1, 1);
  expect(tracker.done).toBe(0);
  expect(tracker.intervalCount).toBe(1);
  expect(tracker.add(1, 1)).toBe(true);
  expect(tracker.done).toBe(10_000);
});
