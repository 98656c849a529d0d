/** The shapes of everything the HTTP interface takes and gives, as SPEC and docs/http-api.md name them. */
import { z } from "zod";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import { DROP_REASONS, REJECT_REASONS } from "../event/frame.ts";
import { ACKS_NAMES } from "../event/run.ts";
import { PIPELINE_STATES } from "../metrics/expose.ts";

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

/** A time: microseconds since the Unix epoch, or ISO 8601. */
export const timeSchema = z.string().transform((text, context) => {
  const us = /^\d{1,16}$/.test(text) ? Number(text) : Date.parse(text) * 1000;
  if (Number.isSafeInteger(us) && us >= 0) return us;
  context.addIssue({ code: "custom", message: "Not microseconds since 1970 nor an ISO 8601 time" });
  return z.NEVER;
});

export const EVENTS_LIMIT_MAX = 10_000;
const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  z.string().regex(/^\d{1,16}$/, "Not a whole number").transform(Number).pipe(
    z.int().min(minimum).max(maximum),
  );

export const eventsQuery = z.strictObject({
  topic: z.string().default(">").describe("Topic pattern; several with commas"),
  lane: z.string().optional().describe("Only this lane; the dead-letter lane is read only when named"),
  shard: whole(0, 65535).optional().describe("Only this shard of the lane"),
  from_offset: whole(0).optional(),
  from_time: timeSchema.optional().describe("Received at or after: microseconds since 1970, or ISO 8601"),
  to_time: timeSchema.optional().describe("Received before"),
  limit: whole(1, EVENTS_LIMIT_MAX).default(100),
  cursor: z.string().max(64 * 1024).optional().describe("From the answer before, with the same filters"),
});

export const subscribeQuery = z.strictObject({
  topics: z.string().optional().describe("Topic patterns, with commas; a WebSocket may also send its own"),
  from: z.string().optional().describe("latest, earliest, or a time"),
  lanes: z.string().optional().describe("Only these lanes, with commas"),
  last_event_id: z.string().max(64 * 1024).optional().describe(
    "The header Last-Event-ID, for who cannot set it",
  ),
});

export const acksQuery = z.strictObject({
  acks: z.enum(ACKS_NAMES).default("durable").describe("What the answer waits for"),
});

export const publishHeaders = z.object({
  "Esc-Priority": z.string().optional().describe("0..4, or BATCH, LOW, MEDIUM, HIGH, CRITICAL"),
  "Esc-Message-Id": z.string().optional(),
  "Esc-Key": z.string().optional(),
  "Esc-Event-Time": z.string().optional().describe("Microseconds since 1970, or ISO 8601"),
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
  results: z.array(publishResult).describe("One an event, in their order"),
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
    health: z.enum(["HEALTHY", "ELEVATED", "DEGRADED", "CRITICAL", "EMERGENCY"]),
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
  match: z.string().default(">").describe("Topic pattern"),
  limit: whole(1, 100_000).default(1000),
});

const consumerSchema = z.strictObject({
  name: z.string(),
  updated_us: count,
  offsets: z.record(z.string(), offset).describe('By "lane/shard": offset of the next event'),
  lag: count.describe("Events not confirmed yet"),
});
export const consumersSchema = z.strictObject({ consumers: z.array(consumerSchema) });
export const consumersDeleteQuery = z.strictObject({ name: z.string().describe("Name of the consumer") });
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
  attempts: count,
  died_us: count.optional(),
});
export const dlqSchema = z.strictObject({ events: z.array(dlqEventSchema), cursor: z.string().optional() });
export const dlqQuery = z.strictObject({
  topic: z.string().default(">").describe("Topic pattern"),
  reason: z.enum(DROP_REASONS).optional(),
  lane: z.string().optional().describe("Lane the event was meant for"),
  offset: whole(0).optional().describe("Only the letter at this offset of the dead-letter log"),
  from_time: timeSchema.optional().describe("Died at or after: microseconds since 1970, or ISO 8601"),
  to_time: timeSchema.optional().describe("Died before"),
  limit: whole(1, EVENTS_LIMIT_MAX).default(100),
  cursor: z.string().max(1024).optional(),
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
