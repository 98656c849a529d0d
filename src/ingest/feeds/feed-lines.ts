/**
 * One configured feed: its line, or its two lines of which one leads.
 *
 *     primary ──┐
 *               ├─▶ the leading one's books and quotes, trades of both ─▶ FeedEvents
 *     backup  ──┘
 *
 * Both lines are open and both keep their books, so the lead changes without waiting: as soon as the leading line is
 * lost while the other is open, or when it is silent for `failoverMs` while the other is not. The new leader's books
 * are published whole, and its updates follow them. The owner calls `tick()`; one thread.
 */
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import type { BookFeed, BookState, BookUpdate, IntegrityReport } from "./book-feed.ts";
import type { FeedState } from "./checkpoint.ts";
import type { DecodeResult } from "./decoder.ts";
import { FeedEvents } from "./feed-events.ts";
import { Feed, type FeedListener, type FeedOptions } from "./feed.ts";
import type { EventSink, QualityAlertSink } from "./instrument-events.ts";
import type { LossReason } from "./line.ts";
import { type FeedSpec, venueOfSpec } from "./spec.ts";
import type { Venue } from "./venue.ts";

/** What of the platform a feed needs. */
export interface FeedPlatform {
  readonly nowUs: () => number;
  readonly random: () => number;
  readonly openSocket: FeedOptions["openSocket"];
  readonly fetchText: FeedOptions["fetchText"];
  /** The line is a recording: its silences are no faults, and it cannot be opened again. */
  readonly isRecorded?: boolean;
  /** Is told when the quality of an instrument falls under its limit, and when it is good again. */
  readonly onQualityAlert?: QualityAlertSink;
  /** Is told when a line is lost, before it is tried again. */
  readonly onLineLost?: (line: string, reason: LossReason, breaker: string, nowUs: number) => void;
}

type LineName = "primary" | "backup";

class FeedLine implements FeedListener {
  readonly name: LineName;
  readonly feed: Feed;
  isOpen = false;
  /** When it was opened last; NaN before. */
  openedUs = NaN;
  /** Receipt time of the newest data; NaN before any. */
  lastUs = NaN;
  readonly #owner: FeedLines;

  constructor(name: LineName, owner: FeedLines, options: FeedOptions) {
    this.name = name;
    this.#owner = owner;
    this.feed = new Feed(this, options);
  }

  onMessage(message: MarketMessage): void {
    this.lastUs = message.receivedUs;
    this.#owner.events.message(message, this.#owner.leader === this);
  }

