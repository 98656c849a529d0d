import { expect, test } from "bun:test";
import { configOf, load, problemsOf, sourceOf } from "./loading.ts";

function lanesOf(text: string): [string, readonly number[]][] {
  return configOf(text).lanes.map((lane) => [lane.name, lane.priorities]);
}

test("three lanes exist by default, with the policies of the specification", () => {
  const lanes = configOf("").lanes;
  expect(lanes.map((lane) => [lane.name, lane.priorities, lane.overflow, lane.durability])).toEqual([
    ["realtime", [3, 4], "drop_old", "interval"],
    ["transactional", [1, 2], "block", "fsync"],
    ["batch", [0], "drop_new", "interval"],
  ]);
  for (const lane of lanes) {
    expect([lane.shards, lane.queueBytes, lane.syncIntervalMs, lane.wait]).toEqual([
      1,
      4_194_304,
      100,
      "block",
    ]);
    expect(lane.retention).toEqual({ maxAgeMs: 604_800_000, maxBytes: 10_737_418_240 });
  }
});

test("a lane that names a priority takes it from its default lane", () => {
  expect(lanesOf("lanes: {urgent: {priorities: [CRITICAL]}}"))
    .toEqual([["realtime", [3]], ["transactional", [1, 2]], ["batch", [0]], ["urgent", [4]]]);
  expect(lanesOf("lanes: {realtime: {wait: spin}, urgent: {priorities: [4, 3]}}"))
    .toEqual([["realtime", []], ["transactional", [1, 2]], ["batch", [0]], ["urgent", [3, 4]]]);
});

test("a default lane that is not named and has nothing left does not exist", () => {
  expect(lanesOf("lanes: {main: {priorities: [0, 1, 2, 3, 4]}}")).toEqual([["main", [0, 1, 2, 3, 4]]]);
});

test("a priority with two lanes, named twice, or without a lane is a problem", () => {
  expect(problemsOf("lanes:\n  a: {priorities: [HIGH]}\n  b: {priorities: [low, high]}\n")).toEqual([
    '3:25: priority HIGH belongs to lane "a", it cannot go to "b", too',
  ]);
  expect(problemsOf("lanes:\n  a: {priorities: [4, CRITICAL]}\n")).toEqual([
    '2:23: lane "a" names priority CRITICAL twice',
  ]);
  expect(problemsOf("lanes:\n  realtime: {priorities: [CRITICAL]}\n  batch: {priorities: []}\n")).toEqual([
    "1:1: no lane takes priority BATCH, HIGH",
  ]);
});

test("names are fit for folders and metrics, and reserved words are refused", () => {
  expect(problemsOf("lanes:\n  ../up: {topics: [a]}\n  dlq: {topics: [b]}\n  high: {topics: [c]}\n")).toEqual(
    [
      '2:3: lane "../up": a name has 1 to 63 of the characters a-z 0-9 _ -',
      '3:3: a lane cannot be named "dlq": the word is reserved',
      '4:3: a lane cannot be named "high": the word is reserved',
    ],
  );
  expect(problemsOf(`lanes: {${"a".repeat(63)}: {topics: [a]}}`)).toEqual([]);
  expect(problemsOf(`lanes: {${"a".repeat(64)}: {topics: [a]}}`)).toHaveLength(1);
});

test("router.shards is the default of transactional alone", () => {
  const shards = (text: string) => configOf(text).lanes.map((lane) => lane.shards);
  expect(shards("router: {shards: 4}")).toEqual([1, 4, 1]);
  expect(shards("router: {shards: 4}\nlanes: {transactional: {shards: 2}, batch: {shards: 3}}")).toEqual([
    1,
    2,
    3,
  ]);
});

test("all shards together are limited", () => {
  const lanes = (count: number) =>
    `lanes:\n${
      Array.from({ length: count }, (_, index) => `  l${index}: {shards: 64, topics: [t${index}]}`).join("\n")
    }`;
  expect(problemsOf(lanes(3))).toEqual([]);
  expect(problemsOf(lanes(4))).toEqual(["1:1: the lanes have 259 shards, at most 256 are allowed"]);
});

