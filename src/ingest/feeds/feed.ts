/**
 * One feed: a line to a venue, its decoder, and a book for every instrument that has one.
 *
 *     line ──text──▶ decoder ──message──▶ books / trades / quotes ──▶ listener
 *      ▲                                     │
 *      └──── resubscribe one symbol ◀────────┴──▶ REST snapshot, within the venue's weight
 *
 * Like the line it has no timer: the owner calls `tick()`. Everything happens on the owner's thread; the one thing
 * awaited is a REST answer, and one that comes after its line was lost is thrown away.
 */
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import {
  BookFeed,
  type BookFeedListener,
  type BookState,
  type BookUpdate,
  type IntegrityReport,
} from "./book-feed.ts";
import type { Decoder, DecodeResult } from "./decoder.ts";
import { Line, type LineListener, type LineOptions, type LossReason } from "./line.ts";
import { type SnapshotFetcher, SnapshotQueue } from "./snapshot-queue.ts";
import { TradeContinuity } from "./trade-continuity.ts";
import type { Venue, Wanted } from "./venue.ts";

/** What a feed tells; books and messages are reused, so whoever keeps something copies it. */
export interface FeedListener {
  /** A live trade, a quote, or a provider's bar; repeats and history are left out. */
  onMessage(message: MarketMessage): void;
  /** A book took an update (or a snapshot, without `update`) and is right. */
  onBook(feed: BookFeed, isSnapshot: boolean, update: BookUpdate | undefined): void;
  onIntegrity(report: IntegrityReport): void;
  onBookState(instrument: Instrument, state: BookState): void;
  /** A book syncs and asks for a snapshot. */
  onSnapshotWanted(instrument: Instrument): void;
  /** Trades known to be lost. */
  onTradesMissing(instrument: Instrument, count: number): void;
  onLine(event: "open" | LossReason, lastMessageMs: number): void;
  /** The venue refused something. */
  onVenueError(text: string): void;
}

export interface FeedOptions {
  readonly venue: Venue;
  readonly wanted: Wanted;
  /** Instead of the venue's own addresses: a simulator, a proxy. */
  readonly url?: string;
  readonly snapshotUrl?: (symbol: string) => string;
  readonly random: () => number;
  readonly openSocket: LineOptions["openSocket"];
  readonly fetchText: SnapshotFetcher;
  readonly reconnect?: NonNullable<LineOptions["reconnect"]>;
  /** A live book without updates for so long is stale. Default 60 s. */
  readonly staleMs?: number;
  /** Receipt time of a text, microseconds since 1970. Default: that of the last `tick()`. */
  readonly nowUs?: () => number;
  /** Is told every text before it is decoded. */
  readonly onRaw?: (text: string, receivedUs: number) => void;
}

export class Feed implements LineListener, BookFeedListener {
  readonly line: Line;
  readonly decoder: Decoder;
  /** Texts by what became of them. */
  readonly results: Record<DecodeResult, number> = {
    ok: 0,
    not_json: 0,
    bad_message: 0,
    bad_number: 0,
    unknown_symbol: 0,
    too_many_levels: 0,
  };
  repeatCount = 0;
  readonly #venue: Venue;
  readonly #listener: FeedListener;
  readonly #books = new Map<Instrument, BookFeed>();
  readonly #trades = new Map<Instrument, TradeContinuity>();
  readonly #snapshots: SnapshotQueue;
  readonly #staleUs: number;
  #nowMs = 0;
  readonly #nowUs: () => number;
  readonly #onRaw: FeedOptions["onRaw"];

