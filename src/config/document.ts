/**
 * `Config` → the file's keys and spelling, complete: what `esc config print` and `/api/v1/config` show,
 * and what two configurations are compared by. Loading it again gives the same `Config`.
 */
import { PRIORITY_NAMES } from "../event/frame.ts";
import type {
  BroadcastTarget,
  Config,
  FileSourceConfig,
  LaneConfig,
  StoreConfig,
  TopicRule,
} from "./config.ts";
import { securityDocument } from "./security-document.ts";
import { feedsDocument } from "./feeds.ts";
import { processingDocument } from "./processing-document.ts";
import { formatDuration, formatSize } from "./units.ts";

export type DocumentValue = string | number | boolean | readonly DocumentValue[] | Document;
export interface Document {
  readonly [key: string]: DocumentValue;
}

const NONE = "none";

/** The configuration in the file's form. Durations and sizes are text with a unit. */
export function toDocument(config: Config): Document {
  const { ingestion, router, control, numa, logging, original } = config;
  return {
    app_name: config.appName,
    version: config.version,
    insecure: config.insecure,
    shutdown_timeout: formatDuration(config.shutdownTimeoutMs),
    data: { dir: config.data.dir },
    ingestion: {
      max_frame_bytes: formatSize(ingestion.maxFrameBytes),
      workers: ingestion.workers,
      queue_bytes: formatSize(ingestion.queueBytes),
      tcp: {
        enable: ingestion.tcp.enable,
        host: ingestion.tcp.host,
        port: ingestion.tcp.port,
        maxConnections: ingestion.tcp.maxConnections,
        idle_timeout: durationOrNone(ingestion.tcp.idleTimeoutMs),
      },
      udp: {
        enable: ingestion.udp.enable,
        host: ingestion.udp.host,
        port: ingestion.udp.port,
        receive_buffer: formatSize(ingestion.udp.receiveBufferBytes),
      },
      file: ingestion.files.map(fileDocument),
    },
    http: {
      host: config.http.host,
      port: config.http.port,
      max_body_bytes: formatSize(config.http.maxBodyBytes),
      max_ndjson_bytes: sizeOrNone(config.http.maxNdjsonBytes),
      websocket_compression: config.http.websocketCompression,
    },
    grpc: { enable: config.grpc.enable, host: config.grpc.host, port: config.grpc.port },
    router: {
      shards: router.shards,
      strategy: router.strategy,
      buffer_size: router.bufferSize,
      pressure_high: router.pressureHigh,
      pressure_critical: router.pressureCritical,
    },
    // Rules of the lanes and of the topics file stand there.
    topics: topicsDocument(config.topics.filter((rule) => rule.source === "config")),
    topics_file: config.topicsFile ?? NONE,
    lanes: Object.fromEntries(config.lanes.map((lane) => [lane.name, laneDocument(lane)])),
    dedup: { window: formatDuration(config.dedup.windowMs), max_ids: config.dedup.maxIds },
    log: {
      segment_bytes: formatSize(config.log.segmentBytes),
      low_free: formatSize(config.log.lowFreeBytes),
      min_free: formatSize(config.log.minFreeBytes),
      max_total_bytes: sizeOrNone(config.log.maxTotalBytes),
      batch_bytes: formatSize(config.log.batchBytes),
    },
    store: storeDocument(config.store),
    cache: {
      redis: config.cache.redis ?? NONE,
      key_prefix: config.cache.keyPrefix,
      ttl: formatDuration(config.cache.ttlMs),
      max_keys: config.cache.maxKeys,
      max_bytes: formatSize(config.cache.maxBytes),
      channel: config.cache.channel,
    },
    ...securityDocument(config),
    control: {
      health_check_interval_sec: formatDuration(control.healthCheckIntervalMs),
      thresholds: {
        max_queue_depth: control.thresholds.maxQueueDepth,
        max_drop_rate: control.thresholds.maxDropRatePercent,
        max_latency_ms: formatDuration(control.thresholds.maxLatencyMs),
        min_events_for_evaluation: control.thresholds.minEventsForEvaluation,
        recovery_factor: control.thresholds.recoveryFactor,
      },
      sla: {
        max_latency: formatDuration(control.sla.maxLatencyMs),
        cooldown: formatDuration(control.sla.cooldownMs),
      },
      policies: {
        auto_resume: control.policies.autoResume,
        max_unhealthy_cycles: control.policies.maxUnhealthyCycles,
        verbose_logging: control.policies.verboseLogging,
      },
    },
    ...processingDocument(config.processing),
    feeds: feedsDocument(config.feeds),
    logging: { level: logging.level, format: logging.format, pattern: logging.pattern ?? NONE },
    numa: {
      enable: numa.enable,
      dispatcher_node: numa.dispatcherNode,
      ingest_node: numa.ingestNode,
      realtime_proc_node: numa.realtimeProcNode,
      transactional_proc_node: numa.transactionalProcNode,
      batch_proc_node: numa.batchProcNode,
    },
    ...originalDocument(original),
  };
}

