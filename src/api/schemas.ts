/** The shapes of everything the HTTP interface takes and gives, as SPEC and docs/http-api.md name them. */
import { LEVELS } from "../control/levels.ts";
import { z } from "zod";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { DROP_REASONS, PRIORITY_NAMES, REJECT_REASONS } from "../event/frame.ts";
import { ACKS_NAMES } from "../event/run.ts";
import { PIPELINE_STATES } from "../metrics/expose.ts";

/**
 * How the OpenAPI document describes what a schema checks, where JSON Schema can say it better than what is made
 * of the schema: numbers in a query are integers there, not texts of digits.
 */
export function shown<T extends z.ZodType>(schema: T, as: Readonly<Record<string, unknown>>): T {
  return schema.meta({ shownAs: as });
}

const count = z.int().min(0);
const offset = z.int().min(0);
const errorCode = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);

export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: errorCode.optional(),
  errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
}).describe("Problem details (RFC 9457)");

export const headersSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

export const eventSchema = z.strictObject({
  lane: z.string(),
  shard: z.int().min(0),
  offset,
  topic: z.string(),
  priority: z.int().min(0).max(4),
  received_us: count.describe("Microseconds since the Unix epoch"),
  time_us: z.int().optional(),
  id: z.string().optional(),
  key: z.string().optional(),
  headers: headersSchema.optional(),
  payload: z.string().describe("Text, or base64 when encoding says so"),
  encoding: z.literal("base64").optional(),
});

export const eventsSchema = z.strictObject({
  events: z.array(eventSchema),
  cursor: z.string().optional().describe("Ask again with it for what follows; absent at the end"),
});

/** What `Date.parse` takes is more: `foo 1` is a day of 2001 to it. */
const ISO_TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/i;
/** The same for the document, with months and days that exist in every year. */
const SHOWN_TIME = {
  type: "string",
  pattern: "^([0-9]{1,15}|(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])" +
    "(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]))?)$",
};

/** A time: microseconds since the Unix epoch, or ISO 8601. */
export const timeSchema = shown(
  z.string().transform((text, context) => {
    const us = /^\d{1,16}$/.test(text) ? Number(text) : ISO_TIME.test(text) ? Date.parse(text) * 1000 : NaN;
    if (Number.isSafeInteger(us) && us >= 0) return us;
    context.addIssue({ code: "custom", message: "Not microseconds since 1970 nor an ISO 8601 time" });
    return z.NEVER;
  }),
  SHOWN_TIME,
);

export const EVENTS_LIMIT_MAX = 10_000;
/** A whole number of a query. */
export const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  shown(
    z.string().regex(/^\d{1,16}$/, "Not a whole number").transform(Number).pipe(
      z.int().min(minimum).max(maximum),
    ),
    { type: "integer", minimum, maximum },
  );

/** Where the runtime refuses a request line, with 431, less is left for a cursor. */
const CURSOR_CHARACTERS_MAX = 8192;
export const cursorSchema = z.string().min(1).max(CURSOR_CHARACTERS_MAX);

// A token that is not ">" and may be empty; one that is not empty; a pattern.
const TOKEN = "([^./,>][^./,]*|>[^./,]+)?";
const FULL_TOKEN = "([^./,>][^./,]*|>[^./,]+)";
const PATTERN = `((${TOKEN}[./])+(${TOKEN}|>)|${FULL_TOKEN}|>)`;
/** One topic pattern, of a list. */
export const patternSchema = shown(z.string(), { type: "string", pattern: `^${PATTERN}$` });
/** Topic patterns with commas. */
export const patternsSchema = shown(z.string(), { type: "string", pattern: `^${PATTERN}(,${PATTERN})*$` });

export const eventsQuery = z.strictObject({
  topic: patternsSchema.default(">").describe("Topic pattern; several with commas"),
  lane: z.string().optional().describe("Only this lane; the dead-letter lane is read only when named"),
  shard: whole(0, 65535).optional().describe("Only this shard of the lane"),
  from_offset: whole(0).optional(),
  from_time: timeSchema.optional().describe("Received at or after: microseconds since 1970, or ISO 8601"),
  to_time: timeSchema.optional().describe("Received before"),
  limit: whole(1, EVENTS_LIMIT_MAX).default(100),
  cursor: cursorSchema.optional().describe("From the answer before, with the same filters"),
});

