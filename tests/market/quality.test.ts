import { expect, test } from "bun:test";
import { QualityMeter } from "../../src/market/quality.ts";

const SECOND = 1_000_000;

/** A meter after `count` messages of the given latency, 10 ms apart; returns the time of the last. */
function fed(count: number, latencyUs = 1000, options = {}) {
  const meter = new QualityMeter(options);
  let nowUs = SECOND;
  for (let at = 0; at < count; at++) meter.received(nowUs += 10_000, latencyUs);
  return { meter, nowUs };
}

test("perfect data score 100", () => {
  const { meter, nowUs } = fed(1000);
  expect(meter.judge(nowUs)).toMatchObject({ change: undefined, report: { score: 100, freshness: "good" } });
});

test("each defect costs its own part of the score", () => {
  const score = (defect: "missing" | "duplicates" | "outOfOrder" | "invalid") => {
    const { meter, nowUs } = fed(100);
    meter.note(defect, nowUs, 25);
    return meter.judge(nowUs).report;
  };
  expect(score("missing")).toMatchObject({ completeness: 80, accuracy: 100, consistency: 100, score: 94 });
  expect(score("invalid")).toMatchObject({ accuracy: 75, score: 93.75 });
  expect(score("duplicates")).toMatchObject({ consistency: 75, score: 95 });
  expect(score("outOfOrder")).toMatchObject({ consistency: 75, score: 95 });
});

const LATENCIES: [latencyUs: number, timeliness: number, freshness: string][] = [
  [500_000, 100, "good"],
  [500_001, 99.9999, "fair"],
  [1_000_000, 50, "fair"],
  [1_000_001, 50, "poor"],
  [3_000_000, 25, "poor"],
  [5_000_000, 0, "poor"],
];
for (const [latencyUs, timeliness, freshness] of LATENCIES) {
  test(`a latency of ${latencyUs} us is ${freshness}`, () => {
    const { meter, nowUs } = fed(10, latencyUs);
    const { report } = meter.judge(nowUs);
    expect(report.timeliness).toBeCloseTo(timeliness, 3);
    expect(report.freshness).toBe(freshness as "good");
  });
}

test("age counts like latency: over 1 s fair, over 5 s poor, the worse of the two", () => {
  const { meter, nowUs } = fed(10);
  expect(meter.judge(nowUs + SECOND).report).toMatchObject({ freshness: "good", timeliness: 100 });
  expect(meter.judge(nowUs + SECOND + 1).report.freshness).toBe("fair");
  expect(meter.judge(nowUs + 5 * SECOND).report).toMatchObject({ freshness: "fair", timeliness: 50 });
  expect(meter.judge(nowUs + 5 * SECOND + 1).report.freshness).toBe("poor");
});

test("an alert is raised once under 80 and withdrawn only at 85", () => {
  const { meter, nowUs } = fed(100);
  meter.note("missing", nowUs, 300); // completeness 25: score 77.5
  expect(meter.judge(nowUs)).toMatchObject({ change: "raised", report: { isAlerting: true } });
  expect(meter.judge(nowUs).change).toBeUndefined();
  for (let at = 0; at < 60; at++) meter.received(nowUs + at, 1000); // 160 of 460: score 80.4
  const edge = meter.judge(nowUs + 60);
  expect(edge.report.score).toBeGreaterThan(80);
  expect(edge).toMatchObject({ change: undefined, report: { isAlerting: true } });
  for (let at = 0; at < 200; at++) meter.received(nowUs + at, 1000); // 360 of 660: score 86.4
  expect(meter.judge(nowUs + 200).change).toBe("withdrawn");
});

test("defects leave the window with time", () => {
  const { meter, nowUs } = fed(100, 1000, { windowUs: 10 * SECOND });
  meter.note("missing", nowUs, 300);
  expect(meter.judge(nowUs).report.score).toBe(77.5);
  meter.received(nowUs + 12 * SECOND, 1000);
  expect(meter.judge(nowUs + 12 * SECOND).report.score).toBe(100);
});

test("a venue's clock ahead of ours counts as no latency, and none at all is not judged", () => {
  const { meter, nowUs } = fed(10, -50_000);
  expect(meter.judge(nowUs).report.latencyUsMean).toBe(0);
  const silent = fed(10, NaN);
  expect(silent.meter.judge(silent.nowUs).report).toMatchObject({ timeliness: 100, freshness: "good" });
});
