/** Market data now: books, quality of the data, lines. Bars and other figures are events and are read as such. */
import { z } from "zod";
import type { ApiContext } from "./context.ts";
import { problem, problemOf } from "./problem.ts";
import { type ApiRequest, checkQuery, type Route } from "./route.ts";
import { problemSchema, whole } from "./schemas.ts";

const bookQuery = z.strictObject({
  levels: whole(1, 5000).default(10).describe("Levels of each side"),
});

const anything = z.record(z.string(), z.unknown());
const noBook = { description: "No feed has such a book", schema: problemSchema };
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
      path: "/api/v1/market/books/{venue}/{symbol}",
      summary: "An order book now",
      description:
        "State, best levels and figures. A book that is `syncing` is empty; one that is `stale` is old.",
      tag: "market",
      params: z.object({
        venue: z.string().describe("Name of the venue as in topics"),
        symbol: z.string().describe("esc's symbol (BTC-USDT) or the venue's own"),
      }),
      query: bookQuery,
      responses: { 200: { description: "The book", schema: anything }, 404: noBook, 503: busy },
      handle: async (call) => await readBook(context, call),
    },
  ];
}

async function readBook(context: ApiContext, { url, params }: ApiRequest): Promise<Response> {
  const query = checkQuery(bookQuery, url);
  if (query.response) return query.response;
  const { venue = "", symbol = "" } = params;
  const missing = `There is no book of "${symbol}" at "${venue}"`;
  const { market } = context.engine;
  if (market === undefined) return problemOf("NOT_FOUND", `${missing}: no feeds are configured`);
  return answer(await market.ask({ what: "book", venue, symbol, levels: query.value.levels }), missing);
}

function answer(json: string | undefined, missing: string): Response {
  if (json === "busy") return problem(503, "The feed thread does not answer");
  return json === undefined ? problemOf("NOT_FOUND", missing) : jsonText(json);
}

function jsonText(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}
