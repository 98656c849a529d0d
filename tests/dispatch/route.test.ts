import { expect, test } from "bun:test";
import {
  PRESSURE_CRITICAL,
  PRESSURE_HIGH,
  PRESSURE_NORMAL,
  PRESSURE_RATIOS_DEFAULT,
  pressureOf,
} from "../../src/dispatch/pressure.ts";
import {
  DECISION_LOWERED,
  decisionLane,
  decisionPriority,
  DECISIONS,
  NOT_LOWERED,
  type RouteOptions,
  RouteTable,
  type RouteTopic,
} from "../../src/dispatch/route.ts";

const LANES: RouteOptions["lanes"] = [
  { name: "realtime", priorities: [3, 4], topics: ["rt.>"], firstShard: 0, shardCount: 1 },
  { name: "transactional", priorities: [1, 2], topics: [], firstShard: 1, shardCount: 2 },
  { name: "batch", priorities: [0], topics: [], firstShard: 3, shardCount: 1 },
];

/** `lane/priority` for each own priority of a topic. */
function decisions(topics: readonly RouteTopic[], topic: string): string[] {
  const target = new Int32Array(DECISIONS);
  new RouteTable({ lanes: LANES, topics }).decide(topic, target, 0);
  return [...target.slice(0, 5)].map((decision) =>
    `${LANES[decisionLane(decision)]?.name}/${decisionPriority(decision)}`
  );
}

test.each(
  [
    ["no line", [], "t", ["batch/0", "transactional/1", "transactional/2", "realtime/3", "realtime/4"]],
    ["raised to MEDIUM", [{ pattern: "t", priority: 2 }], "t", [
      "transactional/2",
      "transactional/2",
      "transactional/2",
      "realtime/3",
      "realtime/4",
    ]],
    ["raised to CRITICAL", [{ pattern: "s/*", priority: 4 }], "s/1", [
      "realtime/4",
      "realtime/4",
      "realtime/4",
      "realtime/4",
      "realtime/4",
    ]],
    ["the pattern is for another topic", [{ pattern: "s/*", priority: 4 }], "s/1/2", [
      "batch/0",
      "transactional/1",
      "transactional/2",
      "realtime/3",
      "realtime/4",
    ]],
    ["exact before pattern", [{ pattern: ">", priority: 4 }, { pattern: "t", priority: 1 }], "t", [
      "transactional/1",
      "transactional/1",
      "transactional/2",
      "realtime/3",
      "realtime/4",
    ]],
    ["first pattern wins", [{ pattern: "a.*", priority: 1 }, { pattern: ">", priority: 4 }], "a.b", [
      "transactional/1",
      "transactional/1",
      "transactional/2",
      "realtime/3",
      "realtime/4",
    ]],
    ["named lane", [{ pattern: "t", lane: "batch" }], "t", [
      "batch/0",
      "batch/1",
      "batch/2",
      "batch/3",
      "batch/4",
    ]],
    ["topics of a lane", [], "rt.x", ["realtime/0", "realtime/1", "realtime/2", "realtime/3", "realtime/4"]],
    ["priority and lane from two lines", [{ pattern: "rt.*", priority: 2 }], "rt.x", [
      "realtime/2",
      "realtime/2",
      "realtime/2",
      "realtime/3",
      "realtime/4",
    ]],
  ] as const,
)("%s", (_name, topics, topic, expected) => {
  expect(decisions(topics, topic)).toEqual([...expected]);
});

test("HIGH can be lowered to MEDIUM only where that means another lane", () => {
  const lowered = (topics: readonly RouteTopic[], topic: string) => {
    const target = new Int32Array(DECISIONS);
    new RouteTable({ lanes: LANES, topics }).decide(topic, target, 0);
    return target[DECISION_LOWERED] ?? NaN;
  };
  expect([decisionLane(lowered([], "t")), decisionPriority(lowered([], "t"))]).toEqual([1, 2]);
  expect(lowered([], "rt.x")).toBe(NOT_LOWERED);
});

test.each(
  [
    ["a priority without a lane", { lanes: LANES.slice(1), topics: [] }],
    ["a priority with two lanes", { lanes: [...LANES, ...LANES.slice(2)], topics: [] }],
    ["an unknown lane", { lanes: LANES, topics: [{ pattern: "t", lane: "fast" }] }],
    ["a bad pattern", { lanes: LANES, topics: [{ pattern: "a.>.b", priority: 1 }] }],
    ["a bad priority", { lanes: LANES, topics: [{ pattern: "t", priority: 5 }] }],
  ] satisfies [string, RouteOptions][],
)("refuses %s", (_name, options) => {
  expect(() => new RouteTable(options)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
});

test.each(
  [
    [11_999, PRESSURE_NORMAL],
    [12_000, PRESSURE_HIGH],
    [13_999, PRESSURE_HIGH],
    [14_000, PRESSURE_CRITICAL],
    [16_384, PRESSURE_CRITICAL],
  ] as const,
)("pressure at %d of 16,384 is %d", (depth, level) => {
  expect(pressureOf(depth, 16_384, PRESSURE_RATIOS_DEFAULT)).toBe(level);
});
