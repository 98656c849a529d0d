/** `store` and `cache` of the checked file, and what must fit together in them. */
import { patternProblem } from "../event/topic.ts";
import type { CacheConfig, Config, StoreConfig } from "./config.ts";
import type { Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";

export function storeConfig(store: CheckedFile["store"]): StoreConfig {
  return {
    backend: store.backend,
    topics: store.topics,
    path: store.path,
    url: store.url,
    tlsCa: store.tls_ca,
    replicas: store.replicas,
    maxReplicaLagMs: store.max_replica_lag,
    replicaCheckIntervalMs: store.replica_check_interval,
    poolSize: store.pool_size,
    connectTimeoutMs: store.connect_timeout,
    idleTimeoutMs: store.idle_timeout,
    queryTimeoutMs: store.query_timeout,
    start: store.start,
    batchEvents: store.batch_events,
    batchBytes: store.batch_bytes,
    flushIntervalMs: store.flush_interval,
    retentionMs: store.retention,
    autoMigrate: store.auto_migrate,
    migrations: store.migrations,
  };
}

export function cacheConfig(cache: CheckedFile["cache"]): CacheConfig {
  return {
    redis: cache.redis,
    keyPrefix: cache.key_prefix,
    ttlMs: cache.ttl,
    maxKeys: cache.max_keys,
    maxBytes: cache.max_bytes,
    channel: cache.channel,
  };
}

/** Reports what cannot work together. URLs are never quoted: they hold passwords. */
export function checkStore({ store, cache }: Config, report: Report): void {
  for (const [index, pattern] of store.topics.entries()) {
    const problem = patternProblem(pattern);
    if (problem !== undefined) report(["store", "topics", index], problem);
  }
  if (store.backend === "postgres" && store.url === null) {
    report(["store", "backend"], "store.backend postgres needs store.url");
  }
  if (store.backend === "sqlite" && store.replicas.length > 0) {
    report(["store", "replicas"], "store.replicas needs store.backend postgres");
  }
  const isPostgres = (url: string) => /^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? "");
  if (store.url !== null && !isPostgres(store.url)) {
    report(["store", "url"], "store.url must be a URL such as postgres://user@host:5432/database");
  }
  for (const [index, url] of store.replicas.entries()) {
    if (!isPostgres(url)) {
      report(["store", "replicas", index], "must be a URL such as postgres://user@host:5432/database");
    }
  }
  if (cache.redis !== null && !/^rediss?:$/.test(URL.parse(cache.redis)?.protocol ?? "")) {
    report(["cache", "redis"], "cache.redis must be a URL such as redis://host:6379/0");
  }
}
