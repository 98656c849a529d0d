import { expect, test } from "bun:test";
import { corrupt, DelayLine, untilNext } from "../../cli/chaos/delay-line.ts";
import { changed, NO_FAULTS } from "../../cli/chaos/faults.ts";
import { Random } from "../../cli/generate/random.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

test("changed() reads each fault in its unit and refuses everything else", () => {
  expect(changed(NO_FAULTS, "latency", "50ms")).toEqual({ ...NO_FAULTS, latencyMs: 50 });
  expect(changed(NO_FAULTS, "reset-every", "5s").resetMs).toBe(5000);
  expect([changed(NO_FAULTS, "loss", "1%").loss, changed(NO_FAULTS, "loss", "0.5").loss]).toEqual([
    0.01,
    0.5,
  ]);
  expect(changed(NO_FAULTS, "bandwidth", "1MiB").bandwidth).toBe(1 << 20);
  expect(changed(NO_FAULTS, "stall", "on").stall).toBe(true);
  for (
    const [name, text] of [["latency", "50"], ["loss", "101%"], ["loss", "-1"], ["stall", "yes"], ["x", "1"]]
  ) {
    expect(() => changed(NO_FAULTS, name ?? "", text ?? "")).toThrow();
  }
});

test("DelayLine keeps the order of a stream whatever the jitter, and lets datagrams overtake", () => {
  const faults = { ...NO_FAULTS, latencyMs: 100, jitterMs: 90 };
  const order = (isOrdered: boolean) => {
    const line = new DelayLine(1e6, new Random(7), isOrdered);
    for (let n = 0; n < 100; n++) line.push(bytes(n), faults, n);
    const taken: number[] = [];
    for (let piece = line.take(1e6); piece !== undefined; piece = line.take(1e6)) taken.push(piece[0] ?? -1);
    return taken;
  };
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  expect(order(true)).toEqual(numbers);
  expect(order(false)).not.toEqual(numbers);
  expect(order(false).sort((a, b) => a - b)).toEqual(numbers);
  expect(order(false)).toEqual(order(false));
});

test("DelayLine delays, carries no faster than its bandwidth, and is full at its limit", () => {
  const line = new DelayLine(2000, new Random(1), true);
  const faults = { ...NO_FAULTS, latencyMs: 10, bandwidth: 1000 };
  line.push(new Uint8Array(1000), faults, 0);
  expect([line.dueMs, line.isFull, line.take(1009)]).toEqual([1010, false, undefined]);
  line.push(new Uint8Array(1000), faults, 0);
  expect([line.isFull, line.bytes]).toEqual([true, 2000]);
  expect(line.take(1010)?.length).toBe(1000);
  expect([line.dueMs, line.isFull]).toEqual([2010, false]);
  line.putBack(new Uint8Array(400));
  expect(line.take(0)?.length).toBe(400);
});

test("corrupt() flips one bit, as often as it is told", () => {
  const random = new Random(3);
  let flipped = 0;
  for (let round = 0; round < 10_000; round++) {
    const piece = bytes(0, 0, 0);
    if (corrupt(piece, 0.1, random)) flipped++;
    const bits = piece.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
    expect(bits).toBeLessThanOrEqual(1);
  }
  expect(flipped).toBeGreaterThan(800);
  expect(flipped).toBeLessThan(1200);
  expect(corrupt(bytes(), 1, random)).toBe(false);
});

test("untilNext() is on average what it is told", () => {
  const random = new Random(5);
  const mean = Array.from({ length: 20_000 }, () => untilNext(100, random)).reduce((a, b) => a + b, 0) /
    20_000;
  expect(Math.abs(mean - 100)).toBeLessThan(5);
});
