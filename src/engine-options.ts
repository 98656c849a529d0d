/**
 * Config and shared memory → the options each worker thread is started with.
 */
import type { Config, LaneConfig } from "./config/config.ts";
import type { DataLayout } from "./data-directory.ts";
import type { DispatchWorkerOptions } from "./dispatch/options.ts";
import type { RouteOptions, RouteTopic } from "./dispatch/route.ts";
import type { ThreadCpus } from "./engine-affinity.ts";
import type { EngineMemory, ShardMemory, SourceMemory } from "./engine-memory.ts";
import type { SessionLimitOptions } from "./ingest/session-limits.ts";
import type { TlsListenerOptions } from "./ingest/tcp.ts";
import type { IngestWorkerOptions } from "./ingest/worker.ts";
import type { LaneLimits, LaneShardOptions, LaneWorkerOptions } from "./process/options.ts";

/** Dead letters are few and precious: kept for long, synced soon. */
const DEAD_LETTER_SYNC_MS = 100;

export function laneOptions(
  thread: number,
  config: Config,
  memory: EngineMemory,
  cpus: ThreadCpus,
): LaneWorkerOptions {
  const hosted = memory.shards.filter((shard) => shard.thread === thread);
  const own = memory.laneThreads[thread];
  if (own === undefined) throw new RangeError(`There is no lane thread ${thread}`);
  return {
    control: own.control,
    doorbell: own.doorbell,
    wait: hosted[0]?.lane?.wait ?? "block",
    ...bound(cpus.lanes[hosted[0]?.info.lane ?? ""]),
    shards: hosted.map((shard) => laneShardOptions(shard, config, memory)),
    // Behind the sources the sink, which has no number: nothing it could have sent is ever answered.
    sources: [...memory.sources, ...(memory.sink === undefined ? [] : [memory.sink])].map((source) => ({
      completions: at(source.fromLanes, thread),
      doorbell: source.doorbell,
      control: source.control,
    })),
  };
}

function laneShardOptions(shard: ShardMemory, config: Config, memory: EngineMemory): LaneShardOptions {
  const { info, lane } = shard;
  const { processor, groupLetters } = memory;
  const letters = lane !== undefined
    ? []
    : [groupLetters.deadLetterRing, ...(processor === undefined ? [] : [processor.deadLetterRing])];
  return {
    info,
    inputs: [shard.ring, ...letters],
    hand: shard.hand,
    intent: shard.intent,
    counters: shard.laneCounters,
    latencies: shard.latencies,
    durability: lane?.durability ?? "interval",
    syncIntervalMs: lane?.syncIntervalMs ?? DEAD_LETTER_SYNC_MS,
    segmentBytes: config.log.segmentBytes,
    minFreeBytes: config.log.minFreeBytes,
    retention: lane === undefined ? {} : retentionOf(lane),
    ...(lane === undefined
      ? {}
      : { dedup: { windowMs: config.dedup.windowMs, idsMax: config.dedup.maxIds } }),
  };
}

/** What the shards that a lane thread hosts take over while they run. */
export function laneLimits(thread: number, config: Config, memory: EngineMemory): LaneLimits[] {
  const { windowMs: dedupWindowMs } = config.dedup;
  return memory.shards.filter((shard) => shard.thread === thread).map(({ info }) => {
    const lane = config.lanes.find(({ name }) => name === info.lane);
    return { retention: lane === undefined ? {} : retentionOf(lane), dedupWindowMs };
  });
}

function retentionOf(lane: LaneConfig): LaneShardOptions["retention"] {
  const { maxAgeMs, maxBytes } = lane.retention;
  return { ...(maxAgeMs === null ? {} : { maxAgeMs }), ...(maxBytes === null ? {} : { maxBytes }) };
}