export const subscribeQuery = z.strictObject({
  topics: patternsSchema.optional().describe(
    "Topic patterns, with commas; a WebSocket may also send its own",
  ),
  from: z.string().optional().describe("latest, earliest, or a time"),
  lanes: z.string().optional().describe("Only these lanes, with commas"),
  last_event_id: cursorSchema.optional().describe(
    "The header Last-Event-ID, for who cannot set it",
  ),
});

export const acksQuery = z.strictObject({
  acks: z.enum(ACKS_NAMES).default("durable").describe("What the answer waits for"),
});

const SHOWN_ID = { type: "string", pattern: "^[!-~]{1,64}$" };
export const publishHeaders = z.object({
  "Esc-Priority": shown(z.string(), { type: "string", pattern: `^([0-4]|${PRIORITY_NAMES.join("|")})$` })
    .optional().describe("0..4, or a priority's name"),
  "Esc-Message-Id": shown(z.string(), SHOWN_ID).optional().describe("1 to 64 bytes"),
  "Esc-Key": shown(z.string(), { type: "string", pattern: "^[!-~]+$" }).optional(),
  "Esc-Event-Time": shown(z.string(), SHOWN_TIME).optional().describe("Microseconds since 1970, or ISO 8601"),
  traceparent: z.string()
    .optional().describe("W3C trace context: it becomes a header of the event; what is none is ignored"),
});

/** One event of a publish request. */
export const incomingEvent = z.strictObject({
  topic: z.string(),
  payload: z.unknown().describe("A string is taken as it is; anything else is written as JSON"),
  encoding: z.literal("base64").optional().describe("payload is base64"),
  priority: z.int().min(0).max(4).optional(),
  id: z.string().optional(),
  key: z.string().optional(),
  time_us: z.int().optional(),
  headers: headersSchema.optional(),
});

const shownEvent = {
  topic: z.string().min(1).describe("1 to 255 bytes"),
  priority: z.int().min(0).max(4).optional(),
  id: z.string().min(1).optional().describe("1 to 64 bytes"),
  key: z.string().min(1).optional(),
  time_us: z.int().optional(),
  headers: shown(headersSchema, {
    type: "object",
    patternProperties: {
      "^[^\\u0000]+$": { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
    },
    additionalProperties: false,
  }).optional(),
};
const anyPayload = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.unknown()),
  z.record(z.string(), z.unknown()),
]);
/** The same for the document, where each encoding has its own payload. */
export const shownIncomingEvent = z.union([
  z.strictObject({
    ...shownEvent,
    payload: anyPayload.describe("A string is taken as it is; anything else is written as JSON"),
  }),
  z.strictObject({
    ...shownEvent,
    payload: z.string().regex(
      /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
    ),
    encoding: z.literal("base64").describe("payload is base64"),
  }),
]);

export const publishResult = z.strictObject({
  lane: z.string().optional(),
  shard: z.int().optional(),
  offset: offset.optional(),
  duplicate: z.literal(true).optional().describe("The message id was seen before; not stored again"),
  error: z.strictObject({ code: errorCode, message: z.string() }).optional(),
}).describe("What became of one event; without error it is acknowledged as asked");

export const publishAnswer = z.strictObject({
  acks: z.enum(ACKS_NAMES),
  published: count,
  failed: count,
  results: z.array(publishResult).describe("One an event, in their order; of the first 100,000"),
  errors: z.array(z.strictObject({ line: z.int().min(1), code: errorCode, message: z.string() })).optional()
    .describe("NDJSON: the first 100 failures, by line"),
  stopped_at_line: count.optional().describe("NDJSON: no more was read; send what follows this line again"),
});

export const healthSchema = z.strictObject({
  status: z.literal("ok"),
  version: z.string(),
  uptime_s: z.number(),
});

export const readySchema = z.strictObject({ ready: z.boolean(), reasons: z.array(z.string()) });

