/** Keys of what happens to events behind the log: `processing`, `rules`, `windows`, `handlers`, `alerts`. */
import * as z from "zod";
import { SEVERITIES } from "../process/rules/spec.ts";
import {
  choice,
  count,
  decimal,
  duration,
  flag,
  optionalText,
  priority,
  requiredCount,
  requiredDuration,
  requiredNumber,
  requiredText,
  size,
  text,
} from "./leaves.ts";
import { byShape, list, mapProblem, section } from "./shapes.ts";

const MIB = 1024 * 1024;

const topics = () =>
  byShape("Topics and patterns, one or a list", {
    text: requiredText("A topic or pattern"),
    list: list("Topics and patterns", requiredText("A topic or pattern")),
  });

export const processingSection = section("Processing behind the log", {
  checkpoint_interval: duration("Longest time between two checkpoints of rules and windows", "1s", {
    min: 10,
    max: 600_000,
  }),
  handlers_dir: optionalText(
    "Folder whose .ts files are handlers, relative to the working directory; files may come, change and go",
  ),
  start: choice("Where a log begins that was never processed", ["earliest", "latest"], "latest"),
  retry: section("Events that a handler has failed at; attempts and pause are the handler's", {
    max_pause: duration("Longest pause between two attempts", "30s", { min: 1 }),
    jitter: decimal("A pause is shortened by up to this share", 0.5, 0, 1),
    max_parked: count(
      "Events that may wait; beyond, processing stops until some are done",
      10_000,
      1,
      1_000_000,
    ),
  }).prefault({}),
});

const rule = section("A rule", {
  topics: topics(),
  when: optionalText("Condition (CEL), such as payload.celsius > 80"),
  filter: optionalText("Condition (CEL): events for which it does not hold go no further"),
  by: optionalText("Key (CEL) of what the rule remembers and of its alerts, such as payload.sensor"),
  rate: section("So many events in so much time", {
    count: requiredCount("Events", 2, 100_000),
    within: requiredDuration("Time", { min: 1 }),
  }).optional(),
  absence: section("No event for a while, after there was one", {
    for: requiredDuration("Time", { min: 1 }),
  }).optional(),
  sequence: section("Events that match conditions one after the other", {
    steps: list("Conditions (CEL) in their order", requiredText("A condition")),
    within: requiredDuration("Time from the first to the last", { min: 1 }),
  }).optional(),
  threshold: section("A value goes above a limit; not again before it was below another", {
    value: requiredText("Value (CEL)"),
    above: requiredNumber("Fires above this"),
    below: requiredNumber("Can fire again after the value was below this"),
  }).optional(),
  enrich: z.record(z.string(), requiredText("Value (CEL)"), { error: mapProblem }).prefault({}).meta({
    description: "Fields added to the payload for what comes behind the rule: name -> value (CEL)",
  }),
  priority: priority("Priority that the event has behind the rule; in the log it stays as it is").optional(),
  alert: section("Raises an alert", {
    severity: choice(
      "How bad it is",
      ["info", "warning", "critical", "emergency"],
      "warning",
    ),
    message: requiredText("Text; {expressions} in braces"),
    cooldown: duration(
      "Silence after an alert of the same rule and key, or topic where there is no key",
      "1m",
    ),
  }).optional(),
  publish: section("Publishes an event", {
    topic: requiredText("Topic; {expressions} in braces"),
    priority: priority("Priority; the event's own by default").optional(),
    payload: optionalText("Payload (CEL); the event's own by default"),
    key: optionalText("Key (CEL); the event's own by default"),
  }).optional(),
  route: optionalText(
    "Topic, {expressions} in braces: the event goes on there, and nothing behind the rule sees it here",
  ),
  dead_letter: flag("The event also goes to the DLQ, and nothing behind the rule sees it", false),
  drop: flag("Nothing behind the rule sees the event", false),
});

