/** Rules, handlers and windows in a chain, without thread, log and store. */
import { expect, test } from "bun:test";
import { BUILTIN_HANDLERS } from "../../src/process/handlers/builtin.ts";
import type { HandlerSpec } from "../../src/process/handlers/registry.ts";
import { handlerFor } from "../../src/process/handlers/registry.ts";
import type { WindowSpec } from "../../src/process/windows/spec.ts";
import { type Random, withRandom } from "../support/seed.ts";
import { ProcessorRig, type Received, ruleOf } from "./processor-rig.ts";

function handlerOf(handler: Partial<HandlerSpec> & Pick<HandlerSpec, "name" | "use">): HandlerSpec {
  return { topics: [">"], attemptsMax: 1, pauseMs: 1, budgetMs: 1000, memoryBytesMax: 1 << 29, ...handler };
}

function windowOf(window: Partial<WindowSpec> & Pick<WindowSpec, "name" | "shape">): WindowSpec {
  return {
    topics: ["in.>"],
    aggregates: [{ name: "n", kind: "count", parameter: 0 }],
    outOfOrderMs: 0,
    idleMs: 1000,
    lateMs: 0,
    emit: "close",
    intervalMs: 1000,
    topic: `window.${window.name}`,
    priority: 2,
    keysMax: 1000,
    ...window,
  };
}

const received = (payload: unknown, more: Partial<Received> = {}): Received => ({
  topic: "in.a",
  payload: JSON.stringify(payload),
  priority: 1,
  receivedUs: 1_000_000,
  ...more,
});

test("rules act in their order: what one adds the next one sees, and what one drops nobody sees", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "noise", when: "payload.v < 0", drop: true }),
      ruleOf({ name: "double", enrich: [["twice", "payload.v * 2"]] }),
      ruleOf({ name: "urgent", when: "payload.twice > 100", priority: 4 }),
      ruleOf({ name: "copy", publish: { topic: "out.{payload.twice}" } }),
    ],
    windows: [windowOf({ name: "all", shape: { kind: "count", count: 2 } })],
  });
  rig.feed([received({ v: -1 }), received({ v: 5 }), received({ v: 60 })]);
  expect(rig.outputs.map(({ topic, priority, payload }) => [topic, priority, payload])).toEqual([
    ["out.10", 1, `{"v":5,"twice":10}`],
    ["out.120", 4, `{"v":60,"twice":120}`],
    ["window.all", 2, expect.stringContaining(`"count":2`)],
  ]);
});

test("a filter lets through only what it holds for; what it cannot judge does not pass", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "known", topics: ["in.>"], filter: "payload.v > 1" }),
      ruleOf({ name: "copy", publish: { topic: "out" } }),
    ],
  });
  rig.feed([received({ v: 1 }), received({ v: 2 }), received({ w: 2 }), received({}, { topic: "other" })]);
  expect(rig.outputs.map(({ payload }) => payload)).toEqual([`{"v":2}`, `{}`]);
  expect(rig.processor.rules[0]?.failedCount).toBe(1);
});

test("route: the event goes on elsewhere with its key, time and headers, and nobody sees it here", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "moved", publish: { topic: "new.{topic}" }, drop: true }),
      ruleOf({ name: "never", alert: { severity: "INFO", message: "", cooldownMs: 0 } }),
    ],
  });
  rig.feed([received(1, { key: "k", timeUs: 77_000, headers: [["a", "b"], ["esc-hops", "1"]] })]);
  expect(rig.outputs).toEqual([{
    topic: "new.in.a",
    priority: 1,
    payload: "1",
    id: rig.outputs[0]?.id ?? "",
    key: "k",
    timeUs: 77_000,
    headers: [["a", "b"], ["esc-hops", "2"]],
  }]);
  expect(rig.alerts).toEqual([]);
});

