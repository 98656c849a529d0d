/**
 * The configuration as the engine uses it: complete, checked and deeply frozen.
 *
 * Types only, so that importing them costs nothing at run time. Names are the YAML keys in camelCase;
 * durations end in `Ms`, sizes in `Bytes`. `null` means "no limit" or "not set", as the field says.
 * docs/configuration.md describes the keys as users write them; `load.ts` makes this from a file.
 */

import type { AuthOptions } from "../auth/authenticator.ts";

import type { FeedConfig } from "./feeds.ts";
import type { AlertsSpec } from "../process/alerts/desk.ts";
import type { HandlerSpec } from "../process/handlers/registry.ts";
import type { RetrySpec } from "../process/retry.ts";
import type { RuleSpec } from "../process/rules/spec.ts";
import type { WindowSpec } from "../process/windows/spec.ts";

export interface Config {
  readonly appName: string;
  readonly version: string;
  /** Allows listeners on addresses other than loopback although `auth` is off. */
  readonly insecure: boolean;
  /** Time for draining on SIGTERM. */
  readonly shutdownTimeoutMs: number;
  readonly data: DataConfig;
  readonly ingestion: IngestionConfig;
  readonly http: HttpConfig;
  readonly grpc: GrpcConfig;
  readonly router: RouterConfig;
  /** Rules of `topics`, then of the lanes, then of the topics file; each pattern once. */
  readonly topics: readonly TopicRule[];
  /** Path as given, resolved against the folder of the configuration file. */
  readonly topicsFile: string | null;
  /** Default lanes first (realtime, transactional, batch), then the others in the order of the file. */
  readonly lanes: readonly LaneConfig[];
  readonly dedup: DedupConfig;
  readonly log: LogConfig;
  readonly store: StoreConfig;
  readonly cache: CacheConfig;
  readonly auth: AuthConfig;
  readonly tls: TlsConfig;
  readonly limits: LimitsConfig;
  readonly control: ControlConfig;
  readonly processing: ProcessingConfig;
  /** Market data; empty: none, and no thread for it. */
  readonly feeds: readonly FeedConfig[];
  readonly numa: NumaConfig;
  readonly logging: LoggingConfig;
  /** Sections of the original engine that have no effect yet; kept so that they are checked and shown. */
  readonly original: OriginalConfig;
}

export interface DataConfig {
  /** As given: relative to the working directory. */
  readonly dir: string;
}

export interface IngestionConfig {
  /** Largest frame body accepted by any listener. */
  readonly maxFrameBytes: number;
  /** Ingest worker threads, ≥ 1. */
  readonly workers: number;
  /** Ring of each source, a power of two. */
  readonly queueBytes: number;
  readonly tcp: TcpConfig;
  readonly udp: UdpConfig;
  /** Tailed files; empty when there is none or it is switched off. */
  readonly files: readonly FileSourceConfig[];
}

export interface TcpConfig {
  readonly enable: boolean;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxConnections: number;
  /** Closes a connection that has sent nothing for so long; `null`: never. */
  readonly idleTimeoutMs: number | null;
}

export interface UdpConfig {
  readonly enable: boolean;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Socket receive buffer asked of the kernel; it may grant less. */
  readonly receiveBufferBytes: number;
}

export interface FileSourceConfig {
  /** Unique among the files; the checkpoint is stored under it. */
  readonly name: string;
  readonly path: string;
  readonly topic: string;
  /** 0..4. */
  readonly priority: number;
  readonly pollIntervalMs: number;
}

export interface HttpConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Largest request body. */
  readonly maxBodyBytes: number;
  /** `null`: no limit. */
  readonly maxNdjsonBytes: number | null;
  readonly websocketCompression: boolean;
}

export interface GrpcConfig {
  readonly enable: boolean;
  readonly host: string;
  readonly port: number;
}