function fileDocument(file: FileSourceConfig): Document {
  return {
    path: file.path,
    name: file.name,
    topic: file.topic,
    priority: priorityName(file.priority),
    poll_interval: formatDuration(file.pollIntervalMs),
  };
}

/** Topic rules in the form of the section `topics`. */
export function topicsDocument(rules: readonly TopicRule[]): Document {
  return Object.fromEntries(
    rules.map(({ pattern, priority, lane }) => [
      pattern,
      {
        ...(priority === null ? {} : { priority: priorityName(priority) }),
        ...(lane === null ? {} : { lane }),
      },
    ]),
  );
}

function laneDocument(lane: LaneConfig): Document {
  return {
    priorities: lane.priorities.map(priorityName),
    topics: lane.topics,
    shards: lane.shards,
    queue_bytes: formatSize(lane.queueBytes),
    overflow: lane.overflow,
    durability: lane.durability,
    sync_interval: formatDuration(lane.syncIntervalMs),
    retention: {
      max_age: durationOrNone(lane.retention.maxAgeMs),
      max_bytes: sizeOrNone(lane.retention.maxBytes),
    },
    wait: lane.wait,
  };
}

function storeDocument(store: StoreConfig): Document {
  return {
    backend: store.backend,
    topics: store.topics,
    path: store.path ?? NONE,
    url: store.url ?? NONE,
    tls_ca: store.tlsCa ?? NONE,
    replicas: store.replicas,
    max_replica_lag: formatDuration(store.maxReplicaLagMs),
    replica_check_interval: formatDuration(store.replicaCheckIntervalMs),
    pool_size: store.poolSize,
    connect_timeout: formatDuration(store.connectTimeoutMs),
    idle_timeout: formatDuration(store.idleTimeoutMs),
    query_timeout: formatDuration(store.queryTimeoutMs),
    start: store.start,
    batch_events: store.batchEvents,
    batch_bytes: formatSize(store.batchBytes),
    flush_interval: formatDuration(store.flushIntervalMs),
    retention: durationOrNone(store.retentionMs),
    auto_migrate: store.autoMigrate,
    migrations: store.migrations ?? NONE,
  };
}

function originalDocument(original: Config["original"]): Document {
  const { ruleEngine, storage, pythonIntegration, broadcast, plugins, threadsPool } = original;
  return {
    description: original.description,
    author: original.author,
    rule_engine: {
      threads: ruleEngine.threads,
      enable_cache: ruleEngine.enableCache,
      cache_size: ruleEngine.cacheSize,
      rules_file: ruleEngine.rulesFile,
    },
    storage: { backend: storage.backend, path: storage.path, sqlite_path: storage.sqlitePath },
    python_integration: { enable: pythonIntegration.enable, script_path: pythonIntegration.scriptPath },
    broadcast: { tcp_push: target(broadcast.tcpPush), websocket_push: target(broadcast.websocketPush) },
    plugins: { load: plugins.load },
    Threads_pool: { min_threads: threadsPool.minThreads, max_threads: threadsPool.maxThreads },
  };
}

function target({ enable, host, port }: BroadcastTarget): Document {
  return { enable, host, port };
}

function priorityName(priority: number): string {
  return PRIORITY_NAMES[priority] ?? String(priority);
}

function durationOrNone(milliseconds: number | null): string {
  return milliseconds === null ? NONE : formatDuration(milliseconds);
}

function sizeOrNone(bytes: number | null): string {
  return bytes === null ? NONE : formatSize(bytes);
}
