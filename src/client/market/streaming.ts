/**
 * Market data of esc as observables: `createStreamingInfrastructure(config)`, for browsers, Node, Bun and Deno.
 *
 * Figures are made by the server and come as events; here they are only sorted out, so every client sees the same.
 */
import { filter, interval, map, type Observable, scan, share, Subject } from "rxjs";
import { type BookView, LiveBook } from "./live-book.ts";
import { type MarketEvent, MarketSource, type SourceListener, type StreamSource } from "./market-source.ts";

export interface StreamingConfig {
  readonly sources?: readonly StreamSource[];
  /** Time between two reports of health and metrics. Default 1 s. */
  readonly reportMs?: number;
}

export type StreamingEventName =
  | "connection_failed"
  | "connection_restored"
  | "data_quality_alert"
  | "validation_error"
  | "error";

export interface StreamingEvent {
  readonly source: string;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export interface SystemHealth {
  readonly status: "healthy" | "degraded" | "offline";
  readonly sources: Readonly<Record<string, "open" | "lost">>;
}

export interface SystemMetrics {
  readonly events: number;
  readonly invalid: number;
  readonly eventsPerSecond: number;
}

type Data = Readonly<Record<string, unknown>>;

export class StreamingInfrastructure implements SourceListener {
  readonly #events = new Subject<MarketEvent>();
  readonly #sources = new Map<string, MarketSource>();
  readonly #handlers = new Map<StreamingEventName, Set<(event: StreamingEvent) => void>>();
  readonly #latest = new Map<string, Data>();
  readonly #reportMs: number;
  #isDestroyed = false;

  constructor({ sources = [], reportMs = 1000 }: StreamingConfig) {
    this.#reportMs = reportMs;
    for (const source of sources) this.addSource(source);
  }