export function dispatchOptions(
  config: Config,
  memory: EngineMemory,
  cpus: ThreadCpus,
): DispatchWorkerOptions {
  const deadLetters = at(memory.shards, memory.shards.length - 1);
  return {
    control: memory.dispatcher.control,
    doorbell: memory.dispatcher.doorbell,
    wait: "block",
    ...bound(cpus.dispatcher),
    pressure: { high: config.router.pressureHigh, critical: config.router.pressureCritical },
    sources: memory.sources.map((source) => ({
      ring: source.ring,
      completions: source.fromDispatcher,
      doorbell: source.doorbell,
      control: source.control,
      blocked: source.blocked,
    })),
    shards: memory.shards.flatMap((shard) =>
      shard.lane === undefined ? [] : [{
        info: shard.info,
        ring: shard.ring,
        parking: shard.parking,
        laneDoorbell: at(memory.laneThreads, shard.thread).doorbell,
        overflow: shard.lane.overflow,
        counters: shard.dispatchCounters,
      }]
    ),
    deadLetters: {
      ring: deadLetters.ring,
      doorbell: at(memory.laneThreads, deadLetters.thread).doorbell,
      counters: memory.deadLetterCounters,
    },
    routes: routeOptions(config, memory),
    topics: memory.topics,
  };
}

/** The topic table as the dispatcher takes it. */
export function routeOptions(config: Config, memory: EngineMemory): RouteOptions {
  return {
    lanes: config.lanes.map((lane) => ({
      name: lane.name,
      priorities: lane.priorities,
      topics: lane.topics,
      firstShard: memory.shards.findIndex((shard) => shard.info.lane === lane.name),
      shardCount: lane.shards,
    })),
    topics: config.topics.map((rule): RouteTopic => ({
      pattern: rule.pattern,
      ...(rule.priority === null ? {} : { priority: rule.priority }),
      ...(rule.lane === null ? {} : { lane: rule.lane }),
    })),
  };
}

export function ingestOptions(
  source: SourceMemory,
  config: Config,
  memory: EngineMemory,
  layout: DataLayout,
  version: string,
  cpus: ThreadCpus,
  tcpDescriptor: number | undefined,
): IngestWorkerOptions {
  const { tcp, udp, files, maxFrameBytes, workers } = config.ingestion;
  const isFirst = source.index === 0;
  return {
    index: source.index,
    control: source.control,
    doorbell: source.doorbell,
    ring: source.ring,
    completions: [source.fromDispatcher, ...source.fromLanes],
    counters: source.counters,
    latencies: source.latencies,
    blocked: source.blocked,
    dispatcherDoorbell: memory.dispatcher.doorbell,
    shards: memory.shards.map((shard) => shard.info),
    maxFrameBytes,
    serverVersion: version,
    checkpointsDirectory: layout.checkpoints,
    ...bound(cpus.ingest),
    ...(tcp.enable
      ? {
        tcp: {
          host: tcp.host,
          port: tcp.port,
          maxConnections: tcp.maxConnections,
          idleTimeoutMs: tcp.idleTimeoutMs,
          portShares: workers,
          descriptor: tcpDescriptor,
          limits: {
            perAddress: config.limits.connectionsPerAddress,
            perSecond: config.limits.connectsPerSecond,
          },
          loginTimeoutMs: config.limits.loginTimeoutMs,
          tls: config.tls.tcp ? tlsOptions(config) : undefined,
        },
      }
      : {}),
    // One socket and one reader for what cannot be shared: datagrams and files.
    ...(udp.enable && isFirst
      ? {
        udp: {
          host: udp.host,
          port: udp.port,
          receiveBufferBytes: udp.receiveBufferBytes,
          ...(config.auth.enabled ? { allow: config.auth.udp } : {}),
        },
      }
      : {}),
    asksWho: config.auth.enabled,
    limits: limitOptions(config, memory),
    files: isFirst ? files : [],
  };
}

/** What one client may use, on any listener. */
export function limitOptions({ limits }: Config, memory: EngineMemory): SessionLimitOptions {
  return { rates: limits, rateTable: memory.rates, outboxBytesMax: limits.subscriberBufferBytes };
}

/** Certificate and key of the listeners; `undefined` without TLS. */
export function tlsOptions({ tls }: Config): TlsListenerOptions | undefined {
  const { cert, key, ca, clientAuth } = tls;
  return tls.enabled && cert !== null && key !== null ? { cert, key, ca, clientAuth } : undefined;
}

function bound(cpus: readonly number[] | undefined): { readonly cpus?: readonly number[] } {
  return cpus === undefined ? {} : { cpus };
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`Nothing at ${index} of ${list.length}`);
  return value;
}
