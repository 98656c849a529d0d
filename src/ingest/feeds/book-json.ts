/** A followed book as queries and summaries show it. */
import { depthWithin, summarise } from "../../book/analytics.ts";
import { pow10 } from "../../book/decimal.ts";
import { gradeBook } from "../../book/grade.ts";
import type { BookFeed } from "./book-feed.ts";

const DEPTH_BPS = 10;

/** State, best `levels` levels a side and figures, as JSON. */
export function bookStateJson(feed: BookFeed, nowUs: number, levels: number): string {
  const { instrument, book, state, lastId } = feed;
  const { score, grade } = gradeBook(book, { gapCount: feed.gapCount, nowUs });
  return JSON.stringify({
    kind: "book",
    venue: instrument.venue,
    symbol: instrument.symbol,
    state,
    time_us: book.eventTimeUs,
    received_us: book.receivedUs,
    last_id: known(lastId),
    updates: feed.appliedCount,
    ignored: feed.ignoredCount,
    gaps: feed.gapCount,
    checksums_ok: feed.checksumOkCount,
    score,
    grade,
    ...snakeCase(summarise(book, levels)),
  });
}

/** Quantity within ten basis points of the middle, in quantity units; NaN unless the book is live. */
export function depthOf(feed: BookFeed | undefined): number {
  if (feed?.state !== "live") return NaN;
  const { bid, ask } = depthWithin(feed.book, DEPTH_BPS);
  return (bid + ask) / pow10(feed.book.qtyScale);
}

function snakeCase(summary: object): object {
  return Object.fromEntries(
    Object.entries(summary).map(([key, value]) => [
      key.replaceAll(/([a-z])([A-Z0-9])/g, "$1_$2").toLowerCase(),
      typeof value === "number" ? known(value) : value,
    ]),
  );
}

/** A number as JSON shows it: left out while it is not known. */
export function known(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