export interface RouterConfig {
  /** Shards of the lane `transactional` where `lanes.transactional.shards` is not set. */
  readonly shards: number;
  readonly strategy: string;
  /** The original's queue capacity in events; lanes have `queueBytes`. */
  readonly bufferSize: number;
  /** Share of a lane queue (0..1) from which pressure is HIGH. */
  readonly pressureHigh: number;
  /** Share of a lane queue (0..1) from which pressure is CRITICAL; ≥ `pressureHigh`. */
  readonly pressureCritical: number;
}

/** What events of matching topics get: at least one of `priority` and `lane` is set. */
export interface TopicRule {
  /** `*` stands for one token, a final `>` for the rest. */
  readonly pattern: string;
  /** Raises lower priorities to this one (0..4); never lowers. `null`: keeps the event's. */
  readonly priority: number | null;
  /** Name of a lane the events go to whatever their priority; `null`: by priority. */
  readonly lane: string | null;
  readonly source: "config" | "lane" | "topics_file";
}

/** What a full lane queue does: hold the producer, lose the oldest, or lose the newest (to the DLQ). */
export type Overflow = "block" | "drop_old" | "drop_new";
/** fsync before durable; fsync every `syncIntervalMs`; leave it to the operating system. */
export type Durability = "fsync" | "interval" | "none";
/** How an idle lane worker waits. */
export type WaitStrategy = "block" | "yield" | "spin";

export interface LaneConfig {
  readonly name: string;
  /** Priorities routed here, 0..4, ascending. Every priority belongs to exactly one lane. */
  readonly priorities: readonly number[];
  /** Topic patterns routed here whatever their priority; also present in `Config.topics`. */
  readonly topics: readonly string[];
  /** ≥ 1. */
  readonly shards: number;
  /** Queue of each shard, a power of two. */
  readonly queueBytes: number;
  readonly overflow: Overflow;
  readonly durability: Durability;
  /** Used with durability `interval`. */
  readonly syncIntervalMs: number;
  readonly retention: RetentionConfig;
  readonly wait: WaitStrategy;
}

export interface RetentionConfig {
  /** `null`: kept for ever. */
  readonly maxAgeMs: number | null;
  /** Of each shard's log; `null`: no limit. */
  readonly maxBytes: number | null;
}

export interface DedupConfig {
  readonly windowMs: number;
  /** Message ids remembered by each shard. */
  readonly maxIds: number;
}

export interface LogConfig {
  readonly segmentBytes: number;
  /** Free disk space below which somebody should look. */
  readonly lowFreeBytes: number;
  /** Free disk space below which the log refuses to grow. */
  readonly minFreeBytes: number;
  /** Of all logs together; `null`: no limit but retention. */
  readonly maxTotalBytes: number | null;
  /** Most that one group commit writes. */
  readonly batchBytes: number;
}

/** What is kept in a database for queries. */
export interface StoreConfig {
  readonly backend: "sqlite" | "postgres";
  /** Patterns; empty: nothing is stored, and no database is opened. */
  readonly topics: readonly string[];
  /** SQLite file, relative to the working directory; `null`: `store.db` in the data directory. */
  readonly path: string | null;
  /** Set with backend `postgres`. */
  readonly url: string | null;
  readonly tlsCa: string | null;
  readonly replicas: readonly string[];
  readonly maxReplicaLagMs: number;
  readonly replicaCheckIntervalMs: number;
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly start: "earliest" | "latest";
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly flushIntervalMs: number;
  /** `null`: kept for ever. */
  readonly retentionMs: number | null;
  readonly autoMigrate: boolean;
  /** Folder of the user's migrations. */
  readonly migrations: string | null;
}

export interface CacheConfig {
  /** `null`: in this process. */
  readonly redis: string | null;
  readonly keyPrefix: string;
  readonly ttlMs: number;
  readonly maxKeys: number;
  readonly maxBytes: number;
  readonly channel: string;
}

