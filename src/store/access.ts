/**
 * The store as the control plane uses it: questions, a cache for what cannot change any more, and metrics.
 *
 * Main thread. Opened with the first question, since the sink may still be making the database; given up and
 * opened anew after it could not be reached.
 */
import { EscError } from "../errors.ts";
import { openCounters } from "../metrics/counters.ts";
import { Histogram } from "../metrics/histogram.ts";
import type { Exposition } from "../metrics/prometheus.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import { Cache } from "./cache.ts";
import { Lru } from "./lru.ts";
import type { StoreOptions } from "./options.ts";
import type { StoreReader } from "./reader.ts";
import type { RedisClient } from "./redis.ts";
import {
  SINK_COMMITS,
  SINK_CONFLICTS,
  SINK_CONNECTED,
  SINK_DROPPED_VALUES,
  SINK_ERRORS,
  SINK_EVENTS,
  SINK_SKIPPED,
  SINK_STORED,
} from "./sink-counters.ts";
import { exposeReader } from "./expose.ts";

/** Rows of one page. */
export const PAGE_ROWS_MAX = 10_000;

export interface CacheSettings {
  readonly redisUrl?: string;
  readonly keyPrefix: string;
  readonly ttlMs: number;
  readonly keysMax: number;
  readonly bytesMax: number;
}

export interface SinkMeters {
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  readonly shards: readonly ShardInfo[];
  readonly consumer: string;
}

export interface StoreAccessOptions {
  readonly backend: StoreOptions["backend"];
  readonly cache: CacheSettings;
  /** The sink's memory, and the logs it reads in the order of its counters; absent where only results are stored. */
  readonly sink?: SinkMeters;
  readonly open: (backend: StoreOptions["backend"]) => Promise<StoreReader>;
  readonly warn: (message: string) => void;
}

export class StoreAccess {
  readonly cache: Cache;
  readonly #options: StoreAccessOptions;
  #redis: RedisClient | undefined;
  #isClosed = false;
  #reader: Promise<StoreReader> | undefined;
  #opened: StoreReader | undefined;

  constructor(options: StoreAccessOptions) {
    this.#options = options;
    const { redisUrl, keyPrefix, ttlMs, keysMax, bytesMax } = options.cache;
    this.cache = new Cache({
      local: new Lru({ keysMax, bytesMax, nowMs: () => performance.now() }),
      keyPrefix,
      ttlMs,
    });
    if (redisUrl !== undefined) void this.#attachRedis(redisUrl);
  }

  /** @throws {EscError} STORE_UNAVAILABLE. */
  async reader(): Promise<StoreReader> {
    this.#reader ??= this.#options.open(this.#options.backend).then((reader) => this.#opened = reader);
    try {
      return await this.#reader;
    } catch (error) {
      this.#reader = undefined;
      throw error;
    }
  }

  /** Writes the store's families of metrics. */
  expose(page: Exposition): void {
    if (this.#options.sink !== undefined) exposeSink(page, this.#options.sink);
    exposeReader(page, this.#opened);
    const { cache } = this;
    const asked = page.family("esc_cache_requests_total", "counter", "Questions to the cache");
    asked.sample(cache.hits, { result: "hit" }).sample(cache.misses, { result: "miss" });
    page.family("esc_cache_sets_total", "counter", "Values put into the cache").sample(cache.sets);
    page.family("esc_cache_deletes_total", "counter", "Values taken out of the cache").sample(cache.deletes);
    page.family("esc_cache_shared_loads_total", "counter", "Questions that waited for another's load")
      .sample(cache.shared);
    if (this.#redis !== undefined) {
      page.family("esc_redis_errors_total", "counter", "Commands that Redis did not answer well")
        .sample(this.#redis.errors);
      page.family("esc_breaker_state", "gauge", "Circuit breaker: 0 closed, 1 half open, 2 open")
        .sample(this.#redis.breakerState, { target: "redis" });
    }
  }

  /** Redis is loaded only where it is used: its client takes time and memory. */
  async #attachRedis(url: string): Promise<void> {
    const { RedisClient } = await import("./redis.ts");
    if (this.#isClosed) return;
    this.#redis = new RedisClient({ url, onLost: this.#options.warn });
    this.cache.attach(this.#redis);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#redis?.close();
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.then((opened) => opened.close(), () => {});
  }
}

function exposeSink(page: Exposition, { counters, latencies, shards, consumer }: SinkMeters): void {
  const values = openCounters(counters);
  const at = (index: number) => values[index] ?? 0;
  const counter = (name: string, help: string, index: number) =>
    page.family(name, "counter", help).sample(at(index), { consumer });
  counter("esc_sink_commits_total", "Transactions committed to the store", SINK_COMMITS);
  counter("esc_sink_events_total", "Events stored", SINK_EVENTS);
  counter("esc_sink_errors_total", "Commits or connections that failed", SINK_ERRORS);
  counter("esc_sink_conflicts_total", "Commits that found another consumer of this name", SINK_CONFLICTS);
  counter("esc_sink_skipped_total", "Events gone from the log before they were stored", SINK_SKIPPED);
  counter("esc_sink_dropped_values_total", "Last values that Redis did not take", SINK_DROPPED_VALUES);
  page.family("esc_sink_connected", "gauge", "1 while the store is reached").sample(at(SINK_CONNECTED), {
    consumer,
  });
  page.family("esc_sink_lag_events", "gauge", "Visible events that are not stored");
  for (const [index, { lane, shard, state }] of shards.entries()) {
    const lag = new ShardState(state).visibleOffset - at(SINK_STORED + index);
    page.sample(Math.max(0, lag), { consumer, lane, shard });
  }
  page.family("esc_sink_commit_seconds", "histogram", "Duration of one commit")
    .histogram(new Histogram(latencies, 0), { consumer });
}

/** What a server answers that stores nothing. */
export function nothingStored(): EscError {
  return new EscError("NOT_FOUND", "This server stores no topics", {
    hint: "store.topics names the topics to store",
  });
}
