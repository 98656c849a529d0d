/**
 * What a feed tells, as events: normalised messages, books, integrity, and the figures of each instrument.
 *
 *     market.<venue>.<symbol>.<kind>      key <venue>.<symbol>: one instrument's events keep their order
 *     market.<venue>.raw                  texts as they came
 *     market.<venue>.state                lines: opened, lost, which one leads
 *
 * Every event that can come twice (from a second line, or after a restart) has an id made of the venue's own numbers,
 * so the lane stores it once. One leading line gives books and quotes; trades are taken from whichever line has them
 * first, where the venue numbers them.
 */
import { depthWithin, summarise } from "../../book/analytics.ts";
import { gradeBook } from "../../book/grade.ts";
import { pow10 } from "../../book/decimal.ts";
import type { OutgoingEvent } from "../../event/encode.ts";
import { ID_BYTES_MAX } from "../../event/frame.ts";
import { encodeBookDelta, encodeBookSnapshot, encodeMessage } from "../../market/binary.ts";
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import { bookDeltaJson, bookSnapshotJson, messageJson } from "../../market/payload.ts";
import { Pipeline } from "../../market/pipeline.ts";
import { Throttle } from "../../market/throttle.ts";
import type { BookFeed, BookState, BookUpdate, IntegrityReport } from "./book-feed.ts";
import { RecentIds } from "./recent-ids.ts";
import type { FeedSpec } from "./spec.ts";

export type EventSink = (event: OutgoingEvent) => void;

const DEPTH_BPS = 10;
const SUMMARY_LEVELS = 10;

interface Tracked {
  readonly pipeline: Pipeline;
  readonly trades: RecentIds;
  readonly quotes: Throttle<OutgoingEvent> | undefined;
  /** Of the leading line. */
  book: BookFeed | undefined;
  summaryUs: number;
}

export class FeedEvents {
  readonly #sink: EventSink;
  readonly #spec: FeedSpec;
  readonly #venue: string;
  readonly #hasBackup: boolean;
  readonly #instruments = new Map<string, Tracked>();

  constructor(sink: EventSink, spec: FeedSpec, venue: string) {
    this.#sink = sink;
    this.#spec = spec;
    this.#venue = venue;
    this.#hasBackup = spec.backupUrl !== null;
  }

