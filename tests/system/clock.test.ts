import { expect, test } from "bun:test";
import { monotonicNs, nowUs } from "../../src/system/clock.ts";

test("nowUs() is a whole number of microseconds between two readings of Date.now()", () => {
  for (let round = 0; round < 1000; round++) {
    const before = Date.now();
    const now = nowUs();
    const after = Date.now();
    expect(Number.isSafeInteger(now)).toBe(true);
    expect(now).toBeGreaterThanOrEqual(before * 1000);
    expect(now).toBeLessThan((after + 1) * 1000);
  }
});

test("nowUs() resolves less than a millisecond", () => {
  const seen = new Set<number>();
  for (let round = 0; round < 1000; round++) seen.add(nowUs() % 1000);
  expect(seen.size).toBeGreaterThan(2);
});

test("monotonicNs() never goes back", () => {
  let last = monotonicNs();
  for (let round = 0; round < 10_000; round++) {
    const now = monotonicNs();
    if (now < last) throw new Error(`went back from ${last} to ${now}`);
    last = now;
  }
});

test("monotonicNs() is the same clock on every thread", async () => {
  const source = `
    const { monotonicNs } = await import(${JSON.stringify(import.meta.resolve("../../src/system/clock.ts"))});
    postMessage(monotonicNs());
  `;
  const before = monotonicNs();
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "application/javascript" })));
  try {
    const there = await new Promise<number>((resolve, reject) => {
      worker.onmessage = (message) => resolve(Number(message.data));
      worker.onerror = reject;
    });
    const after = monotonicNs();
    expect(there).toBeGreaterThan(before);
    expect(there).toBeLessThan(after);
  } finally {
    worker.terminate();
  }
});
