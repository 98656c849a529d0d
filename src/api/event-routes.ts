/** Queries over the logs: events by topic, place and time. */
import { BadRequest, type Positions, shardKey } from "../deliver/request.ts";
import { DLQ_LANE } from "../deliver/feed.ts";
import { compilePatterns, patternProblem, type TopicMatcher } from "../event/topic.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import type { z } from "zod";
import { forbidden } from "./access.ts";
import type { ApiContext } from "./context.ts";
import { type JsonEvent, jsonEvent } from "./event-json.ts";
import { decodeCursor, encodeCursor, readEvents } from "./events-query.ts";
import { problemOf } from "./problem.ts";
import { type ApiRequest, type Checked, checkQuery, json, type Route } from "./route.ts";
import { eventsQuery, eventsSchema, problemSchema } from "./schemas.ts";

/** Patterns in one parameter. */
const PATTERNS_MAX = 64;

export function eventRoutes(context: ApiContext): Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/events",
      summary: "Read events from the logs",
      description:
        "In the order of their reception, over all shards asked for. A request reads for a bounded " +
        "time; an answer with a cursor is not the end, even if it holds few events or none.",
      tag: "events",
      query: eventsQuery,
      responses: {
        200: { description: "Events, oldest first", schema: eventsSchema },
        404: { description: "There is no such lane or shard", schema: problemSchema },
      },
      handle: (call) => readPage(context, call),
    },
  ];
}

function readPage(context: ApiContext, call: ApiRequest): Response {
  const query = checkQuery(eventsQuery, call.url);
  if (query.response) return query.response;
  const { topic, lane, shard, limit, to_time: toTimeUs } = query.value;
  const patterns = parsePatterns(topic);
  if (patterns.response) return patterns.response;
  const uncovered = call.caller.uncovered("read", topic.split(","));
  if (uncovered !== undefined) return forbidden("read", uncovered);
  const shards = selectShards(context.engine.shards, lane, shard);
  if (shards.response) return shards.response;
  const positions = startOf(context, shards.value, query.value);
  if (positions instanceof BadRequest) return problemOf("USAGE", positions.message);
  const events: JsonEvent[] = [];
  const next = readEvents(
    context.tails,
    { patterns: patterns.value, shards: shards.value, positions, toTimeUs, limit },
    (view) => events.push(jsonEvent(view)),
  );
  return json(next === undefined ? { events } : { events, cursor: encodeCursor(next) });
}

/** Patterns separated by commas. */
export function parsePatterns(text: string): Checked<TopicMatcher> {
  const patterns = text.split(",");
  if (patterns.length > PATTERNS_MAX) {
    return { response: problemOf("USAGE", `topic: more than ${PATTERNS_MAX} patterns`) };
  }
  for (const pattern of patterns) {
    const problem = patternProblem(pattern);
    if (problem !== undefined) return { response: problemOf("USAGE", `topic: ${problem}`) };
  }
  return { value: compilePatterns(patterns) };
}

function selectShards(
  shards: readonly ShardInfo[],
  lane: string | undefined,
  shard: number | undefined,
): Checked<readonly ShardInfo[]> {
  if (lane === undefined) {
    if (shard !== undefined) return { response: problemOf("USAGE", "shard: it needs lane") };
    return { value: shards.filter((info) => info.lane !== DLQ_LANE) };
  }
  const found = shards.filter((info) => info.lane === lane && (shard === undefined || info.shard === shard));
  const place = shard === undefined ? `Lane "${lane}"` : `Shard "${shardKey(lane, shard)}"`;
  return found.length > 0
    ? { value: found }
    : { response: problemOf("NOT_FOUND", `${place} does not exist`) };
}

function startOf(
  { tails }: ApiContext,
  shards: readonly ShardInfo[],
  query: z.infer<typeof eventsQuery>,
): Positions | BadRequest {
  const { cursor, from_offset: fromOffset, from_time: fromTimeUs } = query;
  if (cursor !== undefined) return decodeCursor(cursor, shards);
  const positions: Record<string, number> = {};
  for (const info of shards) {
    const byTime = fromTimeUs === undefined ? 0 : tails.offsetAtTime(info.index, fromTimeUs);
    positions[shardKey(info.lane, info.shard)] = Math.max(fromOffset ?? 0, byTime);
  }
  return positions;
}