  onBook(feed: BookFeed, _isSnapshot: boolean, update: BookUpdate | undefined): void {
    this.lastUs = feed.book.receivedUs;
    if (this.#owner.leader === this) this.#owner.events.book(feed, update);
  }

  onIntegrity(report: IntegrityReport): void {
    if (this.#owner.leader === this) this.#owner.events.integrity(report);
  }

  onBookState(instrument: Instrument, state: BookState): void {
    if (this.#owner.leader === this) this.#owner.events.bookState(instrument, state, this.#owner.nowUs());
  }

  onSnapshotWanted(instrument: Instrument): void {
    if (this.#owner.leader === this) this.#owner.events.snapshotWanted(instrument, this.#owner.nowUs());
  }

  onTradesMissing(instrument: Instrument, count: number): void {
    if (this.#owner.leader === this) this.#owner.events.tradesMissing(instrument, count, this.#owner.nowUs());
  }

  onLine(event: "open" | LossReason, lastMessageMs: number): void {
    this.isOpen = event === "open";
    if (this.isOpen) this.openedUs = this.#owner.nowUs();
    this.#owner.lineChanged(this, event, lastMessageMs);
  }

  onVenueError(text: string): void {
    this.#owner.events.line(this.name, "refused", this.#owner.nowUs(), { text: text.slice(0, 1000) });
  }
}

export class FeedLines {
  readonly spec: FeedSpec;
  readonly venue: Venue;
  readonly events: FeedEvents;
  readonly nowUs: () => number;
  readonly #lines: readonly FeedLine[];
  #leader: FeedLine;
  readonly #onLineLost: FeedPlatform["onLineLost"];
  /** A second line leads on, so nothing is missing. */
  #hasLost = false;

  constructor(spec: FeedSpec, sink: EventSink, platform: FeedPlatform) {
    this.spec = spec;
    this.nowUs = platform.nowUs;
    const venue = venueOfSpec(spec);
    this.venue = platform.isRecorded === true
      ? { ...venue, silenceMs: Infinity, dataSilenceMs: Infinity, rotateMs: Infinity }
      : venue;
    this.#onLineLost = platform.onLineLost;
    this.events = new FeedEvents(sink, spec, this.venue.name, platform.onQualityAlert);
    const options = (url: string | null): FeedOptions => ({
      ...platform,
      venue: this.venue,
      wanted: { symbols: spec.symbols, channels: spec.channels },
      staleMs: spec.staleMs,
      ...(url === null ? {} : { url }),
      ...(spec.snapshotUrl === null ? {} : { snapshotUrl: snapshotUrlOf(spec.snapshotUrl) }),
      ...(spec.raw ? { onRaw: (text: string, receivedUs: number) => this.events.raw(text, receivedUs) } : {}),
    });
    const primary = new FeedLine("primary", this, options(spec.url));
    this.#leader = primary;
    this.#lines = spec.backupUrl === null
      ? [primary]
      : [primary, new FeedLine("backup", this, options(spec.backupUrl))];
  }

  get leader(): FeedLine {
    return this.#leader;
  }

  start(nowMs: number): void {
    for (const { feed } of this.#lines) feed.start(nowMs);
  }

  stop(): void {
    for (const { feed } of this.#lines) feed.stop();
  }

  /** Does whatever is due at this time: call it some ten times a second. */
  tick(nowMs: number): void {
    for (const { feed } of this.#lines) feed.tick(nowMs);
    const other = this.#lines.find((line) => line !== this.#leader);
    const isBehind = other?.isOpen === true &&
      other.lastUs - this.#leader.lastUs > this.spec.failoverMs * 1000;
    if (other !== undefined && isBehind) this.#lead(other, "silence");
    this.events.tick(this.nowUs());
  }

  /** A line of this feed was opened or lost. */
  lineChanged(line: FeedLine, event: "open" | LossReason, lastMessageMs: number): void {
    const nowUs = this.nowUs();
    const lastUs = Number.isNaN(lastMessageMs) ? undefined : lastMessageMs * 1000;
    this.events.line(line.name, event, nowUs, { last_message_us: lastUs });
    if (event !== "open") this.#onLineLost?.(line.name, event, line.feed.line.breaker, nowUs);
    const other = this.#lines.find((one) => one !== line);
    if (event !== "open" && line === this.#leader && other?.isOpen === true) return this.#lead(other, event);
    if (line !== this.#leader) {
      if (event === "open" && !this.#leader.isOpen) this.#lead(line, "open");
      return;
    }
    if (event !== "open") this.#hasLost = true;
    else if (this.#hasLost) {
      this.events.dataLost();
      this.#hasLost = false;
    }
  }

  /** What the figures depend on now. */
  save(): FeedState {
    return { feed: this.spec.name, savedUs: this.nowUs(), instruments: this.events.save() };
  }

  /** Takes over a saved state, before `start()`. Books begin anew; trades that were missed are told. */
  restore({ instruments }: FeedState): void {
    for (const state of instruments) {
      const instrument = this.instrumentOf(state.venueSymbol);
      if (instrument !== undefined) this.events.restore(instrument, state);
    }
  }

  /** Goes on behind the newest trades known: a jump from there is told as a loss. */
  expectTradesAfter(): void {
    for (const { instrument, lastTradeId } of this.events.instruments) {
      for (const { feed } of this.#lines) feed.expectTradeAfter(instrument.venueSymbol, lastTradeId);
    }
    this.events.dataLost();
  }

  /** The leading decoder's instrument by the venue's name. */
  instrumentOf(venueSymbol: string): Instrument | undefined {
    return this.#leader.feed.decoder.instruments.get(venueSymbol);
  }

  /** Lines as far as a report on all feeds needs them. */
  get lines(): readonly {
    readonly leads: boolean;
    readonly isOpen: boolean;
    readonly results: Readonly<Record<DecodeResult, number>>;
  }[] {
    return this.#lines.map((line) => ({
      leads: line === this.#leader,
      isOpen: line.isOpen,
      results: line.feed.results,
    }));
  }

  /** Lines and their states, for queries. */
  describe() {
    return {
      feed: this.spec.name,
      venue: this.venue.name,
      symbols: [...this.events.symbols],
      lines: this.#lines.map(({ name, feed, lastUs, openedUs }) => ({
        line: name,
        leads: name === this.#leader.name,
        state: feed.line.state,
        breaker: feed.line.breaker,
        losses: feed.line.lossCount,
        opened_us: Number.isNaN(openedUs) ? undefined : openedUs,
        last_data_us: Number.isNaN(lastUs) ? undefined : lastUs,
        messages: feed.results,
      })),
    };
  }

  #lead(line: FeedLine, reason: string): void {
    this.#leader = line;
    this.events.line(line.name, "leads", this.nowUs(), { reason });
    for (const book of line.feed.books) {
      if (book.state !== "syncing") this.events.book(book, undefined);
    }
  }
}

function snapshotUrlOf(template: string): (symbol: string) => string {
  return (symbol) => template.replaceAll("{symbol}", encodeURIComponent(symbol));
}