  constructor(listener: FeedListener, options: FeedOptions) {
    const { venue } = options;
    this.#venue = venue;
    this.#listener = listener;
    this.#staleUs = (options.staleMs ?? 60_000) * 1000;
    this.#nowUs = options.nowUs ?? (() => this.#nowMs * 1000);
    this.#onRaw = options.onRaw;
    this.decoder = venue.makeDecoder((message) => this.#take(message));
    this.#snapshots = new SnapshotQueue({
      urlOf: options.snapshotUrl ?? venue.snapshotUrl?.bind(venue) ?? (() => ""),
      fetchText: options.fetchText,
      weight: venue.snapshotWeight ?? 1,
      weightPerMinute: venue.restWeightPerMinute ?? 60,
      random: options.random,
      onAnswer: (instrument, text) => this.#takeSnapshot(instrument, text),
    });
    this.line = new Line(this, {
      url: options.url ?? venue.url,
      subscribe: venue.subscribe(options.wanted),
      sendsPerSecondMax: venue.sendsPerSecondMax,
      ...(venue.ping === undefined ? {} : { ping: venue.ping }),
      silenceMs: venue.silenceMs,
      ...(venue.dataSilenceMs === undefined ? {} : { dataSilenceMs: venue.dataSilenceMs }),
      ...(venue.rotateMs === undefined ? {} : { rotateMs: venue.rotateMs }),
      ...(options.reconnect === undefined ? {} : { reconnect: options.reconnect }),
      random: options.random,
      openSocket: options.openSocket,
    });
  }

  start(nowMs: number): void {
    this.#nowMs = nowMs;
    this.line.start(nowMs);
  }

  stop(): void {
    this.#snapshots.clear();
    this.line.stop();
  }

  /** Does whatever is due at this time: call it some ten times a second. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.line.tick(nowMs);
    this.#snapshots.tick(nowMs);
    for (const book of this.#books.values()) book.checkSilence(nowMs * 1000, this.#staleUs);
  }

  /** All books met so far. */
  get books(): Iterable<BookFeed> {
    return this.#books.values();
  }

  /** The book of an instrument by the venue's name; `undefined` before its first message. */
  book(venueSymbol: string): BookFeed | undefined {
    const instrument = this.decoder.instruments.get(venueSymbol);
    return instrument && this.#books.get(instrument);
  }

  /** Trades go on behind this number, where the venue numbers them; NaN: with whatever comes. */
  expectTradeAfter(venueSymbol: string, tradeId: number): void {
    const instrument = this.decoder.instruments.get(venueSymbol);
    if (instrument !== undefined && this.#venue.tradesContiguous) {
      this.#continuityOf(instrument).expectAfter(tradeId);
    }
  }

  onText(text: string): void {
    const nowUs = this.#nowUs();
    this.#onRaw?.(text, nowUs);
    const result = this.decoder.decode(text, nowUs);
    this.results[result]++;
    // A message nobody can read may have been a book's update. Where no sequence tells, only a new line repairs it.
    const mayHideLoss = result !== "ok" && result !== "unknown_symbol";
    if (mayHideLoss && !this.#venue.book.rule.showsGaps) this.line.reconnectNow();
  }

  onOpen(): void {
    this.decoder.lineRestored?.();
    for (const book of this.#books.values()) book.lineRestored();
    this.#listener.onLine("open", NaN);
  }

  onLost(reason: LossReason, lastMessageMs: number): void {
    this.#snapshots.clear();
    for (const book of this.#books.values()) book.lineLost(this.#nowMs * 1000);
    this.#listener.onLine(reason, lastMessageMs);
  }

  onUpdate(feed: BookFeed, update: BookUpdate): void {
    this.#listener.onBook(feed, false, update);
  }

  onSnapshot(feed: BookFeed): void {
    this.#listener.onBook(feed, true, undefined);
  }

  onFault(_feed: BookFeed, report: IntegrityReport): void {
    this.#listener.onIntegrity(report);
  }

  onStateChange(feed: BookFeed): void {
    this.#listener.onBookState(feed.instrument, feed.state);
  }

  onSnapshotWanted(feed: BookFeed): void {
    const { instrument } = feed;
    this.#listener.onSnapshotWanted(instrument);
    if (this.#venue.book.rule.snapshot === "rest") {
      this.#snapshots.add(instrument, this.#nowMs);
      return;
    }
    for (const text of this.#venue.resubscribe?.(instrument.venueSymbol) ?? []) this.line.send(text);
  }

  #take(message: MarketMessage): void {
    switch (message.kind) {
      case "book_snapshot":
      case "book_delta":
        this.line.dataSeen();
        return this.#bookOf(message.instrument).take(message);
      case "trade":
        this.line.dataSeen();
        return this.#takeTrade(message);
      case "heartbeat":
        return this.#takeHeartbeat(message);
      case "error":
        return this.#listener.onVenueError(message.text);
      case "reconnect":
        return this.line.reconnectNow();
      case "ack":
        return;
      default:
        this.line.dataSeen();
        this.#listener.onMessage(message);
    }
  }

  #takeTrade(message: MarketMessage): void {
    if (this.#venue.tradesContiguous) {
      const verdict = this.#continuityOf(message.instrument).check(message);
      if (verdict.isRepeat) {
        this.repeatCount++;
        return;
      }
      if (verdict.missing > 0) this.#listener.onTradesMissing(message.instrument, verdict.missing);
    }
    if (!message.historic) this.#listener.onMessage(message);
  }

  /** Coinbase tells the newest trade with each heartbeat. */
  #takeHeartbeat(message: MarketMessage): void {
    if (Number.isNaN(message.id)) return;
    const { missing } = this.#continuityOf(message.instrument).checkHeartbeat(message.id);
    if (missing > 0) this.#listener.onTradesMissing(message.instrument, missing);
  }

  #takeSnapshot(instrument: Instrument, text: string): void {
    const result = this.decoder.decodeSnapshot?.(text, instrument, this.#nowUs()) ?? "bad_message";
    this.results[result]++;
    // A body nobody can read is no snapshot: ask again, later.
    if (result !== "ok") this.#snapshots.add(instrument, this.#nowMs);
  }

  #bookOf(instrument: Instrument): BookFeed {
    let book = this.#books.get(instrument);
    if (book === undefined) {
      book = new BookFeed(instrument, this, this.#venue.book);
      this.#books.set(instrument, book);
    }
    return book;
  }

  #continuityOf(instrument: Instrument): TradeContinuity {
    let continuity = this.#trades.get(instrument);
    if (continuity === undefined) this.#trades.set(instrument, continuity = new TradeContinuity());
    return continuity;
  }
}
