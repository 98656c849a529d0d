/**
 * Market data of esc as observables: `createStreamingInfrastructure(config)`, for browsers, Node, Bun and Deno.
 *
 * Figures are made by the server and come as events; here they are only sorted out, so every client sees the same.
 */
import { concat, defer, filter, from, map, type Observable, Subject } from "rxjs";
import type { PayloadData } from "../../market/decode-payload.ts";
import { type CacheOptions, MarketCache } from "./cache.ts";
import { type BookView, LiveBook } from "./live-book.ts";
import { type MarketEvent, MarketSource, type SourceListener, type StreamSource } from "./market-source.ts";
import { EventHandlers, namesOf, type StreamingEvent, type StreamingEventName } from "./streaming-events.ts";

export interface StreamingConfig {
  readonly sources?: readonly StreamSource[];
  /** Time between two reports of health and metrics. Default 1 s. */
  readonly reportMs?: number;
  readonly cache?: CacheOptions;
}

export type HealthStatus = "healthy" | "degraded" | "critical" | "offline";

export interface SystemHealth {
  /** Over 5 % of unreadable messages or a lost source: degraded; over 10 %: critical; no source: offline. */
  readonly status: HealthStatus;
  readonly sources: Readonly<Record<string, "open" | "lost">>;
  /** Newest health of each `<venue>.<symbol>`, as the server judges it. */
  readonly instruments: Readonly<Record<string, HealthStatus>>;
  readonly errorRate: number;
}

export interface SystemMetrics {
  readonly events: number;
  readonly invalid: number;
  readonly bytes: number;
  readonly eventsPerSecond: number;
  readonly sourcesOpen: number;
  readonly cachedTopics: number;
}

type Data = PayloadData;

/** Sources of one infrastructure. */
const SOURCES_MAX = 10;
const DEGRADED_RATE = 0.05;
const CRITICAL_RATE = 0.1;

export class StreamingInfrastructure implements SourceListener {
  readonly #events = new Subject<MarketEvent>();
  readonly #sources = new Map<string, MarketSource>();
  readonly #handlers = new EventHandlers();
  readonly #cache: MarketCache;
  /** Books are followed from the first event on: who asks later gets them whole. */
  readonly #books = new Map<string, LiveBook>();
  readonly #bookChanges = new Subject<LiveBook>();
  readonly #health = new Subject<SystemHealth>();
  readonly #metrics = new Subject<SystemMetrics>();
  readonly #instruments = new Map<string, HealthStatus>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #reportMs: number;
  #reported = { events: 0, invalid: 0 };
  #isDestroyed = false;