test("dead_letter: the event is told with the rule that sent it there, and goes no further", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "bad", when: "payload.v > 9", deadLetter: "processing_failed" }),
      ruleOf({ name: "copy", publish: { topic: "out" } }),
    ],
  });
  rig.feed([received({ v: 10 }), received({ v: 9 })]);
  expect(rig.letters).toEqual([{ topic: "in.a", reason: "processing_failed", error: "Rule bad" }]);
  expect(rig.outputs.map(({ payload }) => payload)).toEqual([`{"v":9}`]);
});

test("rules that feed each other in a circle are stopped", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "ping", topics: ["ping"], publish: { topic: "pong" } }),
      ruleOf({ name: "pong", topics: ["pong"], publish: { topic: "ping" } }),
    ],
  });
  rig.feed([received(1, { topic: "ping" })]);
  for (let fed = 0; fed < rig.outputs.length && fed < 100; fed++) {
    const { topic, payload, priority, headers } = rig.outputs[fed] ?? received(0);
    rig.feed([{ topic, payload, priority, headers, receivedUs: 0 }]);
  }
  expect(rig.outputs).toHaveLength(8);
  expect(rig.processor.loopCount).toBe(1);
});

test("a result that is no event is counted and told, and nothing else suffers", () => {
  const rig = new ProcessorRig({
    rules: [ruleOf({ name: "long", publish: { topic: "{payload.t}" } })],
  });
  rig.feed([received({ t: "x".repeat(300) }), received({ t: "" }), received({ t: "ok" })]);
  expect(rig.outputs.map(({ topic }) => topic)).toEqual(["ok"]);
  expect(rig.processor.badOutputCount).toBe(2);
  expect(rig.reports[0]).toContain("Topic has 300 bytes: it needs 1 to 255");
});

test("the handler of exactly the topic counts, else that of the longest pattern, else that of all", () => {
  const handlers = [
    handlerOf({ name: "all", use: "audit" }),
    handlerOf({ name: "prefix", use: "audit", topics: ["sensor.>"] }),
    handlerOf({ name: "longer", use: "audit", topics: ["sensor.*.temperature"] }),
    handlerOf({ name: "exact", use: "audit", topics: ["sensor.1.temperature"] }),
  ];
  const found = ["sensor.1.temperature", "sensor.2.temperature", "sensor.2.pressure", "x"].map((topic) =>
    handlerFor(topic, handlers)?.name
  );
  expect(found).toEqual(["exact", "longer", "prefix", "all"]);
  expect(handlerFor("x", handlers.slice(1))).toBeUndefined();
});

const amount = (value: number) => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

test.each(
  [
    ["temperature", "80", "success"],
    ["temperature", "81", "WARNING"],
    ["temperature", "100", "WARNING"],
    ["temperature", "101", "CRITICAL"],
    ["temperature", "150", "CRITICAL"],
    ["temperature", "151", "Temperature 151 is above 150"],
    ["temperature", `{"temperature":100.5}`, "CRITICAL"],
    ["temperature", `{"value":90}`, "WARNING"],
    ["temperature", "hot", "The payload has no temperature"],
    ["pressure", "150", "success"],
    ["pressure", "151", "WARNING"],
    ["pressure", "200", "WARNING"],
    ["pressure", `{"pressure":201}`, "EMERGENCY"],
    ["payment", amount(0), "Payment of nothing"],
    ["payment", amount(1), "success"],
    ["payment", amount(1_000_000), "success"],
    ["payment", amount(1_000_001), "Payment of 1000001 is above 1000000"],
    ["payment", new Uint8Array(3), "Payment of 3 bytes has no amount"],
    ["audit", "x", "success"],
    ["audit", "", "Audit record is empty"],
  ] as const,
)("handler %s of %j: %s", (use, payload, outcome) => {
  const rig = new ProcessorRig({ handlers: [handlerOf({ name: "h", use })] });
  rig.feed([received(0, { payload })]);
  expect(Object.keys(BUILTIN_HANDLERS)).toContain(use);
  const shown = rig.letters[0]?.error ?? rig.alerts[0]?.severity ?? "success";
  expect(shown).toBe(outcome);
});

