/** Rules, windows, handlers and alerts in the configuration. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printConfig } from "../../src/config/print.ts";
import { configOf, load, problemsOf } from "./loading.ts";

const PAGE = readFileSync(join(import.meta.dir, "../../docs/processing.md"), "utf8");

test("every YAML of docs/processing.md loads", () => {
  const blocks = [...PAGE.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text);
  expect(blocks.length).toBeGreaterThan(4);
  for (const text of blocks) expect(configOf(text).lanes.length).toBeGreaterThan(2);
});

test.each(["rules.yaml", "handlers.yaml", "windows.yaml"])(
  "%s means the same when it is printed and loaded again",
  (name) => {
    const text = readFileSync(join(import.meta.dir, "../../config/examples", name), "utf8");
    const loaded = load(text);
    expect(configOf(printConfig(loaded)).processing).toEqual(loaded.config.processing);
  },
);

test("what a rule or a window cannot mean is refused, each at its place", () => {
  expect(problemsOf(`
rules:
  "bad name": { topics: x, drop: true }
  two: { topics: x, rate: { count: 2, within: 1s }, absence: { for: 1s }, drop: true }
  by: { topics: x, by: key, drop: true }
  level: { topics: x, threshold: { value: payload.v, above: 1, below: 2 }, drop: true }
  steps: { topics: x, sequence: { steps: ["true"], within: 1s }, drop: true }
  pattern: { topics: "a.>.b", drop: true }
windows:
  none: { topics: x, aggregates: { n: count } }
  both: { topics: x, tumbling: 1s, count: 3, aggregates: { n: count } }
  gaps: { topics: x, hopping: { size: 1s, every: 2s }, aggregates: { n: count } }
  many: { topics: x, hopping: { size: 1h, every: 1s }, aggregates: { n: count } }
  empty: { topics: x, tumbling: 1s, aggregates: {} }
  sums: { topics: x, tumbling: 1s, aggregates: { s: sum, t: top0(key), p: p999(payload.v) } }
handlers:
  h: { use: temprature, topics: x }
alerts:
  webhooks: [{ url: "ftp://example.com" }]
`)).toMatchInlineSnapshot(`
  [
    "3:3: rules: a name has 1 to 63 letters, digits, "-" and "_"",
    "4:62: rules.two has more than one of rate, absence, sequence, threshold",
    "5:24: rules.by.by needs rate, absence, sequence, threshold or alert",
    "6:71: rules.level.threshold.below must not be above 1",
    "7:42: a sequence has at least two steps",
    "8:22: Pattern "a.>.b" has ">" before its last token",
    "10:3: windows.none needs exactly one of tumbling, hopping, session, count",
    "11:3: windows.both needs exactly one of tumbling, hopping, session, count",
    "12:50: every must not be above size: events between windows would be lost",
    "13:50: an event would belong to more than 1000 windows",
    "14:37: windows.empty computes nothing: give it count, or more",
    "15:53: sum needs a value: sum(payload.amount)",
    "15:61: "top0(key)" is no aggregate; did you mean "top3"?; there are count, sum, min, max, avg, first, last, stddev, distinct, p99, top3",
    "15:75: "p999(payload.v)" is no aggregate; did you mean "p99"?; there are count, sum, min, max, avg, first, last, stddev, distinct, p99, top3",
    "17:13: there is no built-in handler "temprature"; did you mean "temperature"?; a file has a dot or a slash in its name",
    "19:21: must be a URL such as https://example.com/hook",
  ]
`);
});
