/**
 * Config → the store: the sink's memory and options, and what the reading side is opened with.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CacheConfig, Config, StoreConfig } from "./config/config.ts";
import type { DataLayout } from "./data-directory.ts";
import type { EngineMemory, SinkMemory } from "./engine-memory.ts";
import { EscError } from "./errors.ts";
import { StoreAccess } from "./store/access.ts";
import { readMigrations } from "./store/migrations.ts";
import { openReader } from "./store/open.ts";
import type { SinkWorkerOptions, StoreOptions } from "./store/options.ts";
import { workerUrl } from "./threads.ts";

/** The sink's name among the consumers of the store. */
const SINK_CONSUMER = "events";
const ORIGIN_BYTES = 8;

/** Options of the store that the configuration describes. @throws {EscError} CONFIG_INVALID, STORE_SCHEMA. */
export function storeOptions(store: StoreConfig, layout: Pick<DataLayout, "root">): StoreOptions {
  return {
    backend: backendOf(store, layout),
    origin: originOf(layout),
    autoMigrate: store.autoMigrate,
    migrations: store.migrations === null ? [] : readMigrations(store.migrations),
  };
}

/** The database itself: all that commands need who only ask it. */
export function backendOf(store: StoreConfig, layout: Pick<DataLayout, "root">): StoreOptions["backend"] {
  if (store.backend === "sqlite" || store.url === null) {
    return { kind: "sqlite", path: store.path ?? join(layout.root, "store.db") };
  }
  return {
    kind: "postgres",
    url: store.url,
    ...(store.tlsCa === null ? {} : { tlsCa: readCertificates(store.tlsCa) }),
    connectTimeoutMs: store.connectTimeoutMs,
    idleTimeoutMs: store.idleTimeoutMs,
    deadlineMs: store.queryTimeoutMs,
    poolSize: store.poolSize,
    replicas: store.replicas,
    maxReplicaLagMs: store.maxReplicaLagMs,
    replicaCheckIntervalMs: store.replicaCheckIntervalMs,
  };
}

/** What the sink's thread is started with. */
export function sinkOptions(
  sink: SinkMemory,
  config: Config,
  memory: EngineMemory,
  layout: DataLayout,
): SinkWorkerOptions {
  const { store } = config;
  return {
    control: sink.control,
    doorbell: sink.doorbell,
    counters: sink.counters,
    latencies: sink.latencies,
    shards: memory.shards.flatMap(({ info, lane }) =>
      lane === undefined ? [] : [{ info, waitsForDisk: lane.durability !== "none" }]
    ),
    store: storeOptions(store, layout),
    sink: {
      consumer: SINK_CONSUMER,
      topics: store.topics,
      start: store.start,
      batchEvents: store.batchEvents,
      batchBytes: store.batchBytes,
      flushIntervalMs: store.flushIntervalMs,
      ...(store.retentionMs === null ? {} : { retentionMs: store.retentionMs }),
    },
    ...fanOutOf(config.cache),
  };
}

function fanOutOf({ redis, keyPrefix, channel, ttlMs }: CacheConfig): Pick<SinkWorkerOptions, "fanOut"> {
  return redis === null ? {} : { fanOut: { redisUrl: redis, keyPrefix, channel, ttlMs } };
}

/** The store for questions and metrics; `undefined` when nothing is stored. */
export function storeAccess(
  config: Config,
  memory: EngineMemory,
  warn: (message: string) => void,
): StoreAccess | undefined {
  const { sink } = memory;
  if (sink === undefined && memory.processor === undefined) return undefined;
  const { redis, keyPrefix, ttlMs, maxKeys, maxBytes } = config.cache;
  return new StoreAccess({
    backend: backendOf(config.store, { root: config.data.dir }),
    cache: {
      keyPrefix,
      ttlMs,
      keysMax: maxKeys,
      bytesMax: maxBytes,
      ...(redis === null ? {} : { redisUrl: redis }),
    },
    ...(sink === undefined ? {} : {
      sink: {
        counters: sink.counters,
        latencies: sink.latencies,
        shards: memory.shards.flatMap(({ info, lane }) => lane === undefined ? [] : [info]),
        consumer: SINK_CONSUMER,
      },
    }),
    open: (backend) =>
      openReader(backend, {
        url: workerUrl("src/store/query-worker.ts"),
        deadlineMs: config.store.queryTimeoutMs,
      }),
    warn,
  });
}

/**
 * The name of this data directory in a store, made when first asked for: offsets mean something only together
 * with the logs they belong to, and a new directory begins at 0 again.
 */
function originOf({ root }: Pick<DataLayout, "root">): string {
  const path = join(root, "origin");
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    const origin = randomBytes(ORIGIN_BYTES).toString("hex");
    writeFileSync(path, `${origin}\n`, { flush: true });
    return origin;
  }
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new EscError("CONFIG_INVALID", `Cannot read store.tls_ca '${path}'`, { cause: error });
  }
}
