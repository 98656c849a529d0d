/**
 * What a feed tells, as events: normalised messages, books, integrity, and the figures of each instrument.
 *
 *     market.<venue>.<symbol>.<kind>      key <venue>.<symbol>: one instrument's events keep their order
 *     market.<venue>.raw                  texts as they came
 *     market.<venue>.state                lines: opened, lost, which one leads
 *
 * One leading line gives books and quotes; trades are taken from whichever line has them first, where the venue
 * numbers them.
 */
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import type { BookFeed, BookState, BookUpdate, IntegrityReport } from "./book-feed.ts";
import {
  type EventSink,
  InstrumentEvents,
  type InstrumentState,
  type QualityAlertSink,
} from "./instrument-events.ts";
import type { FeedSpec } from "./spec.ts";

export class FeedEvents {
  /** What comes now is in the restored state already: books follow it, instruments are met, nothing is told. */
  isMuted = false;
  readonly #sink: EventSink;
  readonly #spec: FeedSpec;
  readonly #venue: string;
  readonly #onAlert: QualityAlertSink;
  readonly #instruments = new Map<string, InstrumentEvents>();

  constructor(sink: EventSink, spec: FeedSpec, venue: string, onAlert: QualityAlertSink = () => {}) {
    this.#sink = sink;
    this.#spec = spec;
    this.#venue = venue;
    this.#onAlert = onAlert;
  }

  /** A live trade, a quote or a provider's bar. @param leads Whether its line leads now. */
  message(message: MarketMessage, leads: boolean): void {
    const events = this.#of(message.instrument);
    if (!this.isMuted) events.message(message, leads);
  }

  /** A book of the leading line took an update, or a snapshot (then `update` is absent). */
  book(feed: BookFeed, update: BookUpdate | undefined): void {
    const events = this.#of(feed.instrument);
    if (this.isMuted) events.book = feed;
    else events.bookChanged(feed, update);
  }

  integrity(report: IntegrityReport): void {
    const events = this.#of(report.instrument);
    if (!this.isMuted) events.integrity(report);
  }

  bookState(instrument: Instrument, state: BookState, nowUs: number): void {
    const events = this.#of(instrument);
    if (!this.isMuted) events.bookState(state, nowUs);
  }

  snapshotWanted(instrument: Instrument, nowUs: number): void {
    const events = this.#of(instrument);
    if (!this.isMuted) events.snapshotWanted(nowUs);
  }

  tradesMissing(instrument: Instrument, count: number, nowUs: number): void {
    const events = this.#of(instrument);
    if (!this.isMuted) events.tradesMissing(count, nowUs);
  }

  /** Something about a line: opened, lost and why, refused, leading. */
  line(line: string, event: string, nowUs: number, more: object = {}): void {
    if (this.isMuted) return;
    this.#sink({
      topic: `market.${this.#venue}.state`,
      priority: this.#spec.priority,
      key: this.#venue,
      timeUs: nowUs,
      payload: JSON.stringify({ kind: "state", feed: this.#spec.name, line, event, time_us: nowUs, ...more }),
    });
  }

  /** The leading line was lost: what it would have brought until the next message is missing. */
  dataLost(): void {
    if (this.isMuted) return;
    for (const { pipeline } of this.#instruments.values()) pipeline.dataLost();
  }

  raw(text: string, receivedUs: number): void {
    if (this.isMuted) return;
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
    if (this.isMuted) return;
    for (const events of this.#instruments.values()) events.tick(nowUs);
  }

  /** Gives out bars that are still open: the end of a recording. */
  flush(): void {
    for (const { pipeline } of this.#instruments.values()) pipeline.flush();
  }

  /** What is known of one instrument now, by esc's symbol or the venue's; `undefined` when nothing is. */
  of(symbol: string): InstrumentEvents | undefined {
    return this.#instruments.get(symbol) ??
      this.#instruments.values().find(({ instrument }) => instrument.venueSymbol === symbol);
  }

  get instruments(): Iterable<InstrumentEvents> {
    return this.#instruments.values();
  }

  get symbols(): Iterable<string> {
    return this.#instruments.keys();
  }

  /** The state of every instrument's figures, for a checkpoint. */
  save(): InstrumentState[] {
    return Array.from(this.#instruments.values(), (events) => events.save());
  }

  /** Takes over one instrument's state, before its first message. @param instrument The decoder's own. */
  restore(instrument: Instrument, state: InstrumentState): void {
    this.#of(instrument).restore(state);
  }

  /** A trade or quote of the log that came after the restored state. */
  catchUp(message: MarketMessage, json: string, savedUs: number): void {
    this.#of(message.instrument).catchUp(message, json, savedUs);
  }

  #of(instrument: Instrument): InstrumentEvents {
    const known = this.#instruments.get(instrument.symbol);
    if (known !== undefined) return known;
    const events = new InstrumentEvents(instrument, this.#spec, this.#sink, this.#onAlert);
    this.#instruments.set(instrument.symbol, events);
    return events;
  }
}