test("validation comes before rules, and rules before the handler", () => {
  const rig = new ProcessorRig({
    rules: [
      ruleOf({ name: "seen", alert: { severity: "INFO", message: "{payload}", cooldownMs: 0 } }),
      ruleOf({ name: "quiet", when: "payload == 120", drop: true }),
    ],
    handlers: [handlerOf({ name: "h", use: "temperature" })],
  });
  rig.feed([received(200), received(120), received(90)]);
  expect(rig.letters.map(({ error }) => error)).toEqual(["Temperature 200 is above 150"]);
  expect(rig.alerts.map(({ rule, message }) => [rule, message])).toEqual([
    ["seen", "120"],
    ["seen", "90"],
    ["h", "Temperature 90 is above 80"],
  ]);
});

test("a window over everything does not take in what it has told", () => {
  const rig = new ProcessorRig({
    windows: [windowOf({ name: "w", topics: [">"], shape: { kind: "count", count: 1 } })],
  });
  rig.feed([received(1)]);
  const [told] = rig.outputs;
  expect(told?.topic).toBe("window.w");
  rig.feed([{ topic: "window.w", payload: told?.payload ?? "", receivedUs: 0 }]);
  expect(rig.windows).toHaveLength(1);
});

test("an event that comes too late goes to the late topic as it was, and says where it came from", () => {
  const rig = new ProcessorRig({
    windows: [windowOf({ name: "w", shape: { kind: "tumbling", sizeMs: 1000 }, lateTopic: "late" })],
  });
  rig.feed([
    received(1, { timeUs: 5_000_000 }),
    received({ v: "late" }, { timeUs: 100, key: "k", priority: 4 }),
  ]);
  expect(rig.outputs).toEqual([{
    topic: "late",
    priority: 4,
    payload: `{"v":"late"}`,
    id: rig.outputs[0]?.id ?? "",
    key: "k",
    timeUs: 100,
    headers: [["esc-window", "w"], ["esc-topic", "in.a"], ["esc-hops", "1"]],
  }]);
  expect(rig.processor.windows[0]?.operator.lateCount).toBe(1);
});

test("a window row has the first sum, min and max, whatever they are called", () => {
  const value = "payload.v";
  const rig = new ProcessorRig({
    windows: [windowOf({
      name: "w",
      shape: { kind: "count", count: 2 },
      aggregates: [
        { name: "total", kind: "sum", parameter: 0, value },
        { name: "least", kind: "min", parameter: 0, value },
        { name: "most", kind: "max", parameter: 0, value },
      ],
    })],
  });
  rig.feed([received({ v: 3 }, { timeUs: 1 }), received({ v: 4 }, { timeUs: 9 })]);
  expect(rig.windows).toEqual([{
    name: "w",
    key: "",
    startUs: 1,
    endUs: 9,
    count: 2,
    sum: 7,
    min: 3,
    max: 4,
    result: `{"count":2,"total":7,"least":3,"most":4,"revision":1,"closed":true}`,
    replaces: [],
  }]);
});

test("load() lets go of what now means something else, and keeps the rest", () => {
  const state = { kind: "rate", count: 2, withinMs: 1000 } as const;
  const rules = (within: number) => [
    ruleOf({ name: "stateless", when: `payload < ${within}`, drop: true, topics: ["other"] }),
    ruleOf({ name: "same", state, publish: { topic: "same" } }),
    ruleOf({ name: "changed", state: { ...state, withinMs: within }, publish: { topic: "changed" } }),
  ];
  const first = new ProcessorRig({ rules: rules(1000) }).feed([received(1)]);
  const second = new ProcessorRig({ rules: rules(5000) });
  expect(second.processor.load(first.processor.save(), 0)).toEqual(["changed"]);
  second.feed([received(1)]);
  expect(second.outputs.map(({ topic }) => topic)).toEqual(["same"]);
  const other = Buffer.from(first.processor.save()).toString().replace(`"version":1`, `"version":0`);
  const third = new ProcessorRig({ rules: rules(1000) });
  expect(third.processor.load(Buffer.from(other), 0)).toEqual(["everything"]);
});