export interface AuthConfig extends AuthOptions {
  readonly enabled: boolean;
  /** File of `jwt.jwks`, as given. */
  readonly jwksFile: string | null;
  /** Who may send datagrams, and to which topics, while auth is on. */
  readonly udp: { readonly sources: readonly string[]; readonly publish: readonly string[] };
}

/** Whether a listener asks clients for a certificate. */
export type ClientAuth = "none" | "optional" | "require";

export interface TlsConfig {
  readonly enabled: boolean;
  /** Paths as given, and what the files hold; set while `enabled`. */
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly caFile: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly ca: string | null;
  readonly clientAuth: ClientAuth;
  readonly tcp: boolean;
  readonly http: boolean;
}

/** `null`: no limit. */
export interface LimitsConfig {
  readonly connectionsPerAddress: number | null;
  readonly connectsPerSecond: number | null;
  readonly eventsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly loginTimeoutMs: number;
  readonly subscriberBufferBytes: number;
}

export interface ControlConfig {
  readonly healthCheckIntervalMs: number;
  readonly thresholds: {
    /** Events. */
    readonly maxQueueDepth: number;
    readonly maxDropRatePercent: number;
    readonly maxLatencyMs: number;
    readonly minEventsForEvaluation: number;
    /** 0..1: a level is left below this share of its threshold. */
    readonly recoveryFactor: number;
  };
  /** What lanes with critical events promise. */
  readonly sla: {
    readonly maxLatencyMs: number;
    readonly cooldownMs: number;
  };
  readonly policies: {
    readonly autoResume: boolean;
    readonly maxUnhealthyCycles: number;
    readonly verboseLogging: boolean;
  };
}

/** `rules`, `windows`, `handlers`, `alerts` and `processing`: what happens to events behind the log. */
export interface ProcessingConfig {
  /** Longest time between two checkpoints while events are processed. */
  readonly checkpointIntervalMs: number;
  /** Where a log begins that was never processed. */
  readonly start: "earliest" | "latest";
  readonly rules: readonly RuleSpec[];
  readonly windows: readonly WindowSpec[];
  readonly handlers: readonly HandlerSpec[];
  /** Folder whose files are handlers, relative to the working directory; `null`: none. */
  readonly handlersFolder: HandlersFolder | null;
  /** How what a handler could not do is tried again. */
  readonly retry: RetrySpec;
  readonly alerts: AlertsSpec;
}

export interface HandlersFolder {
  readonly path: string;
  /** What holds for a handler that says nothing else. */
  readonly defaults: Omit<HandlerSpec, "name" | "use" | "topics">;
}

/** NUMA nodes for threads; -1: not bound. */
export interface NumaConfig {
  readonly enable: boolean;
  readonly dispatcherNode: number;
  readonly ingestNode: number;
  readonly realtimeProcNode: number;
  readonly transactionalProcNode: number;
  readonly batchProcNode: number;
}

export type LoggingLevel = "debug" | "info" | "warn" | "error";

export interface LoggingConfig {
  readonly level: LoggingLevel;
  /** The original's spdlog pattern, which has no effect yet; `null`: not set. */
  readonly pattern: string | null;
  readonly format: "text" | "json";
}

/** The original engine's sections without effect, keys in camelCase. */
export interface OriginalConfig {
  readonly description: string;
  readonly author: string;
  readonly ruleEngine: {
    readonly threads: number;
    readonly enableCache: boolean;
    readonly cacheSize: number;
    readonly rulesFile: string;
  };
  readonly storage: { readonly backend: string; readonly path: string; readonly sqlitePath: string };
  readonly pythonIntegration: { readonly enable: boolean; readonly scriptPath: string };
  readonly broadcast: { readonly tcpPush: BroadcastTarget; readonly websocketPush: BroadcastTarget };
  readonly plugins: { readonly load: readonly string[] };
  readonly threadsPool: { readonly minThreads: number; readonly maxThreads: number };
}

export interface BroadcastTarget {
  readonly enable: boolean;
  readonly host: string;
  readonly port: number;
}
