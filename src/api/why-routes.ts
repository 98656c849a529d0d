/** `GET /api/v1/why`: what became of one event, by its message id or by its place. */
import { z } from "zod";
import { DLQ_LANE } from "../deliver/feed.ts";
import { shardKey } from "../deliver/request.ts";
import { decodeFrame } from "../event/decode.ts";
import { EventCursor } from "../log/batch.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import type { ApiContext } from "./context.ts";
import { problemOf } from "./problem.ts";
import { type ApiRequest, checkQuery, json, type Route } from "./route.ts";
import { cursorSchema, problemSchema, timeSchema } from "./schemas.ts";
import { type Biography, biographyOf, biographySchema } from "./why-biography.ts";
import { type Letter, letterOf, letterSchema, lettersOf } from "./why-letters.ts";
import { beginSearch, continueSearch, decodeSearch, encodeSearch, SEARCH_SHARDS_MAX } from "./why-search.ts";

const ID_BYTES_MAX = 64;
/** Events and letters of one answer: an id is meant to be given once. */
const FOUND_MAX = 100;
const PLACE = /^(.{1,255})\/(\d{1,5})@(\d{1,16})$/;

const query = z.strictObject({
  id: z.string().min(1).max(ID_BYTES_MAX).optional().describe("Message id"),
  place: z.string().regex(PLACE, "Not lane/shard@offset").optional().describe("lane/shard@offset"),
  lane: z.string().optional().describe("With id: only this lane, and the dead letters"),
  from_time: timeSchema.optional().describe("With id: received at or after"),
  cursor: cursorSchema.optional().describe("From the answer before, with the same query"),
});
type Query = z.infer<typeof query>;

const endings = ["stored", "not_visible", "expired", "not_yet", "damaged", "unknown"] as const;
const answerSchema = z.strictObject({
  ending: z.enum(endings).describe("Of the event, as far as this answer knows"),
  explanation: z.string(),
  events: z.array(biographySchema),
  dead_letters: z.array(letterSchema),
  kept_since_us: z.int().min(0).optional().describe(
    "When the oldest event was received that the logs still have",
  ),
  cursor: z.string().optional().describe("The search is not over: ask again with it"),
});
type Answer = z.infer<typeof answerSchema>;

export function whyRoutes(context: ApiContext): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/why",
    summary: "What became of one event",
    description:
      "By message id the logs are searched, newest events first, a bounded time a request: an answer with a cursor " +
      "is not the end. Events of topics that the caller may not read are not told of.",
    tag: "events",
    query,
    responses: {
      200: { description: "What is known of it", schema: answerSchema },
      400: { description: "Neither id nor place, or both", schema: problemSchema },
      404: { description: "There is no such lane or shard", schema: problemSchema },
    },
    handle: (call) => {
      const checked = checkQuery(query, call.url);
      if (checked.response) return checked.response;
      const { id, place, lane, from_time } = checked.value;
      if ((id === undefined) === (place === undefined)) return problemOf("USAGE", "Give either id or place");
      if (place === undefined) return byId(context, call, checked.value, id ?? "");
      if ((lane ?? from_time) !== undefined) return problemOf("USAGE", "lane and from_time go with id");
      return byPlace(context, call, checked.value, place);
    },
  }];
}

function byId(context: ApiContext, call: ApiRequest, asked: Query, id: string): Response {
  const { engine, tails } = context;
  const idBytes = new TextEncoder().encode(id);
  if (idBytes.length > ID_BYTES_MAX) return problemOf("USAGE", `id: more than ${ID_BYTES_MAX} bytes`);
  const { lane } = asked;
  if (lane !== undefined && !engine.shards.some((info) => info.lane === lane)) {
    return problemOf("NOT_FOUND", `Lane "${lane}" does not exist`);
  }
  const shards = engine.shards.filter((info) =>
    lane === undefined || info.lane === lane || info.lane === DLQ_LANE
  );
  if (shards.length > SEARCH_SHARDS_MAX) {
    return problemOf("USAGE", `lane: it is needed where there are more than ${SEARCH_SHARDS_MAX} shards`);
  }
  const search = asked.cursor === undefined ? beginSearch(tails, shards) : decodeSearch(asked.cursor, shards);
  if (search === undefined) return problemOf("USAGE", "cursor: it does not come from an earlier answer");
  const events: Biography[] = [];
  const letters: Letter[] = [];
  const isOver = continueSearch(
    tails,
    search,
    { id: idBytes, fromUs: asked.from_time ?? 0 },
    (cursor, index) => {
      const info = engine.shards[index];
      if (info === undefined || events.length + letters.length >= FOUND_MAX || !mayRead(call, cursor)) return;
      if (info.lane === DLQ_LANE) letters.push(letterOf(info, cursor));
      else events.push(biographyOf(engine, info, cursor));
    },
  );
  return json({
    ...told(context, events, letters, isOver ? shards : undefined),
    ...(isOver ? {} : { cursor: encodeSearch(search) }),
  });
}

