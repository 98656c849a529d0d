/** The life of one event of the log, as far as the server knows it, for `/api/v1/why`. Main thread. */
import { z } from "zod";
import { shardKey } from "../deliver/request.ts";
import { decodeFrame } from "../event/decode.ts";
import { LISTENERS } from "../event/frame.ts";
import { ACKS_NAMES, RUN_CONNECTION, RUN_ORIGIN, RUN_SEQ_LO } from "../event/run.ts";
import type { EventCursor } from "../log/batch.ts";
import { readU64 } from "../log/format.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import type { WindowSpec } from "../process/windows/spec.ts";
import type { EngineView } from "./engine-view.ts";
import { headersSchema } from "./schemas.ts";

const count = z.int().min(0);
const time = count.describe("Microseconds since the Unix epoch");

export const biographySchema = z.strictObject({
  lane: z.string(),
  shard: count,
  offset: count,
  topic: z.string(),
  id: z.string().optional(),
  key: z.string().optional(),
  time_us: z.int().optional(),
  headers: headersSchema.optional(),
  payload_bytes: count,
  received: z.strictObject({
    at_us: time,
    listener: z.string(),
    source: count.describe("Number of the thread that read it; 255: the engine itself"),
    connection: z.strictObject({ slot: count, generation: count }),
    run_seq: count.describe("Number, on its connection, of the first event of the run it came in"),
    acks: z.enum(ACKS_NAMES).describe("What the producer waits for"),
  }),
  route: z.strictObject({
    priority: count.describe("What the dispatcher made of the event's own"),
    lane_now: z.string().describe("Where the rules of now would put it"),
    priority_rule: z.string().optional().describe("Line of the topic table that raises to this priority"),
    lane_rule: z.string().optional().describe("Line of the topic table that names the lane"),
  }),
  dedup: z.strictObject({
    state: z.enum(["no_id", "remembered", "forgotten"]).describe(
      "What happens to a repeat: nothing, or it is stored",
    ),
    until_us: time.optional(),
    newer: count.optional().describe(
      "Events behind it in its shard: dedup.max_ids of them with ids end it earlier",
    ),
  }),
  log: z.strictObject({
    durable: z.boolean(),
    visible: z.boolean(),
    kept_until_us: time.optional().describe("Retention by age; absent: none"),
  }),
  processing: z.strictObject({
    state: z.enum(["none", "processed", "waiting"]),
    position: count.optional(),
    rules: z.array(z.strictObject({ name: z.string(), has_condition: z.boolean() })),
    windows: z.array(z.strictObject({
      name: z.string(),
      spans: z.array(z.strictObject({ start_us: z.int(), end_us: z.int() })).optional(),
    })),
    handlers: z.array(z.string()),
  }),
  store: z.strictObject({
    state: z.enum(["none", "not_chosen", "stored", "waiting"]),
    position: count.optional(),
  }),
  consumers: z.array(z.strictObject({ name: z.string(), position: count, is_behind: z.boolean() }))
    .describe("Durable consumers of this shard; not behind: they have confirmed it"),
});
export type Biography = z.infer<typeof biographySchema>;

/** More consumers than that are not listed. */
const CONSUMERS_MAX = 1000;
/** A hop much shorter than its window gives too many spans to show. */
const SPANS_MAX = 100;

