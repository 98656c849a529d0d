/** A stress scenario: phases one after the other, and what must hold of each. YAML → a checked plan. */
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { parseDuration, parseSize } from "../../src/config/units.ts";
import { EscError } from "../../src/errors.ts";
import { patternProblem } from "../../src/event/topic.ts";
import { PRIORITY_NAMES } from "../../src/event/frame.ts";
import { ACKS_NAMES } from "../../src/event/run.ts";
import { CLIENTS_MAX, EVENTS_MAX, IDENTITY_BYTES, TOPICS_MAX } from "./plan.ts";

const PHASES_MAX = 100;
const RATE_MAX = 1e9;
const DURATION_MS_MAX = 24 * 3_600_000;

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0 && ms <= DURATION_MS_MAX) return ms;
  context.addIssue({ code: "custom", message: `"${text}" is no duration up to 24h, such as 30s` });
  return z.NEVER;
});
const size = z.union([z.int(), z.string()]).transform((given, context) => {
  const bytes = typeof given === "number" ? given : parseSize(given);
  if (bytes !== undefined && bytes >= 0 && bytes <= 1 << 20) return bytes;
  context.addIssue({ code: "custom", message: `"${given}" is no size up to 1MiB` });
  return z.NEVER;
});
const priority = z.union([z.int(), z.string()]).transform((given, context) => {
  const number = typeof given === "number"
    ? given
    : PRIORITY_NAMES.findIndex((name) => name === given.toUpperCase());
  if (number >= 0 && number < PRIORITY_NAMES.length) return number;
  context.addIssue({
    code: "custom",
    message: `"${given}" is neither 0 to 4 nor one of ${PRIORITY_NAMES.join(", ")}`,
  });
  return z.NEVER;
});
const rate = z.number().positive().max(RATE_MAX);
const topic = z.string().refine(
  (text) => patternProblem(text) === undefined && !/[*>]/.test(text),
  "Not a topic",
);

const thresholds = z.strictObject({
  p50: duration.optional(),
  p99: duration.optional(),
  p999: duration.optional(),
  max: duration.optional(),
  /** Events refused, connections lost, and events that were due and not sent. */
  errors: z.int().min(0).default(0),
  /** Missing, doubled, out of order or damaged when all of it is read back. */
  lost: z.int().min(0).optional(),
  /** Events a second that were reached. */
  min_rate: rate.optional(),
});
export type Thresholds = z.infer<typeof thresholds>;

const phase = z.strictObject({
  name: z.string().min(1).max(100),
  duration: duration.optional(),
  events: z.int().min(1).max(EVENTS_MAX).optional(),
  clients: z.int().min(1).max(CLIENTS_MAX).default(10),
  rate: rate.optional(),
  ramp: z.strictObject({ from: z.number().min(0).max(RATE_MAX).default(0), over: duration }).optional(),
  size: size.default(128),
  acks: z.enum(ACKS_NAMES).default("durable"),
  in_flight: z.int().min(1).max(10_000_000).default(65_536),
  topics: z.union([z.int().min(1).max(TOPICS_MAX), z.array(topic).min(1).max(TOPICS_MAX)]).optional(),
  priority: priority.optional(),
  udp: z.boolean().default(false),
  thresholds: thresholds.prefault({}),
}).superRefine(({ duration, events, rate, ramp, udp, thresholds, size, topics }, context) => {
  const problem = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
  if ((duration === undefined) === (events === undefined)) problem([], "Needs either duration or events");
  if (ramp !== undefined && rate === undefined) problem(["ramp"], "Needs rate: where it leads to");
  if (ramp !== undefined && duration !== undefined && ramp.over > duration) {
    problem(["ramp", "over"], "Is longer than the phase");
  }
  if (thresholds.lost === undefined) return;
  if (udp) problem(["thresholds", "lost"], "Datagrams are not acknowledged: they may be lost");
  if (duration !== undefined && rate === undefined) problem(["thresholds", "lost"], "Needs rate or events");
  if (size < IDENTITY_BYTES) problem(["size"], `lost needs payloads of at least ${IDENTITY_BYTES} bytes`);
  if (Array.isArray(topics) && !topics.every((name) => name.startsWith("stress."))) {
    problem(["topics"], `With lost, topics begin with "stress."`);
  }
});
export type Phase = z.infer<typeof phase>;

const scenario = z.strictObject({
  name: z.string().min(1).max(100),
  phases: z.array(phase).min(1).max(PHASES_MAX),
});
export type Scenario = z.infer<typeof scenario>;

/** @param file For messages. @throws {EscError} `CONFIG_INVALID` with every problem and its place. */
export function parseScenario(text: string, file: string): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const placeOf = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problems = document.errors.map(({ pos, message }) => `${placeOf(pos[0])}: ${message.split("\n")[0]}`);
  const result = problems.length > 0 ? undefined : scenario.safeParse(document.toJS());
  if (result?.success) return result.data;
  for (const { path, message } of result?.error.issues ?? []) {
    // A key that is missing has no place: that of the map it is missing in stands for it.
    let known = path.slice();
    while (known.length > 0 && !document.hasIn(known)) known = known.slice(0, -1);
    const node = known.length === 0 ? document.contents : document.getIn(known, true);
    const at = typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)
      ? Number(node.range[0])
      : 0;
    problems.push(`${placeOf(at)}: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`);
  }
  throw new EscError("CONFIG_INVALID", `Scenario ${file} makes no sense\n${problems.join("\n")}`);
}

/** Events of each client of a phase: what is due in its duration, or as many as are asked for. */
export function eventsOf({ duration, events, rate, ramp, clients }: Phase): number {
  if (events !== undefined) return Math.ceil(events / clients);
  if (rate === undefined || duration === undefined) return EVENTS_MAX;
  const rampMs = ramp?.over ?? 0;
  const due = (rate * (duration - rampMs) + ((rate + (ramp?.from ?? 0)) / 2) * rampMs) / 1000;
  return Math.max(1, Math.round(due / clients));
}