  constructor({ sources = [], reportMs = 1000, cache }: StreamingConfig) {
    this.#reportMs = reportMs;
    this.#cache = new MarketCache(
      cache,
      (problem) => this.#handlers.tell("cache_error", { source: "cache", message: String(problem) }),
    );
    this.#timer = setInterval(() => this.#report(), reportMs);
    for (const source of sources) this.addSource(source);
  }

  /** Connects one more source. @throws {RangeError} If its id is taken, or everything has been destroyed. */
  addSource(source: StreamSource): void {
    if (this.#isDestroyed) throw new RangeError("Cannot add a source after destroy()");
    if (this.#sources.size >= SOURCES_MAX) throw new RangeError(`There are ${SOURCES_MAX} sources already`);
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

  getQuoteStream(symbol?: string): Observable<Data> {
    return this.#of(["quote"], symbol);
  }

  /** Judgements of the data, each every few seconds. */
  getQualityStream(symbol?: string): Observable<Data> {
    return this.#of(["quality"], symbol);
  }

  /** The books of a symbol as they are now and after each update; nothing before the first snapshot. */
  getOrderBookStream(symbol: string, levels = 20): Observable<BookView> {
    return defer(() => {
      const known = [...this.#books.values()].filter((book) => book.symbol === symbol && book.isJoined);
      const coming = this.#bookChanges.pipe(filter((book) => book.symbol === symbol));
      return concat(from(known), coming).pipe(map((book) => book.view(levels)));
    });
  }

  getTickProcessor() {
    return {
      /** Bars of one interval. */
      getAggregatedStream: (symbol: string, intervalMs: number): Observable<Data> =>
        this.#of(["bar"], symbol).pipe(filter((bar) => bar["interval_ms"] === intervalMs)),
      getIndicatorStream: (symbol?: string): Observable<Data> => this.#of(["indicator"], symbol),
      getPatternStream: (symbol?: string): Observable<Data> => this.#of(["pattern"], symbol),
      /** Totals, VPIN, spreads, volatility of the session. */
      getFlowStream: (symbol?: string): Observable<Data> => this.#of(["flow"], symbol),
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

  /** The newest event of every topic, and the events of the last hour. */
  getCacheManager(): MarketCache {
    return this.#cache;
  }

  getSystemHealthStream(): Observable<SystemHealth> {
    return this.#health.asObservable();
  }

  getSystemMetricsStream(): Observable<SystemMetrics> {
    return this.#metrics.asObservable();
  }

  /** Calls the handler for each such event; the answer takes it away again. */
  on(name: StreamingEventName, handler: (event: StreamingEvent) => void): () => void {
    return this.#handlers.on(name, handler);
  }

  /** Closes all sources and completes all streams. Twice is harmless. */
  async destroy(): Promise<void> {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    clearInterval(this.#timer);
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
    for (const subject of [this.#events, this.#bookChanges, this.#health, this.#metrics]) subject.complete();
    await this.#cache.close();
  }

  onEvent(event: MarketEvent): void {
    const { data, source, topic } = event;
    this.#cache.put(topic, data);
    if (data["kind"] === "quality") {
      this.#instruments.set(`${data["venue"]}.${data["symbol"]}`, data["health"] as HealthStatus);
    }
    const book = data["kind"] === "book_snapshot" || data["kind"] === "book_delta"
      ? this.#bookOf(data)
      : undefined;
    const isFirstOfBook = book?.isJoined === false;
    const isShown = book?.take(data) ?? false;
    for (const name of namesOf(data, isFirstOfBook)) {
      if (!this.#handlers.has(name)) continue;
      this.#handlers.tell(name, { source, message: `${topic}: ${data["event"] ?? data["kind"]}`, data });
    }
    this.#events.next(event);
    if (isShown && book !== undefined) this.#bookChanges.next(book);
  }

  onAttempt(source: string, attempt: number): void {
    this.#handlers.tell("reconnect_attempt_started", { source, message: `attempt ${attempt}` });
  }

  onOpen(source: string, isAgain: boolean): void {
    if (!isAgain) return;
    this.#handlers.tell("connection_restored", { source, message: "connected again" });
    this.#handlers.tell("reconnect_success", { source, message: "connected again" });
  }

  onLost(source: string, reason: string, retryMs: number | undefined): void {
    const next = retryMs === undefined ? "no more attempts" : `next attempt in ${Math.round(retryMs)} ms`;
    this.#handlers.tell("connection_failed", { source, message: `${reason}; ${next}` });
    if (retryMs === undefined) {
      this.#handlers.tell("max_attempts_exceeded", { source, message: reason });
      this.#handlers.tell("reconnect_failed", { source, message: reason });
    }
  }

  onInvalid(source: string, problem: string): void {
    this.#handlers.tell("error", { source, message: problem });
  }

  #bookOf(data: Data): LiveBook {
    const key = `${data["venue"]}.${data["symbol"]}`;
    let book = this.#books.get(key);
    if (book === undefined) {
      book = new LiveBook(String(data["venue"]), String(data["symbol"]));
      this.#books.set(key, book);
    }
    return book;
  }

  #of(kinds: readonly string[], symbol: string | undefined): Observable<Data> {
    return this.#events.pipe(
      map(({ data }) => data),
      filter((data) =>
        kinds.includes(String(data["kind"])) && (symbol === undefined || data["symbol"] === symbol)
      ),
    );
  }

  /** Tells how things are, once every `reportMs`. */
  #report(): void {
    const { events, invalid, bytes } = this.#totals();
    const states = [...this.#sources].map(([id, source]) =>
      [id, source.isOpen ? "open" as const : "lost" as const] as const
    );
    const sourcesOpen = states.filter(([, state]) => state === "open").length;
    const eventsSince = events - this.#reported.events;
    const invalidSince = invalid - this.#reported.invalid;
    const errorRate = eventsSince + invalidSince === 0 ? 0 : invalidSince / (eventsSince + invalidSince);
    this.#reported = { events, invalid };
    const health: SystemHealth = {
      status: statusOf(sourcesOpen, states.length, errorRate),
      sources: Object.fromEntries(states),
      instruments: Object.fromEntries(this.#instruments),
      errorRate,
    };
    const metrics: SystemMetrics = {
      events,
      invalid,
      bytes,
      eventsPerSecond: eventsSince / (this.#reportMs / 1000),
      sourcesOpen,
      cachedTopics: this.#cache.size(),
    };
    this.#health.next(health);
    this.#metrics.next(metrics);
    this.#handlers.tell("health_updated", { source: "client", message: health.status, data: { ...health } });
    this.#handlers.tell("metrics_collected", { source: "client", message: "metrics", data: { ...metrics } });
  }

  #totals(): { events: number; invalid: number; bytes: number } {
    let events = 0;
    let invalid = 0;
    let bytes = 0;
    for (const source of this.#sources.values()) {
      events += source.eventCount;
      invalid += source.invalidCount;
      bytes += source.byteCount;
    }
    return { events, invalid, bytes };
  }
}

function statusOf(openCount: number, count: number, errorRate: number): HealthStatus {
  if (openCount === 0) return "offline";
  if (errorRate > CRITICAL_RATE) return "critical";
  return openCount < count || errorRate > DEGRADED_RATE ? "degraded" : "healthy";
}

/** Connects to the sources and gives their market data as observables. */
export function createStreamingInfrastructure(config: StreamingConfig = {}): StreamingInfrastructure {
  return new StreamingInfrastructure(config);
}