  /** Connects one more source. @throws {RangeError} If its id is taken, or everything has been destroyed. */
  addSource(source: StreamSource): void {
    if (this.#isDestroyed) throw new RangeError("Cannot add a source after destroy()");
    if (this.#sources.has(source.id)) throw new RangeError(`There is a source "${source.id}" already`);
    this.#sources.set(source.id, new MarketSource(source, this));
  }

  removeSource(id: string): void {
    this.#sources.get(id)?.close();
    this.#sources.delete(id);
  }

  /** Everything whose topic begins with `market.<venue>.<symbol>`, or all that comes. */
  subscribe(next: (event: MarketEvent) => void, symbol?: string): { unsubscribe(): void } {
    const wanted = symbol === undefined
      ? this.#events
      : this.#events.pipe(filter(({ data }) => data["symbol"] === symbol));
    return wanted.subscribe(next);
  }

  /** Trades and quotes. */
  getTickStream(symbol?: string): Observable<Data> {
    return this.#of(["trade", "quote"], symbol);
  }

  getTradeStream(symbol?: string): Observable<Data> {
    return this.#of(["trade"], symbol);
  }

  /** The book of a symbol after each of its updates; nothing before its first snapshot. */
  getOrderBookStream(symbol: string, levels = 20): Observable<BookView> {
    const start: { books: Map<string, LiveBook>; shown: BookView | undefined } = {
      books: new Map(),
      shown: undefined,
    };
    return this.#of(["book_snapshot", "book_delta"], symbol).pipe(
      scan(({ books }, data) => {
        const venue = String(data["venue"]);
        const book = books.get(venue) ?? new LiveBook(venue, symbol);
        books.set(venue, book);
        return { books, shown: book.take(data) ? book.view(levels) : undefined };
      }, start),
      map(({ shown }) => shown),
      filter((shown) => shown !== undefined),
      share(),
    );
  }

  getTickProcessor() {
    return {
      /** Bars of one interval. */
      getAggregatedStream: (symbol: string, intervalMs: number): Observable<Data> =>
        this.#of(["bar"], symbol).pipe(filter((bar) => bar["interval_ms"] === intervalMs)),
      getIndicatorStream: (symbol?: string): Observable<Data> => this.#of(["indicator"], symbol),
      getPatternStream: (symbol?: string): Observable<Data> => this.#of(["pattern"], symbol),
      getVolumeProfileStream: (symbol?: string): Observable<Data> => this.#of(["profile"], symbol),
    };
  }

  getOrderBookManager() {
    return {
      /** Summaries of books: spread, microprice, imbalance, depth, grade. */
      getAnalyticsStream: (symbol?: string): Observable<Data> => this.#of(["book"], symbol),
      getIntegrityStream: (symbol?: string): Observable<Data> => this.#of(["integrity"], symbol),
    };
  }

  /** The newest event of every topic, kept in memory. */
  getCacheManager() {
    return {
      get: (topic: string): Data | undefined => this.#latest.get(topic),
      size: (): number => this.#latest.size,
      clear: (): void => this.#latest.clear(),
    };
  }

  getSystemHealthStream(): Observable<SystemHealth> {
    return interval(this.#reportMs).pipe(map(() => this.#health()));
  }

  getSystemMetricsStream(): Observable<SystemMetrics> {
    return interval(this.#reportMs).pipe(
      scan((before, _) => {
        const { events, invalid } = this.#totals();
        return { events, invalid, eventsPerSecond: (events - before.events) / (this.#reportMs / 1000) };
      }, { ...this.#totals(), eventsPerSecond: 0 }),
    );
  }

  /** Calls the handler for each such event; the answer takes it away again. */
  on(name: StreamingEventName, handler: (event: StreamingEvent) => void): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers);
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  /** Closes all sources and completes all streams. Twice is harmless. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
    this.#events.complete();
    this.#latest.clear();
  }

  onEvent(event: MarketEvent): void {
    const { data, source, topic } = event;
    this.#remember(topic, data);
    if (data["kind"] === "integrity") {
      const name = String(data["event"]).startsWith("quality_alert")
        ? "data_quality_alert"
        : "validation_error";
      const isFault = name === "data_quality_alert" || data["event"] !== "book_state";
      if (isFault) this.#tell(name, { source, message: `${topic}: ${data["event"]}`, data });
    }
    this.#events.next(event);
  }

  onOpen(source: string, isAgain: boolean): void {
    if (isAgain) this.#tell("connection_restored", { source, message: "connected again" });
  }

  onLost(source: string, reason: string, retryMs: number): void {
    this.#tell("connection_failed", {
      source,
      message: `${reason}; next attempt in ${Math.round(retryMs)} ms`,
    });
  }

  onInvalid(source: string, problem: string): void {
    this.#tell("error", { source, message: problem });
  }

  #of(kinds: readonly string[], symbol: string | undefined): Observable<Data> {
    return this.#events.pipe(
      map(({ data }) => data),
      filter((data) =>
        kinds.includes(String(data["kind"])) && (symbol === undefined || data["symbol"] === symbol)
      ),
    );
  }

  /** The least recently changed topic gives way. */
  #remember(topic: string, data: Data): void {
    this.#latest.delete(topic);
    this.#latest.set(topic, data);
    if (this.#latest.size <= CACHED_TOPICS_MAX) return;
    const [oldest] = this.#latest.keys();
    if (oldest !== undefined) this.#latest.delete(oldest);
  }

  #tell(name: StreamingEventName, event: StreamingEvent): void {
    for (const handler of this.#handlers.get(name) ?? []) handler(event);
  }

  #health(): SystemHealth {
    const states = [...this.#sources].map(([id, source]) =>
      [id, source.isOpen ? "open" as const : "lost" as const] as const
    );
    const openCount = states.filter(([, state]) => state === "open").length;
    const status = openCount === 0 ? "offline" : openCount < states.length ? "degraded" : "healthy";
    return { status, sources: Object.fromEntries(states) };
  }

  #totals(): { events: number; invalid: number } {
    let events = 0;
    let invalid = 0;
    for (const source of this.#sources.values()) {
      events += source.eventCount;
      invalid += source.invalidCount;
    }
    return { events, invalid };
  }
}

const CACHED_TOPICS_MAX = 10_000;

/** Connects to the sources and gives their market data as observables. */
export function createStreamingInfrastructure(config: StreamingConfig = {}): StreamingInfrastructure {
  return new StreamingInfrastructure(config);
}

/** Ready-made parts of a configuration. */
export const StreamingUtils = {
  createStreamSource: (id: string, url: string, symbols: readonly string[] = []): StreamSource => ({
    id,
    url,
    ...(symbols.length === 0 ? {} : { topics: symbols.map((symbol) => `market.*.${symbol}.*`) }),
  }),
  createForexConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [StreamingUtils.createStreamSource("forex", url, symbols)],
    reportMs: 5000,
  }),
  createCryptoConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [StreamingUtils.createStreamSource("crypto", url, symbols)],
  }),
  createHFTConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [StreamingUtils.createStreamSource("hft", url, symbols)],
    reportMs: 250,
  }),
} as const;