test("topics raise priorities, choose lanes, or both", () => {
  const text = `topics:
  "sensor/*": HIGH
  "audit.>": transactional
  a: 4
  b: { priority: low, lane: realtime }
  "x: y": batch
lanes:
  audit: { topics: [c, "sensor/*"] }
`;
  expect(configOf(text).topics).toEqual([
    { pattern: "sensor/*", priority: 3, lane: "audit", source: "config" },
    { pattern: "audit.>", priority: null, lane: "transactional", source: "config" },
    { pattern: "a", priority: 4, lane: null, source: "config" },
    { pattern: "b", priority: 1, lane: "realtime", source: "config" },
    { pattern: "x: y", priority: null, lane: "batch", source: "config" },
    { pattern: "c", priority: null, lane: "audit", source: "lane" },
  ]);
});

test("wrong topics are told at their place", () => {
  const text = `topics:
  a: HIGHT
  "b.>.c": batch
  c: { lane: btach }
  d: {}
  e: [HIGH]
  f: { lane: batch }
lanes:
  realtime: { topics: [f, "", ok] }
`;
  expect(problemsOf(text)).toEqual([
    '2:6: "HIGHT" is neither a priority (BATCH, LOW, MEDIUM, HIGH, CRITICAL) nor a lane; did you mean "HIGH"?',
    '3:3: topics: Pattern "b.>.c" has ">" before its last token',
    '4:14: topics.c.lane: there is no lane "btach"; did you mean "batch"?',
    "5:6: topics.d must have a priority or a lane",
    "6:6: topics.e must be a text or a map",
    '9:27: lanes.realtime.topics[1] must be text, not empty, not ""',
  ]);
  expect(problemsOf("topics: {f: {lane: batch}}\nlanes: {realtime: {topics: [f]}}")).toEqual([
    '2:29: topic "f" already goes to lane "batch", it cannot go to "realtime", too',
  ]);
});

test("the topics file adds rules, skips what it does not understand, and yields to the configuration", () => {
  const file = [
    "\uFEFF# a comment",
    "",
    "  system/alerts : critical ",
    "tcp:9000:HIGH",
    "no priority",
    "a:NONE",
    "  :HIGH",
    "system/alerts:LOW",
    "own:LOW\r",
    "b.>.c:LOW",
  ].join("\n");
  const { config, notices } = load(
    "topics: {own: CRITICAL}\ntopics_file: t.conf\n",
    sourceOf({ files: { "t.conf": file } }),
  );
  expect(config.topics).toEqual([
    { pattern: "own", priority: 4, lane: null, source: "config" },
    { pattern: "system/alerts", priority: 4, lane: null, source: "topics_file" },
    { pattern: "tcp:9000", priority: 3, lane: null, source: "topics_file" },
  ]);
  expect(notices.map(({ file: name, line, column, message }) => `${name}:${line}:${column}: ${message}`))
    .toEqual([
      't.conf:5:1: expected "topic:PRIORITY"; line skipped',
      't.conf:6:1: "NONE" is not one of BATCH, LOW, MEDIUM, HIGH, CRITICAL; line skipped',
      "t.conf:7:3: Pattern has 0 bytes: it needs 1 to 255; line skipped",
      't.conf:8:1: topic "system/alerts" is already set in line 3; line skipped',
      't.conf:10:1: Pattern "b.>.c" has ">" before its last token; line skipped',
    ]);
  expect(problemsOf("topics_file: gone.conf")).toEqual(["1:14: cannot read topics_file: no file gone.conf"]);
});

test("the number of topic rules is limited", () => {
  const rules = (count: number) => Array.from({ length: count }, (_, index) => `t${index}:HIGH`).join("\n");
  const problems = (count: number) =>
    problemsOf("topics_file: t.conf", sourceOf({ files: { "t.conf": rules(count) } }));
  expect(problems(10_000)).toEqual([]);
  expect(problems(10_001)).toEqual([
    "1:1: there are 10001 topic rules, at most 10000 are allowed",
  ]);
});