  /** A live trade, a quote or a provider's bar. @param leads Whether its line leads now. */
  message(message: MarketMessage, leads: boolean): void {
    const tracked = this.#trackedOf(message.instrument);
    const id = this.#idOf(message);
    if (message.kind === "trade" && this.#hasBackup && id !== undefined) {
      if (!tracked.trades.add(id)) return;
    } else if (!leads) {
      return;
    }
    tracked.pipeline.take(message);
    const event = this.#event(
      message.instrument,
      message.kind,
      id,
      message.eventTimeUs,
      this.#spec.payload === "json" ? messageJson(message) : encodeMessage(message),
    );
    if (message.kind === "quote" && tracked.quotes !== undefined) {
      tracked.quotes.offer(event, message.receivedUs);
    } else this.#sink(event);
  }

  /** A book of the leading line took an update, or a snapshot (then `update` is absent). */
  book(feed: BookFeed, update: BookUpdate | undefined): void {
    const { instrument, book, lastId } = feed;
    const tracked = this.#trackedOf(instrument);
    tracked.book = feed;
    tracked.pipeline.received(book);
    const isJson = this.#spec.payload === "json";
    if (update === undefined) {
      const payload = isJson
        ? bookSnapshotJson(book, lastId, instrument)
        : encodeBookSnapshot(book, lastId, instrument);
      this.#sink(this.#event(instrument, "book_snapshot", undefined, book.eventTimeUs, payload));
    } else {
      // No id: after a resync the same update may rightly follow an older snapshot once more.
      const payload = isJson ? bookDeltaJson(update, instrument) : encodeBookDelta(update, instrument);
      this.#sink(this.#event(instrument, "book_delta", undefined, update.eventTimeUs, payload));
    }
    this.#summarise(tracked, book.receivedUs);
  }

  integrity(report: IntegrityReport): void {
    const { fault, instrument, atUs, expected, received, missing, severity } = report;
    const tracked = this.#trackedOf(instrument);
    if (fault === "gap_detected") tracked.pipeline.note("missing", atUs, Math.max(1, missing));
    else if (fault !== "line_lost") tracked.pipeline.note("invalid", atUs);
    this.#report(instrument, atUs, {
      event: fault === "line_lost" || fault === "gap_detected" ? fault : "validation_error",
      fault,
      expected: known(expected),
      received: known(received),
      missing: known(missing),
      severity,
    });
  }

  bookState(instrument: Instrument, state: BookState, nowUs: number): void {
    this.#report(instrument, nowUs, { event: "book_state", state });
  }

  tradesMissing(instrument: Instrument, count: number, nowUs: number): void {
    this.#trackedOf(instrument).pipeline.note("missing", nowUs, count);
    this.#report(instrument, nowUs, { event: "trades_missing", missing: count });
  }

  /** Something about a line: opened, lost and why, refused, leading. */
  line(line: string, event: string, nowUs: number, more: object = {}): void {
    this.#sink({
      topic: `market.${this.#venue}.state`,
      priority: this.#spec.priority,
      key: this.#venue,
      timeUs: nowUs,
      payload: JSON.stringify({ kind: "state", feed: this.#spec.name, line, event, time_us: nowUs, ...more }),
    });
  }

  /** No data came from the leading line between these times. */
  dataLost(fromUs: number, toUs: number): void {
    for (const { pipeline } of this.#instruments.values()) pipeline.lineLost(fromUs / 1000, toUs / 1000);
  }

  raw(text: string, receivedUs: number): void {
    this.#sink({
      topic: `market.${this.#venue}.raw`,
      priority: this.#spec.priority,
      key: this.#venue,
      timeUs: receivedUs,
      payload: text,
    });
  }

  /** The receipt clock has come to this time. Call it some ten times a second. */
  tick(nowUs: number): void {
    for (const tracked of this.#instruments.values()) {
      tracked.pipeline.advance(nowUs);
      tracked.quotes?.release(nowUs);
    }
  }

  /** Gives out bars that are still open: the end of a recording. */
  flush(): void {
    for (const { pipeline } of this.#instruments.values()) pipeline.flush();
  }

  /** What is known of one instrument now, by esc's symbol or the venue's; `undefined` when nothing is. */
  bookOf(symbol: string): BookFeed | undefined {
    const direct = this.#instruments.get(symbol);
    if (direct !== undefined) return direct.book;
    return this.#instruments.values().find(({ book }) => book?.instrument.venueSymbol === symbol)?.book;
  }

  get symbols(): Iterable<string> {
    return this.#instruments.keys();
  }

  #summarise(tracked: Tracked, nowUs: number): void {
    const everyUs = this.#spec.pipeline.bookSummaryMs * 1000;
    const { book: feed } = tracked;
    if (everyUs === 0 || feed === undefined || nowUs - tracked.summaryUs < everyUs) return;
    tracked.summaryUs = nowUs;
    const payload = bookStateJson(feed, nowUs, SUMMARY_LEVELS);
    this.#sink(this.#event(feed.instrument, "book", undefined, feed.book.eventTimeUs, payload));
  }

  #trackedOf(instrument: Instrument): Tracked {
    const known = this.#instruments.get(instrument.symbol);
    if (known !== undefined) return known;
    const { quotesPerSecond, throttle, pipeline } = this.#spec;
    const tracked: Tracked = {
      pipeline: new Pipeline(
        instrument,
        pipeline,
        (kind, id, timeUs, json) => this.#sink(this.#event(instrument, kind, `${kind}.${id}`, timeUs, json)),
        () => depthOf(tracked.book),
      ),
      trades: new RecentIds(),
      quotes: quotesPerSecond === null
        ? undefined
        : new Throttle(this.#sink, { strategy: throttle, updatesPerWindow: quotesPerSecond }),
      book: undefined,
      summaryUs: -Infinity,
    };
    this.#instruments.set(instrument.symbol, tracked);
    return tracked;
  }

  #report(instrument: Instrument, timeUs: number, what: object): void {
    const { venue, symbol } = instrument;
    const payload = JSON.stringify({ kind: "integrity", venue, symbol, time_us: timeUs, ...what });
    this.#sink(this.#event(instrument, "integrity", undefined, timeUs, payload));
  }

  /** The venue's own number of a message, where it has one. */
  #idOf(message: MarketMessage): string | undefined {
    if (message.kind === "trade") {
      if (!Number.isNaN(message.id)) return `t${message.id}`;
      return message.idText === "" ? undefined : `t${message.idText}`;
    }
    if (message.kind === "quote") return Number.isNaN(message.lastId) ? undefined : `q${message.lastId}`;
    return undefined;
  }

  #event(
    { venue, symbol }: Instrument,
    kind: string,
    id: string | undefined,
    timeUs: number,
    payload: string | Uint8Array,
  ): OutgoingEvent {
    const key = `${venue}.${symbol}`;
    return {
      topic: `market.${key}.${kind}`,
      priority: this.#spec.priority,
      key,
      id: id === undefined ? undefined : fitId(`${key}.${id}`),
      timeUs: Math.floor(timeUs),
      payload,
    };
  }
}

/** A book as queries and summaries show it. */
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
    gaps: feed.gapCount,
    checksums_ok: feed.checksumOkCount,
    score,
    grade,
    ...snakeCase(summarise(book, levels)),
  });
}

function snakeCase(summary: object): object {
  return Object.fromEntries(
    Object.entries(summary).map(([key, value]) => [
      key.replaceAll(/([a-z])([A-Z0-9])/g, "$1_$2").toLowerCase(),
      typeof value === "number" ? known(value) : value,
    ]),
  );
}

function depthOf(feed: BookFeed | undefined): number {
  if (feed?.state !== "live") return NaN;
  const { bid, ask } = depthWithin(feed.book, DEPTH_BPS);
  return (bid + ask) / pow10(feed.book.qtyScale);
}

/** Message ids have at most 64 bytes; a longer one is told by its hash. */
function fitId(id: string): string {
  if (Buffer.byteLength(id) <= ID_BYTES_MAX) return id;
  return `${id.slice(0, 20)}#${new Bun.CryptoHasher("sha1").update(id).digest("hex")}`;
}

function known(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
