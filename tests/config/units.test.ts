import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

test("parseDuration() reads every unit of the specification", () => {
  const read = ["250ms", "5s", "2m", "1h", "7d", "1.5s", "0", "10 s", "5S"].map((text) =>
    parseDuration(text)
  );
  expect(read).toEqual([250, 5000, 120_000, 3_600_000, 604_800_000, 1500, 0, 10_000, 5000]);
});

test("parseDuration() refuses what has no unit, a wrong one, or no whole milliseconds", () => {
  for (const text of ["", "5", "s", "5x", "-5s", "1e3s", "0.0001s", "5s5s", "five", "99999999999999999d"]) {
    expect([text, parseDuration(text)]).toEqual([text, undefined]);
  }
});

test("parseDuration() gives a bare number the unit of its key", () => {
  expect(parseDuration("10", "s")).toBe(10_000);
  expect(parseDuration("10", "ms")).toBe(10);
  expect(parseDuration("10m", "ms")).toBe(600_000);
});

test("parseSize() reads binary and decimal units, and bytes without one", () => {
  const read = ["512", "64KiB", "1MiB", "10GiB", "1kb", "5MB", "1.5KiB", "7B", "0"].map(parseSize);
  expect(read).toEqual([512, 65_536, 1_048_576, 10_737_418_240, 1000, 5_000_000, 1536, 7, 0]);
});

test("parseSize() refuses what is no size in whole bytes", () => {
  for (const text of ["", "KiB", "-1", "1.5", "1 Kb b", "1e3", "10GiBs", "0.3KiB"]) {
    expect([text, parseSize(text)]).toEqual([text, undefined]);
  }
});

test("formatDuration() and formatSize() are read back as the same value", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (value) => {
    expect(parseDuration(formatDuration(value))).toBe(value);
    expect(parseSize(formatSize(value))).toBe(value);
  }));
  expect([formatDuration(0), formatDuration(86_400_000), formatSize(0), formatSize(1536)])
    .toEqual(["0ms", "1d", "0", "1536"]);
});
