/**
 * One instrument of a feed: what its messages and books become as events.
 *
 *     trade, quote ─▶ seen before? ─▶ pipeline of figures ─▶ events
 *                                └──▶ gate (so many a second) ─▶ event, buffer
 *     book ─▶ snapshot or update as an event, and a summary now and then
 *
 * Every event that can come twice (from a second line, or after a restart) has an id made of the venue's own numbers,
 * so the lane stores it once.
 */
import type { OutgoingEvent } from "../../event/encode.ts";
import { ID_BYTES_MAX } from "../../event/frame.ts";
import { encodeBookDelta, encodeBookSnapshot, encodeMessage } from "../../market/binary.ts";
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import { bookDeltaJson, bookSnapshotJson, messageJson } from "../../market/payload.ts";
import { Pipeline } from "../../market/pipeline.ts";
import type { AlertChange, QualityReport } from "../../market/quality.ts";
import { TickBuffer, type TickKind } from "../../market/tick-buffer.ts";
import type { BookFeed, BookState, BookUpdate, IntegrityReport } from "./book-feed.ts";
import { bookStateJson, depthOf, known } from "./book-json.ts";
import { RecentIds } from "./recent-ids.ts";
import type { FeedSpec } from "./spec.ts";
import { TickGate } from "./tick-gate.ts";

export type EventSink = (event: OutgoingEvent) => void;
export type QualityAlertSink = (
  instrument: Instrument,
  change: NonNullable<AlertChange>,
  report: QualityReport,
  nowUs: number,
) => void;

export type InstrumentState = ReturnType<InstrumentEvents["save"]>;

const SUMMARY_LEVELS = 10;

export class InstrumentEvents {
  readonly instrument: Instrument;
  readonly pipeline: Pipeline;
  readonly buffer: TickBuffer | undefined;
  /** Of the leading line. */
  book: BookFeed | undefined;
  readonly #sink: EventSink;
  readonly #spec: FeedSpec;
  /** Ids of trades seen, where two lines or a restart may bring one twice. */
  readonly #trades = new RecentIds();
  readonly #quoteGate: TickGate | undefined;
  readonly #tradeGate: TickGate | undefined;
  /** Number of the newest trade, NaN where trades have none of their own. */
  lastTradeId = NaN;
  #summaryUs = -Infinity;
  #overflowTold = 0;

