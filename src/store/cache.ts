/**
 * Values at hand: in Redis for all servers, or in this process where there is none or it does not answer.
 *
 * Strategies: cache-aside (`get`, `set`, `invalidate`), read-through (`getOrLoad`), write-through (`write`) and
 * write-behind (`writeLater`). However many ask for a missing key at once, one of them loads it. A cache that
 * fails costs a load, never an answer.
 */
import type { Lru } from "./lru.ts";
import type { RedisClient } from "./redis.ts";

export interface CacheOptions {
  readonly local: Lru;
  readonly redis?: RedisClient;
  /** Beginning of all keys in Redis. */
  readonly keyPrefix: string;
  readonly ttlMs: number;
}

/** Keys whose writing is put off: beyond, `writeLater()` writes at once. */
export const LATER_KEYS_MAX = 10_000;

type Writer = (entries: ReadonlyMap<string, string>) => Promise<void>;

export class Cache {
  hits = 0;
  misses = 0;
  sets = 0;
  deletes = 0;
  /** Loads that others waited for instead of loading themselves. */
  shared = 0;
  readonly #options: Omit<CacheOptions, "redis">;
  #redis: RedisClient | undefined;
  readonly #loading = new Map<string, Promise<string>>();
  #later = new Map<string, string>();

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#redis = options.redis;
  }

  /** From now on values are in Redis; what this process remembers stays until it expires. */
  attach(redis: RedisClient): void {
    this.#redis = redis;
  }

  /** Share of questions that were answered from the cache, 0..1; 0 before the first. */
  get hitRatio(): number {
    const total = this.hits + this.misses;
    return total === 0 ? 0 : this.hits / total;
  }

  async get(key: string): Promise<string | undefined> {
    const value = this.#later.get(key) ?? await this.#read(key);
    if (value === undefined) this.misses++;
    else this.hits++;
    return value;
  }

  async set(key: string, value: string, ttlMs: number = this.#options.ttlMs): Promise<void> {
    this.sets++;
    const { local, keyPrefix } = this.#options;
    const redis = this.#redis;
    if (redis !== undefined) {
      try {
        await redis.run((client) => client.set(keyPrefix + key, value, "PX", Math.max(1, Math.round(ttlMs))));
        // What this process remembered while Redis was away is older.
        local.delete(key);
        return;
      } catch {
        // Kept in this process until Redis answers again.
      }
    }
    local.set(key, value, ttlMs);
  }

  /** The next question is a miss, for all servers that share the Redis. */
  async invalidate(key: string): Promise<void> {
    this.deletes++;
    const { local, keyPrefix } = this.#options;
    const redis = this.#redis;
    this.#later.delete(key);
    local.delete(key);
    await redis?.run((client) => client.del(keyPrefix + key)).catch(() => {});
  }

  /**
   * The value, loaded when it is missing; those who ask meanwhile wait for the same load.
   *
   * @throws What `load` throws; that is not remembered, and the next one loads again.
   */
  async getOrLoad(
    key: string,
    load: () => Promise<string>,
    ttlMs: number = this.#options.ttlMs,
  ): Promise<string> {
    const running = this.#loading.get(key);
    if (running !== undefined) {
      this.shared++;
      return await running;
    }
    const loading = this.#lookOrLoad(key, load, ttlMs).finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return await loading;
  }

  /** Write-through: the source first, so that the cache never knows more than it. */
  async write(key: string, value: string, write: () => Promise<void>): Promise<void> {
    await write();
    await this.set(key, value);
  }

  /**
   * Write-behind: known here at once, written by the next `flush()`; of one key only the newest value.
   *
   * @returns `false` when as many keys wait as may: write it in another way, or flush first.
   */
  writeLater(key: string, value: string): boolean {
    if (this.#later.size >= LATER_KEYS_MAX && !this.#later.has(key)) return false;
    this.#later.set(key, value);
    return true;
  }

  /** Keys whose values wait to be written. */
  get laterCount(): number {
    return this.#later.size;
  }

  /** Writes what waits. What could not be written waits on, unless a newer value has come. */
  async flush(write: Writer): Promise<void> {
    const entries = this.#later;
    if (entries.size === 0) return;
    this.#later = new Map();
    try {
      await write(entries);
    } catch (error) {
      for (const [key, value] of entries) if (!this.#later.has(key)) this.#later.set(key, value);
      throw error;
    }
    for (const [key, value] of entries) if (!this.#later.has(key)) await this.set(key, value);
  }

  async #lookOrLoad(key: string, load: () => Promise<string>, ttlMs: number): Promise<string> {
    const known = await this.get(key);
    if (known !== undefined) return known;
    const value = await load();
    await this.set(key, value, ttlMs);
    return value;
  }

  async #read(key: string): Promise<string | undefined> {
    const { local, keyPrefix } = this.#options;
    const redis = this.#redis;
    if (redis === undefined) return local.get(key);
    try {
      return await redis.run((client) => client.get(keyPrefix + key)) ?? undefined;
    } catch {
      return local.get(key);
    }
  }
}
