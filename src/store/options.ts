/** What a store is opened with, and the sink's thread is started with. Structured-cloneable. */
import type { ShardInfo } from "../log/shard-state.ts";
import type { Migration } from "./migrations.ts";

export interface StoreOptions {
  /** The database. */
  readonly backend:
    | { readonly kind: "sqlite"; readonly path: string }
    | {
      readonly kind: "postgres";
      readonly url: string;
      /** Certificates that the server is checked against, PEM. */
      readonly tlsCa?: string;
      readonly connectTimeoutMs: number;
      readonly idleTimeoutMs: number;
      /** Time for one query, and for one commit. */
      readonly deadlineMs: number;
      /** Connections for queries to each server. */
      readonly poolSize: number;
      readonly replicas: readonly string[];
      readonly maxReplicaLagMs: number;
      readonly replicaCheckIntervalMs: number;
    };
  /** Names the data directory whose logs are read: two servers may share a database. */
  readonly origin: string;
  readonly autoMigrate: boolean;
  /** The user's migrations. */
  readonly migrations: readonly Migration[];
}

/** One log that the sink reads. */
export interface SinkShard {
  readonly info: ShardInfo;
  /**
   * Whether only what is on disk is stored, so that a power cut cannot take back what the store has.
   * Only a lane with `durability: none` has no such offset.
   */
  readonly waitsForDisk: boolean;
}

export interface SinkOptions {
  /** Name under which positions are kept. */
  readonly consumer: string;
  /** Patterns of the topics that are stored. */
  readonly topics: readonly string[];
  /** Where a log begins that was never read: at its oldest event, or behind its newest. */
  readonly start: "earliest" | "latest";
  /** Most events, and bytes of frames, of one commit. */
  readonly batchEvents: number;
  readonly batchBytes: number;
  /** Longest time an event waits for others before it is committed. */
  readonly flushIntervalMs: number;
  /** Stored events older than this are deleted; absent: kept for ever. */
  readonly retentionMs?: number;
}

export interface SinkWorkerOptions {
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  /** Block of `sinkCounters(shards)` doubles. */
  readonly counters: SharedArrayBuffer;
  /** One histogram: durations of commits. */
  readonly latencies: SharedArrayBuffer;
  readonly shards: readonly SinkShard[];
  readonly store: StoreOptions;
  readonly sink: SinkOptions;
  /** Where last values are told to; absent: nowhere. */
  readonly fanOut?: {
    readonly redisUrl: string;
    readonly keyPrefix: string;
    readonly channel: string;
    readonly ttlMs: number;
  };
}