/** Tells the life of the event on which the cursor stands. */
export function biographyOf(engine: EngineView, info: ShardInfo, cursor: EventCursor): Biography {
  const { bytes, frameAt, words, runAt, offset, receivedUs } = cursor;
  const event = decodeFrame(bytes, frameAt);
  const word = runAt >> 2;
  const origin = words[word + RUN_ORIGIN] as number;
  const connection = (words[word + RUN_CONNECTION] as number) >>> 0;
  const { course } = engine;
  const state = new ShardState(info.state);
  const route = course.routeOf(event.topic, event.priority);
  const maxAgeMs = course.maxAgeMs(info.lane);
  return {
    lane: info.lane,
    shard: info.shard,
    offset,
    topic: event.topic,
    ...(event.id === undefined ? {} : { id: event.id }),
    ...(event.key === undefined ? {} : { key: event.key }),
    ...(event.timeUs === undefined ? {} : { time_us: event.timeUs }),
    ...(event.headers.length === 0 ? {} : { headers: Object.fromEntries(event.headers) }),
    payload_bytes: event.payload.length,
    received: {
      at_us: receivedUs,
      listener: LISTENERS[(origin >> 8) & 0xff] ?? "unknown",
      source: origin & 0xff,
      connection: { slot: connection & 0xffff, generation: connection >>> 16 },
      run_seq: readU64(words, word + RUN_SEQ_LO),
      acks: ACKS_NAMES[(origin >> 16) & 0xff] ?? "none",
    },
    route: {
      priority: event.priority,
      lane_now: route.lane,
      ...(route.priorityRule === undefined ? {} : { priority_rule: route.priorityRule }),
      ...(route.laneRule === undefined ? {} : { lane_rule: route.laneRule }),
    },
    dedup: dedupOf(engine, {
      hasId: event.id !== undefined,
      receivedUs,
      newer: state.nextOffset - offset - 1,
    }),
    log: {
      durable: offset < state.durableOffset,
      visible: offset < state.visibleOffset,
      ...(maxAgeMs === undefined ? {} : { kept_until_us: receivedUs + maxAgeMs * 1000 }),
    },
    processing: processingOf(engine, info, {
      topic: event.topic,
      offset,
      timeUs: event.timeUs ?? receivedUs,
    }),
    store: storeOf(engine, info, event.topic, offset),
    consumers: engine.consumers.list().flatMap(({ name, offsets }) => {
      const position = offsets[shardKey(info.lane, info.shard)];
      return position === undefined ? [] : [{ name, position, is_behind: position <= offset }];
    }).slice(0, CONSUMERS_MAX),
  };
}

function dedupOf(
  { course: { dedup } }: EngineView,
  { hasId, receivedUs, newer }: {
    readonly hasId: boolean;
    readonly receivedUs: number;
    readonly newer: number;
  },
): Biography["dedup"] {
  if (!hasId) return { state: "no_id" };
  const until_us = receivedUs + dedup.windowMs * 1000;
  // Events without an id take no place: with fewer events behind it than ids are kept it is remembered for sure.
  const isForgotten = until_us < Date.now() * 1000;
  return {
    state: isForgotten ? "forgotten" : "remembered",
    until_us,
    ...(newer < dedup.maxIds ? {} : { newer }),
  };
}

function processingOf(
  { course }: EngineView,
  { index }: ShardInfo,
  { topic, offset, timeUs }: { readonly topic: string; readonly offset: number; readonly timeUs: number },
): Biography["processing"] {
  const { rules, windows, handlers } = course.stagesOf(topic);
  const position = course.processedOffset(index);
  return {
    state: position === undefined ? "none" : offset < position ? "processed" : "waiting",
    ...(position === undefined ? {} : { position }),
    rules: rules.map(({ name, hasCondition }) => ({ name, has_condition: hasCondition })),
    windows: windows.map((window) => {
      const spans = spansOf(window, timeUs);
      return { name: window.name, ...(spans === undefined ? {} : { spans }) };
    }),
    handlers: [...handlers],
  };
}

/** Windows by time in which an event lies; `undefined` where other events or an expression decide. */
function spansOf({ shape, time }: WindowSpec, timeUs: number) {
  if (time !== undefined || shape.kind === "session" || shape.kind === "count") return undefined;
  const sizeUs = shape.sizeMs * 1000;
  const everyUs = shape.kind === "hopping" ? shape.everyMs * 1000 : sizeUs;
  const spans: { start_us: number; end_us: number }[] = [];
  let start = Math.floor(timeUs / everyUs) * everyUs;
  for (; start > timeUs - sizeUs && spans.length < SPANS_MAX; start -= everyUs) {
    spans.push({ start_us: start, end_us: start + sizeUs });
  }
  return spans.reverse();
}

function storeOf(
  { course }: EngineView,
  { index }: ShardInfo,
  topic: string,
  offset: number,
): Biography["store"] {
  const position = course.storedOffset(index);
  if (position === undefined) return { state: "none" };
  if (!course.isStored(topic)) return { state: "not_chosen" };
  return { state: offset < position ? "stored" : "waiting", position };
}
