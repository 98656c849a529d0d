/** The checked file → the engine's `Config`: names, units, and everything that two keys decide together. */
import { basename, extname } from "node:path";
import type { Config, FileSourceConfig } from "./config.ts";
import { powerOfTwo, resolveLanes } from "./lanes.ts";
import { checkListeners } from "./listeners.ts";
import type { Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";
import { authConfig, checkSecurity, limitsConfig, tlsConfig } from "./security.ts";
import { feedsConfig } from "./feeds.ts";
import { processingConfig } from "./processing.ts";
import { cacheConfig, checkStore, storeConfig } from "./store.ts";
import type { TopicLine } from "./topics-file.ts";
import { resolveTopics } from "./topics.ts";

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/**
 * Frames of the largest size that a queue holds. A ring skips its rest to keep a record in one piece, so half
 * of it must hold the largest; the other half lets the writer go on while the reader has that one in hand.
 */
export const QUEUE_FRAMES_MIN = 4;

/** Makes the configuration; what does not fit together goes to `report`, and the result is then void. */
export function buildConfig(
  file: CheckedFile,
  { fileTopics, readText }: { fileTopics: readonly TopicLine[]; readText: (path: string) => string },
  report: Report,
): Config {
  const { ingestion, control, numa } = file;
  const queueBytesMin = QUEUE_FRAMES_MIN * ingestion.max_frame_bytes;
  const lanes = resolveLanes(file.lanes, { routerShards: file.router.shards, queueBytesMin }, report);
  const config: Config = {
    appName: file.app_name,
    version: file.version,
    insecure: file.insecure,
    shutdownTimeoutMs: file.shutdown_timeout,
    data: { dir: file.data.dir },
    ingestion: {
      maxFrameBytes: ingestion.max_frame_bytes,
      workers: ingestion.workers,
      queueBytes: powerOfTwo(Math.max(ingestion.queue_bytes, queueBytesMin)),
      tcp: {
        enable: ingestion.tcp.enable,
        host: ingestion.tcp.host,
        port: ingestion.tcp.port,
        maxConnections: ingestion.tcp.maxConnections,
        idleTimeoutMs: ingestion.tcp.idle_timeout,
      },
      udp: {
        enable: ingestion.udp.enable,
        host: ingestion.udp.host,
        port: ingestion.udp.port,
        receiveBufferBytes: ingestion.udp.receive_buffer ??
          Math.max(RECEIVE_BUFFER_BYTES, ingestion.udp.bufferSize),
      },
      files: fileSources(ingestion.file, report),
    },
    http: {
      host: file.http.host,
      port: file.http.port,
      maxBodyBytes: file.http.max_body_bytes,
      maxNdjsonBytes: file.http.max_ndjson_bytes,
      websocketCompression: file.http.websocket_compression,
    },
    grpc: file.grpc,
    router: {
      shards: file.router.shards,
      strategy: file.router.strategy,
      bufferSize: file.router.buffer_size,
      pressureHigh: file.router.pressure_high,
      pressureCritical: file.router.pressure_critical,
    },
    topics: resolveTopics(file.topics, lanes, fileTopics, report),
    topicsFile: file.topics_file,
    lanes,
    dedup: { windowMs: file.dedup.window, maxIds: file.dedup.max_ids },
    log: {
      segmentBytes: file.log.segment_bytes,
      lowFreeBytes: file.log.low_free,
      minFreeBytes: file.log.min_free,
      maxTotalBytes: file.log.max_total_bytes,
      batchBytes: file.log.batch_bytes,
    },
    store: storeConfig(file.store),
    cache: cacheConfig(file.cache),
    auth: authConfig(file.auth, readText, report),
    tls: tlsConfig(file.tls, readText, report),
    limits: limitsConfig(file.limits),
    control: {
      healthCheckIntervalMs: control.health_check_interval_sec,
      thresholds: {
        maxQueueDepth: control.thresholds.max_queue_depth,
        maxDropRatePercent: control.thresholds.max_drop_rate,
        maxLatencyMs: control.thresholds.max_latency_ms,
        minEventsForEvaluation: control.thresholds.min_events_for_evaluation,
        recoveryFactor: control.thresholds.recovery_factor,
      },
      sla: { maxLatencyMs: control.sla.max_latency, cooldownMs: control.sla.cooldown },
      policies: {
        autoResume: control.policies.auto_resume,
        maxUnhealthyCycles: control.policies.max_unhealthy_cycles,
        verboseLogging: control.policies.verbose_logging,
      },
    },
    processing: processingConfig(file, report),
    feeds: feedsConfig(file.feeds, readText, report),
    numa: {
      enable: numa.enable,
      dispatcherNode: numa.dispatcher_node,
      ingestNode: numa.ingest_node,
      realtimeProcNode: numa.realtime_proc_node,
      transactionalProcNode: numa.transactional_proc_node,
      batchProcNode: numa.batch_proc_node,
    },
    logging: file.logging,
    original: originalOf(file),
  };
  checkTogether(config, report);
  return config;
}

function originalOf(file: CheckedFile): Config["original"] {
  const { rule_engine: rules, storage, broadcast } = file;
  return {
    description: file.description,
    author: file.author,
    ruleEngine: {
      threads: rules.threads,
      enableCache: rules.enable_cache,
      cacheSize: rules.cache_size,
      rulesFile: rules.rules_file,
    },
    storage: { backend: storage.backend, path: storage.path, sqlitePath: storage.sqlite_path },
    pythonIntegration: {
      enable: file.python_integration.enable,
      scriptPath: file.python_integration.script_path,
    },
    broadcast: { tcpPush: broadcast.tcp_push, websocketPush: broadcast.websocket_push },
    plugins: file.plugins,
    threadsPool: { minThreads: file.Threads_pool.min_threads, maxThreads: file.Threads_pool.max_threads },
  };
}

/** The files that are switched on. A single file in the original's form has no index in its path. */
function fileSources(file: CheckedFile["ingestion"]["file"], report: Report): FileSourceConfig[] {
  const entries = Array.isArray(file) ? file : [file];
  const sources: FileSourceConfig[] = [];
  for (const [index, entry] of entries.entries()) {
    if (!entry.enable) continue;
    const path = Array.isArray(file) ? ["ingestion", "file", index] : ["ingestion", "file"];
    if (entry.path === "") report([...path, "path"], "a file to follow needs a path");
    const fileName = basename(entry.path);
    const name = entry.name ?? fileName;
    if (sources.some((source) => source.name === name)) {
      report([...path, "name"], `two files are named "${name}"; give one of them another name`);
    }
    sources.push({
      name,
      path: entry.path,
      topic: entry.topic ?? basename(fileName, extname(fileName)),
      priority: entry.priority,
      pollIntervalMs: entry.poll_interval ?? entry.poll_interval_ms,
    });
  }
  return sources;
}

function checkTogether(config: Config, report: Report): void {
  checkListeners(config, report);
  checkStore(config, report);
  checkSecurity(config, report);
  const { ingestion, router, log } = config;
  if (router.pressureHigh > router.pressureCritical) {
    report(["router", "pressure_high"], "router.pressure_high must not be above router.pressure_critical");
  }
  // Smaller queues were raised; beyond the largest ring nothing can be raised.
  const queueBytesMin = QUEUE_FRAMES_MIN * ingestion.maxFrameBytes;
  const tooSmall =
    `must be at least ${QUEUE_FRAMES_MIN} times ingestion.max_frame_bytes (${ingestion.maxFrameBytes})`;
  if (ingestion.queueBytes < queueBytesMin) {
    report(["ingestion", "queue_bytes"], `ingestion.queue_bytes ${tooSmall}`);
  }
  for (const { name, queueBytes } of config.lanes) {
    if (queueBytes < queueBytesMin) {
      report(["lanes", name, "queue_bytes"], `queue_bytes of lane "${name}" ${tooSmall}`);
    }
  }
  if (log.segmentBytes < log.batchBytes) {
    report(["log", "segment_bytes"], "log.segment_bytes must not be below log.batch_bytes");
  }
}