const laneStats = z.strictObject({
  depth: count.describe("Bytes waiting in its queues"),
  capacity: count.describe("Bytes its queues can hold"),
  shards: z.array(z.strictObject({ first_offset: offset, next_offset: offset, durable_offset: offset })),
  state: z.enum(["running", "paused", "draining", "restarting", "failed"]),
  p50_us: z.number().describe("Reception to durable, half of the events"),
  p99_us: z.number(),
});

export const statsSchema = z.strictObject({
  uptime_s: z.number(),
  events: z.strictObject({
    received: count,
    accepted: count,
    durable: count,
    processed: count,
    dropped: count,
    rejected: count,
    duplicates: count,
    dlq: count,
  }),
  lanes: z.record(z.string(), laneStats),
  rejected: z.record(z.enum(REJECT_REASONS), count),
  pipeline: z.strictObject({
    state: z.enum(PIPELINE_STATES),
    health: z.enum(LEVELS),
    reasons: z.array(z.string()).describe("Why the health is not HEALTHY"),
  }),
});

export const topicsSchema = z.strictObject({
  topics: z.array(z.strictObject({
    topic: z.string(),
    lane: z.string(),
    events: count.describe("Since start"),
    last_received_us: count,
  })),
  total: count,
});

export const topicsQuery = z.strictObject({
  match: patternsSchema.default(">").describe("Topic pattern"),
  limit: whole(1, 100_000).default(1000),
});

const consumerSchema = z.strictObject({
  name: z.string(),
  updated_us: count,
  offsets: z.record(z.string(), offset).describe('By "lane/shard": offset of the next event'),
  lag: count.describe("Events not confirmed yet"),
});
export const consumersSchema = z.strictObject({ consumers: z.array(consumerSchema) });
export const consumerName = shown(z.string(), {
  type: "string",
  pattern: "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$",
});
export const consumersDeleteQuery = z.strictObject({ name: consumerName.describe("Name of the consumer") });
export const deletedSchema = z.strictObject({ deleted: count });

export const dlqEventSchema = z.strictObject({
  ...eventSchema.shape,
  reason: z.enum(DROP_REASONS).or(z.literal("unknown")),
  error: z.string().optional(),
  origin: z.strictObject({
    lane: z.string().optional(),
    shard: z.int().optional(),
    offset: offset.optional(),
  }),
  group: z.string().optional().describe("Consumer group that gave it up"),
  attempts: count,
  died_us: count.optional(),
});
export const dlqSchema = z.strictObject({ events: z.array(dlqEventSchema), cursor: z.string().optional() });
export const dlqQuery = z.strictObject({
  topic: patternsSchema.default(">").describe("Topic pattern"),
  reason: z.enum(DROP_REASONS).optional(),
  lane: z.string().optional().describe("Lane the event was meant for"),
  offset: whole(0).optional().describe("Only the letter at this offset of the dead-letter log"),
  from_time: timeSchema.optional().describe("Died at or after: microseconds since 1970, or ISO 8601"),
  to_time: timeSchema.optional().describe("Died before"),
  limit: whole(1, EVENTS_LIMIT_MAX).default(100),
  cursor: cursorSchema.optional(),
});
const dryRun = z.enum(["true", "false"]).default("false").transform((text) => text === "true")
  .describe("Only say how many there are");
export const dlqPurgeQuery = dlqQuery.omit({ cursor: true, limit: true }).extend({ dry_run: dryRun });
export const dlqRequeueQuery = dlqQuery.extend({
  limit: whole(1, EVENTS_LIMIT_MAX).default(EVENTS_LIMIT_MAX),
  dry_run: dryRun,
});
export const requeuedSchema = z.strictObject({
  requeued: count.describe("Durable in their lanes now; or with dry_run, what would be published"),
  duplicates: count.describe("Stored in their lanes already: their message ids are known"),
  failed: count.describe("They stay in the dead-letter log"),
  has_more: z.boolean().describe("Call again: a call has a limit"),
  cursor: z.string().optional().describe("Call again with it to go on behind those that failed"),
  dry_run: z.boolean(),
});
export const purgedSchema = z.strictObject({ deleted: count, dry_run: z.boolean() });

export const pipelineSchema = statsSchema.shape.pipeline;
export const reloadSchema = z.strictObject({
  applied: z.array(z.string()),
  needs_restart: z.array(z.string()),
});