  constructor(instrument: Instrument, spec: FeedSpec, sink: EventSink, onAlert: QualityAlertSink) {
    this.instrument = instrument;
    this.#spec = spec;
    this.#sink = sink;
    this.buffer = spec.buffer === null ? undefined : new TickBuffer(spec.buffer);
    this.#quoteGate = this.#gate(spec.quotesPerSecond);
    this.#tradeGate = this.#gate(spec.tradesPerSecond);
    this.pipeline = new Pipeline(instrument, spec.pipeline, {
      sink: (kind, id, timeUs, json) => sink(this.#event(kind, `${kind}.${id}`, timeUs, json)),
      depth: () => depthOf(this.book),
      onAlert: (change, report, nowUs) => onAlert(instrument, change, report, nowUs),
    });
  }

  /** A live trade, a quote or a provider's bar. @param leads Whether its line leads now. */
  message(message: MarketMessage, leads: boolean): void {
    const id = idOf(message);
    if (message.kind === "trade" && id !== undefined) {
      if (!this.#trades.add(id)) return;
    } else if (!leads) {
      return;
    }
    this.#take(message);
    const gate = message.kind === "trade"
      ? this.#tradeGate
      : message.kind === "quote"
      ? this.#quoteGate
      : undefined;
    if (gate === undefined) this.#sink(this.#tickEvent(message));
    else gate.offer(message);
  }

  /**
   * A trade or quote that is in the log already. Those received after the restored state was saved are counted;
   * all fill the buffer.
   */
  catchUp(message: MarketMessage, json: string, savedUs: number): void {
    if (message.receivedUs > savedUs) {
      const id = message.kind === "trade" ? idOf(message) : undefined;
      if (id === undefined || this.#trades.add(id)) this.#take(message);
    }
    if (message.kind === "trade" || message.kind === "quote") {
      this.buffer?.add(message.kind, message.receivedUs, json);
    }
  }

  /** The leading line's book took an update, or a snapshot (then `update` is absent). */
  bookChanged(feed: BookFeed, update: BookUpdate | undefined): void {
    const { instrument, book, lastId } = feed;
    this.book = feed;
    this.pipeline.received(book);
    const isJson = this.#spec.payload === "json";
    if (update === undefined) {
      const payload = isJson
        ? bookSnapshotJson(book, lastId, instrument)
        : encodeBookSnapshot(book, lastId, instrument);
      this.#sink(this.#event("book_snapshot", undefined, book.eventTimeUs, payload));
    } else {
      // No id: after a resync the same update may rightly follow an older snapshot once more.
      const payload = isJson ? bookDeltaJson(update, instrument) : encodeBookDelta(update, instrument);
      this.#sink(this.#event("book_delta", undefined, update.eventTimeUs, payload));
    }
    this.#summarise(feed, book.receivedUs);
  }

  integrity(report: IntegrityReport): void {
    const { fault, atUs, expected, received, missing, severity } = report;
    if (fault === "gap_detected") this.pipeline.note("missing", atUs, Math.max(1, missing));
    else if (fault !== "line_lost") this.pipeline.note("invalid", atUs);
    this.#report(atUs, {
      event: fault === "line_lost" || fault === "gap_detected" ? fault : "validation_error",
      fault,
      expected: known(expected),
      received: known(received),
      missing: known(missing),
      severity,
    });
  }

  bookState(state: BookState, nowUs: number): void {
    this.#report(nowUs, { event: "book_state", state });
  }

  /** The book syncs and needs a snapshot. */
  snapshotWanted(nowUs: number): void {
    this.#report(nowUs, { event: "reconstruction_requested" });
  }

  tradesMissing(count: number, nowUs: number): void {
    this.pipeline.note("missing", nowUs, count);
    this.pipeline.dataLost();
    this.#report(nowUs, { event: "trades_missing", missing: count });
  }

  /** The receipt clock has come to this time. */
  tick(nowUs: number): void {
    this.pipeline.advance(nowUs);
    this.#quoteGate?.release(nowUs);
    this.#tradeGate?.release(nowUs);
    this.buffer?.expire(nowUs);
    const overflow = (this.#quoteGate?.overflowCount ?? 0) + (this.#tradeGate?.overflowCount ?? 0);
    if (overflow === this.#overflowTold) return;
    this.#report(nowUs, { event: "burst_overflow", dropped: overflow - this.#overflowTold });
    this.#overflowTold = overflow;
  }

  /** What the figures depend on. Books are not in it: they begin with a snapshot of the venue. */
  save() {
    const { venueSymbol, symbol } = this.instrument;
    return {
      venueSymbol,
      symbol,
      lastTradeId: this.lastTradeId,
      trades: this.#trades.save(),
      summaryUs: this.#summaryUs,
      pipeline: this.pipeline.save(),
    };
  }

  restore(state: InstrumentState): void {
    this.#trades.restore(state.trades);
    this.#summaryUs = state.summaryUs;
    this.lastTradeId = state.lastTradeId;
    this.pipeline.restore(state.pipeline);
  }

  #take(message: MarketMessage): void {
    // Aggregated trades are numbered by the trades they cover, which the log does not tell.
    if (message.kind === "trade") this.lastTradeId = message.lastTradeId >= 0 ? NaN : message.id;
    this.pipeline.take(message);
  }

  #gate(perSecond: number | null): TickGate | undefined {
    if (perSecond === null) return undefined;
    const { throttle: strategy, throttleBurst: burst } = this.#spec;
    return new TickGate({
      perSecond,
      strategy,
      burst,
      eventOf: (message) => this.#tickEvent(message),
      mergedEventOf: (tick) => {
        const json = tick.json();
        this.buffer?.add(tick.kind, tick.receivedUs, json);
        return this.#event(tick.kind, undefined, tick.eventTimeUs, json);
      },
      sink: this.#sink,
    });
  }

  #tickEvent(message: MarketMessage): OutgoingEvent {
    const { kind, eventTimeUs, receivedUs } = message;
    const payload = this.#spec.payload === "json" ? messageJson(message) : encodeMessage(message);
    if (this.buffer !== undefined && isTick(kind)) {
      this.buffer.add(kind, receivedUs, typeof payload === "string" ? payload : messageJson(message));
    }
    return this.#event(kind, idOf(message), eventTimeUs, payload);
  }

  #summarise(feed: BookFeed, nowUs: number): void {
    const everyUs = this.#spec.pipeline.bookSummaryMs * 1000;
    if (everyUs === 0 || nowUs - this.#summaryUs < everyUs) return;
    this.#summaryUs = nowUs;
    const payload = bookStateJson(feed, nowUs, SUMMARY_LEVELS);
    this.#sink(this.#event("book", undefined, feed.book.eventTimeUs, payload));
  }

  #report(timeUs: number, what: object): void {
    const { venue, symbol } = this.instrument;
    const payload = JSON.stringify({ kind: "integrity", venue, symbol, time_us: timeUs, ...what });
    this.#sink(this.#event("integrity", undefined, timeUs, payload));
  }

  #event(kind: string, id: string | undefined, timeUs: number, payload: string | Uint8Array): OutgoingEvent {
    const key = `${this.instrument.venue}.${this.instrument.symbol}`;
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

function isTick(kind: MarketMessage["kind"]): kind is TickKind {
  return kind === "trade" || kind === "quote";
}

/** The venue's own number of a message, where it has one. */
function idOf(message: MarketMessage): string | undefined {
  if (message.kind === "trade") {
    if (!Number.isNaN(message.id)) return `t${message.id}`;
    return message.idText === "" ? undefined : `t${message.idText}`;
  }
  if (message.kind === "quote") return Number.isNaN(message.lastId) ? undefined : `q${message.lastId}`;
  return undefined;
}

/** Message ids have at most 64 bytes; a longer one is told by its hash. */
function fitId(id: string): string {
  if (Buffer.byteLength(id) <= ID_BYTES_MAX) return id;
  return `${id.slice(0, 20)}#${new Bun.CryptoHasher("sha1").update(id).digest("hex")}`;
}
