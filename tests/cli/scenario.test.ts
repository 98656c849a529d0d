import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Pacer } from "../../cli/pacer.ts";
import { eventsOf, parseScenario } from "../../cli/stress/scenario.ts";
import { breachesOf } from "../../cli/stress/thresholds.ts";
import { Histogram } from "../../src/metrics/histogram.ts";

const FOLDER = join(import.meta.dir, "..", "..", "config", "scenarios");

test.each(readdirSync(FOLDER))("config/scenarios/%s can be read", (name) => {
  expect(parseScenario(readFileSync(join(FOLDER, name), "utf8"), name).phases.length).toBeGreaterThan(1);
});

test("parseScenario() tells every problem with its place", () => {
  const text = `name: x
phases:
  - name: a
    duration: 5s
    events: 3
    rate: -1
  - name: b
    events: 10
    size: 10
    udp: true
    priority: urgent
    thresholds: { lost: 0, p98: 1s }
  - name: c
    duration: soon
`;
  const { message } = (() => {
    try {
      parseScenario(text, "x.yaml");
    } catch (error) {
      if (error instanceof Error) return error;
    }
    throw new Error("it was taken");
  })();
  expect(message).toContain("x.yaml:6:11: phases.0.rate: ");
  expect(message).toContain(`x.yaml:11:15: phases.1.priority: "urgent" is neither`);
  expect(message).toMatch(/x\.yaml:12:\d+: phases\.1\.thresholds: .*p98/);
  expect(message).toContain(`x.yaml:14:15: phases.2.duration: "soon" is no duration`);
  expect(() => parseScenario("name: [", "y.yaml")).toThrow("y.yaml:1:");
  expect(() => parseScenario("name: y\nphases:\n  - name: a\n", "y.yaml")).toThrow(
    "Needs either duration or events",
  );
});

test("eventsOf() counts what is due, the ramp included", () => {
  const [phase] = parseScenario(
    "{name: x, phases: [{name: a, duration: 10s, clients: 2, rate: 100, ramp: {from: 0, over: 4s}}]}",
    "x",
  ).phases;
  // 4 s at 50 on average, 6 s at 100, in two.
  expect(phase && eventsOf(phase)).toBe(400);
});

test("Pacer with a ramp: each event is due when the area under the rate has reached it", () => {
  for (
    const ramp of [{ fromRate: 0, overMs: 4000 }, { fromRate: 200, overMs: 4000 }, {
      fromRate: 100,
      overMs: 1000,
    }]
  ) {
    const pacer = new Pacer(100, 1000, ramp);
    const area = (ms: number) => {
      const inRamp = Math.min(ms, ramp.overMs) / 1000;
      const reached = ramp.fromRate + ((100 - ramp.fromRate) * inRamp) / (ramp.overMs / 1000);
      return ((ramp.fromRate + reached) / 2) * inRamp + 100 * (ms / 1000 - inRamp);
    };
    let before = 0;
    for (let n = 0; n < 600; n++) {
      const dueMs = pacer.dueMs - 1000;
      expect(Math.abs(area(dueMs) - n)).toBeLessThan(1e-6);
      expect(dueMs).toBeGreaterThanOrEqual(before);
      expect(pacer.due(1000 + dueMs + 1e-6)).toBe(1);
      before = dueMs;
      pacer.take(1);
    }
  }
});

test("breachesOf() holds latency, errors, losses and rate against their limits", () => {
  const latencies = Histogram.empty();
  latencies.record(20_000, 100);
  const plan = { run: "", clients: 2, events: 50, size: 1, topics: [], priority: 0 };
  const load = {
    sentCounts: [],
    sent: 90,
    acknowledged: 90,
    refused: 1,
    failures: [],
    frameBytes: 1,
    seconds: 1,
    latencies,
  };
  const report = {
    plan,
    acks: "durable",
    isUdp: false,
    load,
    verdict: undefined,
    verifySeconds: 0,
    ledger: undefined,
  } as const;
  const names = (limits: object, isTimed = false) =>
    breachesOf(report, { errors: 1000, ...limits }, isTimed).map((
      { threshold, value },
    ) => [threshold, Math.round(value)]);
  expect(names({})).toEqual([]);
  expect(names({ errors: 11 })).toEqual([]);
  expect(names({ errors: 10 })).toEqual([["errors", 11]]);
  expect(names({ errors: 1 }, true)).toEqual([]);
  expect(names({ p99: 19 })[0]?.[0]).toBe("p99");
  expect(names({ p99: 25, max: 25, min_rate: 90 })).toEqual([]);
  expect(names({ min_rate: 91 })).toEqual([["min_rate", 90]]);
  expect(names({ lost: 0 })).toEqual([["lost", Infinity]]);
});