/** @param searched What was searched to its end; absent: the search goes on. */
function told(
  { tails }: ApiContext,
  events: readonly Biography[],
  letters: readonly Letter[],
  searched: readonly ShardInfo[] | undefined,
): Omit<Answer, "cursor"> {
  const answer = { events: [...events], dead_letters: [...letters] };
  if (events.length > 0) return { ending: "stored", explanation: "It is in the log", ...answer };
  if (letters.length > 0) {
    return {
      ending: "unknown",
      explanation: letters.some(({ origin }) => origin?.includes("@"))
        ? "It has become a dead letter; the log of its lane does not have it any more"
        : "It has become a dead letter before it reached the log of its lane",
      ...answer,
    };
  }
  if (searched === undefined) {
    return { ending: "unknown", explanation: "It was not found yet: the search goes on", ...answer };
  }
  const since = oldestUs(tails, searched);
  return {
    ending: "unknown",
    explanation: "No log has it: it was never received or was refused, or retention has removed it" +
      (since === undefined ? "" : `; the oldest event that is left was received at ${isoTime(since)}`),
    ...answer,
    ...(since === undefined ? {} : { kept_since_us: since }),
  };
}

function byPlace(context: ApiContext, call: ApiRequest, asked: Query, place: string): Response {
  const { engine, tails } = context;
  const [, lane = "", shardText = "", offsetText = ""] = PLACE.exec(place) ?? [];
  const [shard, offset] = [Number(shardText), Number(offsetText)];
  const info = engine.shards.find((candidate) => candidate.lane === lane && candidate.shard === shard);
  const letterInfo = engine.shards.find((candidate) => candidate.lane === DLQ_LANE);
  if (info === undefined) return problemOf("NOT_FOUND", `Shard "${shardKey(lane, shard)}" does not exist`);
  const missing = missingAt(context, info, offset);
  if (missing !== undefined) return json({ ...missing, events: [], dead_letters: [] });
  const cursor = standAt(context, info, offset);
  if (cursor === undefined || !mayRead(call, cursor)) {
    const explanation = cursor === undefined
      ? "Its part of the log is damaged: the events in it are lost, and nobody was given anything else"
      : "It is not yours to read";
    return json({
      ending: cursor === undefined ? "damaged" : "unknown",
      explanation,
      events: [],
      dead_letters: [],
    });
  }
  const letters: Letter[] = [];
  const events = [biographyOf(engine, info, cursor)];
  const from = asked.cursor === undefined
    ? tails.offsetAtTime(letterInfo?.index ?? 0, cursor.receivedUs)
    : Number(asked.cursor);
  if (!Number.isSafeInteger(from) || from < 0) {
    return problemOf("USAGE", "cursor: it does not come from an earlier answer");
  }
  const next = letterInfo === undefined || info === letterInfo
    ? undefined
    : lettersOf(tails, letterInfo, { lane, shard, offset }, from, (letter) => {
      if (letters.length < FOUND_MAX) letters.push(letter);
    });
  return json({
    ending: "stored",
    explanation: "It is in the log",
    events,
    dead_letters: letters,
    ...(next === undefined ? {} : { cursor: String(next) }),
  });
}

/** Why there can be no event at an offset; `undefined`: there may be one. */
function missingAt({ tails }: ApiContext, info: ShardInfo, offset: number) {
  const { firstOffset, nextOffset, visibleOffset } = new ShardState(info.state);
  const key = shardKey(info.lane, info.shard);
  if (offset < firstOffset) {
    const since = oldestUs(tails, [info]);
    return {
      ending: "expired" as const,
      explanation: `Retention has removed it: the log of ${key} begins at offset ${firstOffset}`,
      ...(since === undefined ? {} : { kept_since_us: since }),
    };
  }
  if (offset >= nextOffset) {
    return {
      ending: "not_yet" as const,
      explanation: `No event has this offset yet: the next one of ${key} is ${nextOffset}`,
    };
  }
  return offset < visibleOffset ? undefined : {
    ending: "not_visible" as const,
    explanation: `It is written and not durable yet: ${key} shows events below ${visibleOffset}`,
  };
}

function standAt({ tails }: ApiContext, { index }: ShardInfo, offset: number): EventCursor | undefined {
  const batch = tails.batchAt(index, offset);
  if (batch === undefined || offset < batch.baseOffset) return undefined;
  const cursor = new EventCursor();
  cursor.open(batch, offset);
  return cursor.next() ? cursor : undefined;
}

function mayRead({ caller }: ApiRequest, { bytes, frameAt }: EventCursor): boolean {
  return caller.may("read", decodeFrame(bytes, frameAt).topic);
}

function oldestUs(tails: ApiContext["tails"], shards: readonly ShardInfo[]): number | undefined {
  const times = shards.filter(({ lane }) => lane !== DLQ_LANE).flatMap(({ index }) => {
    const batch = tails.batchAt(index, tails.firstOffset(index));
    return batch === undefined ? [] : [batch.firstReceivedUs];
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

function isoTime(us: number): string {
  return new Date(us / 1000).toISOString();
}
