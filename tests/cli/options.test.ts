import { expect, test } from "bun:test";
import { InvalidArgumentError } from "commander";
import { acksName, headerPair, priorityNumber } from "../../cli/event-options.ts";
import { Pacer } from "../../cli/pacer.ts";
import { parseStartAt } from "../../cli/start-at.ts";

const NOW_MS = Date.parse("2026-01-31T12:00:00Z");

test.each([
  ["0", 0],
  ["4", 4],
  ["BATCH", 0],
  ["low", 1],
  ["Medium", 2],
  ["critical", 4],
])("priorityNumber(%j) is %d", (text, priority) => {
  expect(priorityNumber(text)).toBe(priority);
});

test.each(["5", "-1", "1.0", "urgent", ""])("priorityNumber(%j) is refused", (text) => {
  expect(() => priorityNumber(text)).toThrow(InvalidArgumentError);
});

test("acksName() knows none, accepted and durable", () => {
  expect(["none", "accepted", "durable"].map(acksName)).toEqual(["none", "accepted", "durable"]);
  expect(() => acksName("all")).toThrow(InvalidArgumentError);
});

test("headerPair() splits at the first = and adds to those before", () => {
  expect(headerPair("b=c=d", headerPair("a="))).toEqual([["a", ""], ["b", "c=d"]]);
  expect(() => headerPair("=value")).toThrow(InvalidArgumentError);
  expect(() => headerPair("value")).toThrow(InvalidArgumentError);
});

test.each([
  ["latest", "latest"],
  ["earliest", "earliest"],
  ["15m", { timeUs: Date.parse("2026-01-31T11:45:00Z") * 1000 }],
  ["7d", { timeUs: Date.parse("2026-01-24T12:00:00Z") * 1000 }],
  ["2026-01-31T00:00:00.5Z", { timeUs: Date.parse("2026-01-31T00:00:00Z") * 1000 + 500_000 }],
  ["batch/0=5,realtime/12=0", { offsets: { "batch/0": 5, "realtime/12": 0 } }],
])("parseStartAt(%j)", (text, expected) => {
  expect<unknown>(parseStartAt(text, NOW_MS)).toEqual(expected);
});

test.each(["", "7", "yesterday", "batch=5", "batch/0=", "batch/0=-1", "batch/0=1,", "15 m", "2026-13-01"])(
  "parseStartAt(%j) is refused",
  (text) => {
    expect(() => parseStartAt(text, NOW_MS)).toThrow(InvalidArgumentError);
  },
);

test("Pacer lets n events pass in n-1 intervals, and catches up after a pause", () => {
  const pacer = new Pacer(100, 1000);
  expect(pacer.due(1000)).toBe(1);
  pacer.take(1);
  expect([pacer.due(1009), pacer.due(1010)]).toEqual([0, 1]);
  expect(pacer.waitMs(1004)).toBe(6);
  expect(pacer.due(2000)).toBe(100);
  pacer.take(100);
  expect([pacer.due(2000), pacer.dueMs]).toEqual([0, 2010]);
});

test("Pacer without a rate never waits", () => {
  const pacer = new Pacer(Infinity, 0);
  pacer.take(1e9);
  expect(pacer.due(0)).toBe(Infinity);
});
