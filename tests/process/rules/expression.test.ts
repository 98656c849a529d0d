import { expect, test } from "bun:test";
import { encodeFrame, type OutgoingEvent } from "../../../src/event/encode.ts";
import { EventRecord } from "../../../src/process/rules/event-facts.ts";
import { compileExpression, expressionOf, isProblem } from "../../../src/process/rules/expression.ts";
import { compileTemplate, isTemplateProblem, templateOf } from "../../../src/process/rules/template.ts";

const RECEIVED_US = 1_767_323_045_123_456;

function record(event: Partial<OutgoingEvent> = {}): EventRecord {
  const made = new EventRecord();
  made.open(encodeFrame({ topic: "sensor.1.temperature", payload: "", ...event }), 0, 7, RECEIVED_US);
  return made;
}

const FULL = {
  priority: 3,
  key: "k-1",
  id: "id-1",
  headers: [["unit", "C"], ["site", "Köln"]] as const,
  payload: JSON.stringify({ celsius: 81.5, n: 3, tags: ["a", "b"], nested: { ok: true }, none: null }),
};

test.each([
  [`topic == "sensor.1.temperature"`, true],
  [`topic.startsWith("sensor.") && topic.endsWith("temperature")`, true],
  [`topic.split(".")[1]`, "1"],
  [`topic.matches("^sensor\\\\.[0-9]+\\\\.")`, true],
  [`priority >= 3`, true],
  [`key + "/" + id`, "k-1/id-1"],
  [`headers["unit"]`, "C"],
  [`"site" in headers && headers.site == "Köln"`, true],
  [`payload.celsius > 80`, true],
  [`payload.celsius > 80.5 && payload.n < 4`, true],
  [`payload.celsius * 9 / 5 + 32`, 178.7],
  [`payload.n % 2 == 1`, true],
  [`payload.n + 0.5`, 3.5],
  [`payload.nested.ok ? "yes" : "no"`, "yes"],
  [`has(payload.missing)`, false],
  [`payload.none == null`, true],
  [`"b" in payload.tags`, true],
  [`size(payload.tags)`, 2n],
  [`payload.tags.exists(tag, tag == "a")`, true],
  [`time > timestamp("2026-01-02T03:04:05Z")`, true],
])("%s", (text, value) => {
  expect(expressionOf(text, "any")(record(FULL))).toEqual(value);
});

test("what an event does not have is empty, and a payload that is no JSON is null", () => {
  expect(expressionOf(`key == "" && id == "" && payload == null`, "condition")(record())).toBeTrue();
  expect(expressionOf(`payload`, "any")(record({ payload: "{half" }))).toBeNull();
  expect(expressionOf(`payload`, "any")(record({ payload: "41" }))).toBe(41);
});

test("time is that of the event, and that of its reception without one", () => {
  const time = expressionOf("time", "any");
  expect(time(record())).toEqual(new Date(RECEIVED_US / 1000));
  expect(time(record({ timeUs: 5_000 }))).toEqual(new Date(5));
});

test("a missing field is an error, not a value", () => {
  expect(() => expressionOf("payload.celcius > 80", "condition")(record(FULL))).toThrow(
    "No such key: celcius",
  );
});

test.each(
  [
    ["payload.celsius >> 80", "condition", 17],
    ["payload.celsius > 80 && topc == 'x'", "condition", 24],
    ["size(", "any", 5],
    ["topic", "condition", 0],
    ["topic", "number", 0],
    ["topic.startsWith(1)", "condition", 0],
    ["1 + 'a'", "any", 0],
    ["x".repeat(5000), "any", 0],
  ] as const,
)("compileExpression(%j) as %s is refused at character %d", (text, kind, at) => {
  const made = compileExpression(text, kind);
  if (!isProblem(made)) throw new Error("it was taken");
  expect(made.at).toBe(at);
  expect(made.problem).not.toBe("");
});

test("the payload is decoded when an expression names it, and once", () => {
  const event = record(FULL);
  for (
    const text of [
      `topic != ""`,
      `priority > 1`,
      `key != ""`,
      `headers["unit"] == "C"`,
      `time > timestamp(0)`,
    ]
  ) {
    expressionOf(text, "condition")(event);
  }
  expect(event.decodedCount).toBe(0);
  for (const text of ["payload.n > 1", "payload.celsius > 1 && payload.n > 2"]) {
    expressionOf(text, "condition")(event);
  }
  expect(event.decodedCount).toBe(1);
  event.enrich("half", 1.5);
  expect(expressionOf("payload.half + payload.n", "any")(event)).toBe(4.5);
  expect(event.decodedCount).toBe(1);
});

test("enrich() makes a map of what is none, and a field called __proto__ is a field", () => {
  const event = record({ payload: "41" });
  event.enrich("unit", "C");
  event.enrich("__proto__", 1);
  expect(JSON.stringify(event.enriched)).toBe(`{"value":41,"unit":"C","__proto__":1}`);
});

test("templates put values between text, and two braces are one", () => {
  expect(templateOf("hot.{payload.n}.{{x}}.{key}{payload.none}")(record(FULL))).toBe("hot.3.{x}.k-1");
  expect(templateOf("{payload.tags} {1.0 + 2}")(record(FULL))).toBe(`["a","b"] 3`);
});

test.each([["{payload.x", 0], ["a}", 1], ["ab{payload.n +}", 14], ["{nope}", 1]] as const)(
  "compileTemplate(%j) is refused at character %d",
  (text, at) => {
    const made = compileTemplate(text);
    if (!isTemplateProblem(made)) throw new Error("it was taken");
    expect(made.at).toBe(at);
  },
);