export const rulesSection = z.record(z.string(), rule, { error: mapProblem }).meta({
  description: "Rules in their order: name -> topics, condition, what follows",
  examples: [{
    overheated: {
      topics: "sensor.*.temperature",
      when: "payload.celsius > 80",
      alert: { severity: "critical", message: "{topic} is at {payload.celsius}", cooldown: "1m" },
    },
  }],
});

const window = section("A window", {
  topics: topics(),
  when: optionalText("Condition (CEL)"),
  by: optionalText("Key (CEL), such as payload.product; one window for all without it"),
  time: optionalText("Event time (CEL): a timestamp or milliseconds; the event's own time without it"),
  tumbling: requiredDuration("Size of windows one after the other", { min: 1 }).optional(),
  hopping: section("Overlapping windows", {
    size: requiredDuration("Size", { min: 1 }),
    every: requiredDuration("Time between their beginnings", { min: 1 }),
  }).optional(),
  session: requiredDuration("Gap that ends a session", { min: 1 }).optional(),
  count: requiredCount("Events in a window of so many", 1, 1_000_000).optional(),
  aggregates: z.record(z.string(), requiredText("Such as sum(payload.amount)"), { error: mapProblem }).meta({
    description:
      "Name -> count, sum(x), min(x), max(x), avg(x), first(x), last(x), stddev(x), p99(x), distinct(x) or top3(x)",
  }),
  max_out_of_orderness: duration("How much later than newer events an event may come", "1s"),
  idle_timeout: duration("Silence after which a shard is not waited for", "5s", { min: 10 }),
  allowed_lateness: duration("How long after its end a result is still corrected", "0s"),
  late_topic: optionalText("Topic for events that come later still"),
  emit: choice("When results are told", ["close", "update", "interval"], "close"),
  interval: duration("Time between results with emit: interval", "1s", { min: 10 }),
  topic: optionalText({ description: "Topic of the results", default: "window.<name>" }),
  priority: priority("Priority of the results; MEDIUM by default").optional(),
  max_keys: count("Keys open at the same time", 100_000, 1, 10_000_000),
});

export const windowsSection = z.record(z.string(), window, { error: mapProblem }).meta({
  description: "Windows by event time: name -> topics, key, shape, aggregates",
  examples: [{
    revenue: {
      topics: "orders.>",
      by: "payload.product",
      tumbling: "1m",
      aggregates: { orders: "count", revenue: "sum(payload.amount)" },
    },
  }],
});

const handler = section("A handler", {
  use: optionalText("temperature, pressure, payment, audit, or a file with a handler of your own"),
  command: list(
    "In place of use: a program that speaks JSON lines, and its arguments",
    requiredText("A word"),
  ).prefault([]),
  topics: topics(),
  attempts: count("Attempts before an event goes to the DLQ", 3, 1, 100),
  pause: duration("Pause after the first failed attempt; it grows with each", "10ms"),
  budget: duration("Time for one event", "1s", { min: 1, max: 600_000 }),
  memory: size("A process of the handler with more memory is stopped", "512MiB", 64 * MIB, 1024 * 1024 * MIB),
});

export const handlersSection = z.record(z.string(), handler, { error: mapProblem }).meta({
  description: "Handlers: name -> what handles which topics; of several, the most exact topic counts",
  examples: [{ boilers: { use: "temperature", topics: "sensor.*.temperature" } }],
});

export const alertsSection = section("Where alerts go, beside the log and /api/v1/alerts", {
  topic: optionalText("Beginning of the topic on which they are published, before .<rule>"),
  webhooks: list(
    "Endpoints that get each alert as JSON",
    section("An endpoint", {
      url: requiredText("http or https URL"),
      timeout: duration("Time for one attempt", "5s", { min: 10, max: 60_000 }),
      headers: z.record(z.string(), text("Value", ""), { error: mapProblem }).prefault({}).meta({
        description: "Headers sent with it, such as authorization",
      }),
    }),
  ).prefault([]),
});

/** Severity as rules have it. */
export function severityOf(word: "info" | "warning" | "critical" | "emergency") {
  return SEVERITIES[["info", "warning", "critical", "emergency"].indexOf(word)] ?? "WARNING";
}
