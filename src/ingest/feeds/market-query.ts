/** Questions to the feed thread about what it knows now, and their answers as JSON. */
import { bookStateJson } from "./book-json.ts";
import type { FeedLines } from "./feed-lines.ts";
import type { InstrumentEvents } from "./instrument-events.ts";

interface OfInstrument {
  readonly venue: string;
  /** esc's symbol or the venue's own. */
  readonly symbol: string;
}

export type MarketQuery =
  | { readonly what: "feeds" }
  | { readonly what: "system" }
  | OfInstrument & { readonly what: "book"; readonly levels: number }
  | OfInstrument & { readonly what: "bars"; readonly intervalMs: number; readonly countMax: number }
  | OfInstrument & { readonly what: "profile" | "quality" | "flow" }
  | OfInstrument & {
    readonly what: "ticks";
    readonly fromUs: number;
    readonly toUs: number;
    readonly countMax: number;
    readonly kind?: "trade" | "quote" | undefined;
  };

/** @returns `undefined` when there is nothing of that name. */
export function answerMarketQuery(
  feeds: readonly FeedLines[],
  query: MarketQuery,
  { nowUs, systemJson }: { readonly nowUs: number; readonly systemJson: string | undefined },
): string | undefined {
  if (query.what === "feeds") return JSON.stringify({ feeds: feeds.map((feed) => feed.describe()) });
  if (query.what === "system") return systemJson;
  for (const { venue, events } of feeds) {
    const found = venue.name === query.venue ? events.of(query.symbol) : undefined;
    const answer = found && answerOf(found, query, nowUs);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function answerOf(
  { book, pipeline, buffer }: InstrumentEvents,
  query: Exclude<MarketQuery, { what: "feeds" | "system" }>,
  nowUs: number,
): string | undefined {
  switch (query.what) {
    case "book":
      return book && bookStateJson(book, nowUs, query.levels);
    case "bars":
      return pipeline.barsJson(query.intervalMs, query.countMax);
    case "profile":
      return pipeline.profileJson();
    case "quality":
    case "flow":
      return pipeline.lastJson(query.what);
    case "ticks":
      return buffer &&
        `{"ticks":[${buffer.range(query.fromUs, query.toUs, query.countMax, query.kind).join(",")}]}`;
  }
}