function randomEvents(random: Random): Received[] {
  let receivedUs = 1_000_000;
  return Array.from({ length: 4096 }, (_, index) => {
    receivedUs += random.below(3000);
    return {
      topic: `${random.pick(["in", "sensor"])}.${random.below(40)}`,
      priority: random.below(5),
      id: `e${index}`,
      ...(random.chance(0.5) ? { key: `k${random.below(6)}` } : {}),
      timeUs: receivedUs - random.below(20_000),
      payload: random.chance(0.05) ? "no json" : JSON.stringify({ v: random.below(100), w: random.below(9) }),
      receivedUs,
    };
  });
}

test(
  "the outcome is the same with and without the cache of plans, and for batches of 1, 7 and 4096",
  () =>
    withRandom((random) => {
      const alert = { severity: "WARNING", message: "{topic} {payload.v}", cooldownMs: 50 } as const;
      const spec = {
        rules: [
          ruleOf({ name: "drop", topics: ["sensor.1", "in.2*"], drop: true }),
          ruleOf({ name: "rate", by: "topic", state: { kind: "rate", count: 9, withinMs: 300 }, alert }),
          ruleOf({
            name: "gone",
            by: "key",
            state: { kind: "absence", forMs: 40 },
            publish: { topic: "gone" },
          }),
          ruleOf({
            name: "pair",
            by: "key",
            state: { kind: "sequence", steps: ["payload.v > 90", "payload.v < 10"], withinMs: 100 },
            publish: { topic: "pair.{key}" },
          }),
          ruleOf({
            name: "level",
            by: "key",
            state: { kind: "threshold", value: "payload.v", above: 80, below: 20 },
            alert,
          }),
          ruleOf({ name: "bad", when: "payload.w == 8", deadLetter: "processing_failed" }),
        ],
        windows: [
          windowOf({
            name: "t",
            topics: [">"],
            by: "topic",
            shape: { kind: "tumbling", sizeMs: 100 },
            outOfOrderMs: 10,
            lateTopic: "late",
          }),
          windowOf({ name: "c", by: "key", shape: { kind: "count", count: 10 } }),
        ],
      };
      const events = randomEvents(random);
      const outcome = (batchCount: number, topicsMax?: number) => {
        const rig = new ProcessorRig(topicsMax === undefined ? spec : { ...spec, plansMax: topicsMax });
        rig.feed(events, batchCount).pass(1e12);
        const { alerts, letters, outputs, windows, processor } = rig;
        // When a silence is noticed depends on when somebody looks: what is noticed does not.
        const sorted = outputs.map((output) => JSON.stringify(output)).sort();
        const failed = processor.rules.map(({ failedCount, firedCount }) => [failedCount, firedCount]);
        return { alerts, letters, sorted, windows, failed };
      };
      const plain = outcome(1);
      expect(plain.alerts.length).toBeGreaterThan(10);
      expect(plain.letters.length).toBeGreaterThan(10);
      expect(plain.windows.length).toBeGreaterThan(100);
      expect(plain.sorted.filter((text) => text.includes(`"topic":"gone"`)).length).toBeGreaterThan(0);
      for (const [batchCount, plansMax] of [[7], [4096], [1, 1], [7, 3]] as const) {
        const other = outcome(batchCount, plansMax);
        for (const part of ["alerts", "letters", "sorted", "windows", "failed"] as const) {
          expect([batchCount, plansMax, part, other[part]]).toEqual([
            batchCount,
            plansMax,
            part,
            plain[part],
          ]);
        }
      }
    }),
  60_000,
);
