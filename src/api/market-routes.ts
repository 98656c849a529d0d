/** Market data now: lines, books, bars, profiles, flow, quality, newest ticks. Their history are events. */
import { z } from "zod";
import type { MarketQuery } from "../ingest/feeds/market-query.ts";
import type { ApiContext } from "./context.ts";
import { problem, problemOf } from "./problem.ts";
import { type ApiRequest, checkQuery, type Route } from "./route.ts";
import { problemSchema, whole } from "./schemas.ts";

/** Bars kept of each interval. */
const BARS_MAX = 300;
const TICKS_MAX = 10_000;

const bookQuery = z.strictObject({
  levels: whole(1, 5000).default(10).describe("Levels of each side"),
});
const barsQuery = z.strictObject({
  interval_ms: z.coerce.number().int().min(100).default(60_000).describe(
    "Interval, one of the feed's `bars`",
  ),
  limit: z.coerce.number().int().min(1).max(BARS_MAX).default(BARS_MAX).describe("Newest bars, at most"),
});
const ticksQuery = z.strictObject({
  from_us: z.coerce.number().int().default(0).describe("Received then or later, microseconds since 1970"),
  to_us: z.coerce.number().int().default(Number.MAX_SAFE_INTEGER).describe("Received before"),
  limit: z.coerce.number().int().min(1).max(TICKS_MAX).default(1000).describe("Newest ticks, at most"),
  kind: z.enum(["trade", "quote"]).optional().describe("Only these"),
});
const noQuery = z.strictObject({});

const anything = z.record(z.string(), z.unknown());
const list = z.array(anything);
const instrument = z.object({
  venue: z.string().describe("Name of the venue as in topics"),
  symbol: z.string().describe("esc's symbol (BTC-USDT) or the venue's own"),
});
const absent = { description: "No feed has such a thing", schema: problemSchema };
const busy = { description: "The feed thread does not answer", schema: problemSchema };

export function marketRoutes(context: ApiContext): Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/market/feeds",
      summary: "Feeds, their lines and symbols",
      tag: "market",
      responses: { 200: { description: "All feeds", schema: anything }, 503: busy },
      handle: async () => {
        const { market } = context.engine;
        if (market === undefined) return jsonText('{"feeds":[]}');
        return answer(await market.ask({ what: "feeds" }), "There are no feeds");
      },
    },
    {
      method: "GET",
      path: "/api/v1/market/system",
      summary: "Health, rates and use of resources of all feeds, every five seconds",
      tag: "market",
      responses: { 200: { description: "The newest report", schema: anything }, 404: absent, 503: busy },
      handle: async () => {
        const { market } = context.engine;
        const missing = "There is no report on feeds yet";
        if (market === undefined) return problemOf("NOT_FOUND", missing);
        return answer(await market.ask({ what: "system" }), missing);
      },
    },
    ofInstrument(context, {
      what: "books",
      summary: "An order book now",
      description:
        "State, best levels and figures. A book that is `syncing` is empty; one that is `stale` is old.",
      query: bookQuery,
      schema: anything,
      ask: ({ levels }) => ({ what: "book", levels }),
    }),
    ofInstrument(context, {
      what: "bars",
      summary: "The newest bars of one interval",
      description:
        "Oldest first, in the form of `bar` events; the one that is not over yet has `open_now: true`. Follow the " +
        "topic `market.<venue>.<symbol>.bar` for the bars to come.",
      query: barsQuery,
      schema: z.object({ bars: list }),
      ask: ({ interval_ms: intervalMs, limit: countMax }) => ({ what: "bars", intervalMs, countMax }),
    }),
    ofInstrument(context, {
      what: "profiles",
      summary: "The session's volume by price now",
      description: "In the form of `profile` events. Needs `profile_row` in the feed's configuration.",
      query: noQuery,
      schema: anything,
      ask: () => ({ what: "profile" }),
    }),
    ofInstrument(context, {
      what: "flow",
      summary: "The newest report of the flow of trades",
      query: noQuery,
      schema: anything,
      ask: () => ({ what: "flow" }),
    }),
    ofInstrument(context, {
      what: "quality",
      summary: "The newest judgement of the data",
      query: noQuery,
      schema: anything,
      ask: () => ({ what: "quality" }),
    }),
    ofInstrument(context, {
      what: "ticks",
      summary: "The newest trades and quotes in memory",
      description: "Oldest first. Needs `buffer_size` in the feed's configuration.",
      query: ticksQuery,
      schema: z.object({ ticks: list }),
      ask: ({ from_us: fromUs, to_us: toUs, limit: countMax, kind }) => ({
        what: "ticks",
        fromUs,
        toUs,
        countMax,
        kind,
      }),
    }),
  ];
}

type OfInstrument = Exclude<MarketQuery, { what: "feeds" | "system" }>;
/** A question before it is known whose. */
type Question = OfInstrument extends infer Query
  ? Query extends OfInstrument ? Omit<Query, "venue" | "symbol"> : never
  : never;

/** `GET /api/v1/market/<what>/{venue}/{symbol}` */
function ofInstrument<Fields>(
  context: ApiContext,
  route: {
    readonly what: string;
    readonly summary: string;
    readonly description?: string;
    readonly query: z.ZodObject & z.ZodType<Fields>;
    readonly schema: z.ZodType;
    readonly ask: (query: Fields) => Question;
  },
): Route {
  const { what, summary, description, query, schema, ask } = route;
  return {
    method: "GET",
    path: `/api/v1/market/${what}/{venue}/{symbol}`,
    summary,
    ...(description === undefined ? {} : { description }),
    tag: "market",
    params: instrument,
    query,
    responses: { 200: { description: summary, schema }, 404: absent, 503: busy },
    handle: async ({ url, params }: ApiRequest) => {
      const checked = checkQuery<Fields>(query, url);
      if (checked.response) return checked.response;
      const { venue = "", symbol = "" } = params;
      const missing = `There are no ${what} of "${symbol}" at "${venue}"`;
      const { market } = context.engine;
      if (market === undefined) return problemOf("NOT_FOUND", `${missing}: no feeds are configured`);
      return answer(await market.ask({ ...ask(checked.value), venue, symbol }), missing);
    },
  };
}

function answer(json: string | undefined, missing: string): Response {
  if (json === "busy") return problem(503, "The feed thread does not answer");
  return json === undefined ? problemOf("NOT_FOUND", missing) : jsonText(json);
}

function jsonText(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}
