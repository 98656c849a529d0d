/**
 * All counters and histograms of all threads, read at one moment, added up the way the outside sees
 * them: `/api/v1/stats`, `/metrics` and the control plane show the same numbers.
 *
 * Counters are read consumers first: an event moves source → lane → log, so what is read of the log can
 * never be ahead of what is read of the source, and `received ≥ accepted + rejected + duplicates` holds in
 * every snapshot.
 */
import { DROP_REASONS, LISTENERS, REJECT_REASONS } from "../event/frame.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import { ringDepthBytes, type RingMemory } from "../queue/ring.ts";
import { openCounters } from "./counters.ts";
import { Histogram } from "./histogram.ts";
import {
  type LatencyStage,
  openSourceLatency,
  SHARD_APPEND,
  SHARD_FSYNC,
  SHARD_PROCESS,
  SHARD_QUEUE,
  SOURCE_ACK,
  SOURCE_DELIVER,
} from "./latency.ts";
import {
  DEAD_LETTERS,
  DEAD_LETTERS_LOST,
  DISPATCH_DOWNGRADED,
  DISPATCH_DROPPED,
  DISPATCH_FULL,
  DISPATCH_PARKED_BYTES,
  DISPATCH_PRESSURE,
  DISPATCH_UPGRADED,
  LANE_ACCEPTED,
  LANE_BATCHES,
  LANE_BYTES,
  LANE_CORRUPT,
  LANE_DROPPED,
  LANE_DUPLICATES,
  LANE_DURABLE,
  LANE_FAILED,
  LANE_PROCESSED,
  LIMITS,
  SOURCE_AUTH_FAILURES,
  SOURCE_BYTES,
  SOURCE_CONNECTIONS,
  SOURCE_CONNECTIONS_REFUSED,
  SOURCE_CONNECTIONS_TOTAL,
  SOURCE_DATAGRAMS,
  SOURCE_DELIVERED,
  SOURCE_LIMITED,
  SOURCE_PAUSED,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
  SOURCE_SLOW,
  SOURCE_SUBSCRIBERS,
} from "./layout.ts";

/** Lane of the dead-letter log: shown beside the others, not added to them. */
const DLQ_LANE = "dlq";

/** Blocks of one source thread. */
export interface SourceMeters {
  /** Its ring to the dispatcher. */
  readonly ring: RingMemory;
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
}

/** Blocks of one shard. */
export interface ShardMeters {
  readonly info: ShardInfo;
  readonly queue: RingMemory;
  readonly parking: RingMemory;
  /** What its lane worker has taken out of the queue: see `process/hand.ts`. */
  readonly hand: SharedArrayBuffer;
  readonly intent: SharedArrayBuffer;
  /** Written by the dispatcher. */
  readonly dispatch: SharedArrayBuffer;
  /** Written by the lane worker. */
  readonly lane: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  /** Where a processor has taken the counting of processed events over. */
  readonly processor?: ProcessorMeters;
}

/** What a processor counts of one shard. */
export interface ProcessorMeters {
  /** One double a shard, by the shard's index: events processed since start. */
  readonly processed: SharedArrayBuffer;
  /** Block of shard latencies of which only `SHARD_PROCESS` is used. */
  readonly latencies: SharedArrayBuffer;
}

/** Everything there is to read. */
export interface Meters {
  readonly sources: readonly SourceMeters[];
  /** In the order of the engine's list of shards. */
  readonly shards: readonly ShardMeters[];
  /** Blocks of the threads that write dead letters. */
  readonly deadLetters: readonly SharedArrayBuffer[];
}

export interface ShardSnapshot {
  readonly shard: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly durableOffset: number;
  readonly logBytes: number;
  /** Bytes in its queue, parked ones included. */
  readonly depthBytes: number;
  readonly capacityBytes: number;
  /** Whether its log cannot be written now. */
  readonly isFailed: boolean;
  /** 0 normal, 1 high, 2 critical. */
  readonly pressure: number;
}

/** What is counted of a lane. */
export interface LaneCounts {
  readonly name: string;
  accepted: number;
  durable: number;
  processed: number;
  duplicates: number;
  /** By index of DROP_REASONS. */
  readonly dropped: number[];
  upgraded: number;
  downgraded: number;
  batches: number;
  writtenBytes: number;
  corruptBatches: number;
  /** Times a full queue was met. */
  fullCount: number;
  readonly shards: ShardSnapshot[];
}

/** What is measured of a lane. */
export interface LaneLatencies {
  readonly latencies: { readonly queue: Histogram; readonly append: Histogram; readonly process: Histogram };
  readonly ack: Histogram;
  readonly deliver: Histogram;
  readonly fsync: Histogram;
}

export interface LaneSnapshot extends LaneCounts, LaneLatencies {}

/** All counters, without the histograms. */
export interface Counts {
  /** By index of LISTENERS. */
  readonly received: number[];
  readonly receivedBytes: number[];
  readonly connections: number[];
  readonly connectionsTotal: number[];
  /** By index of REJECT_REASONS. */
  readonly rejected: number[];
  datagrams: number;
  connectionsRefused: number;
  pausedConnections: number;
  subscribers: number;
  /** Those that take less than comes, by index of LISTENERS. */
  readonly slowSubscribers: number[];
  delivered: number;
  authFailures: number;
  /** By index of LIMITS. */
  readonly limited: number[];
  /** Without the dead-letter lane, in configuration order. */
  readonly lanes: readonly LaneCounts[];
  readonly dlq: LaneCounts | undefined;
  /** Events handed to the dead-letter log, by index of DROP_REASONS. */
  readonly deadLetters: number[];
  /** Dead letters lost because their ring was full. */
  deadLettersLost: number;
}

export interface Snapshot extends Counts {
  readonly lanes: readonly LaneSnapshot[];
  readonly dlq: LaneSnapshot | undefined;
}

/** Reads everything. Main thread; costs a millisecond or two, no other thread notices. */
export function takeSnapshot(meters: Meters): Snapshot {
  const counts = takeCounts(meters);
  const measured = (lane: LaneCounts): LaneSnapshot => ({ ...lane, ...addLatencies(lane.name, meters) });
  return {
    ...counts,
    lanes: counts.lanes.map(measured),
    dlq: counts.dlq === undefined ? undefined : measured(counts.dlq),
  };
}

/** Reads the counters only: some ten microseconds, for who looks every second. Main thread. */
export function takeCounts(meters: Meters): Counts {
  const lanes = new Map<string, LaneCounts>();
  for (const shard of meters.shards) {
    let lane = lanes.get(shard.info.lane);
    if (!lane) lanes.set(shard.info.lane, lane = emptyLane(shard.info.lane));
    addShard(lane, shard);
  }
  const snapshot: Counts = {
    received: zeros(LISTENERS.length),
    receivedBytes: zeros(LISTENERS.length),
    connections: zeros(LISTENERS.length),
    connectionsTotal: zeros(LISTENERS.length),
    rejected: zeros(REJECT_REASONS.length),
    datagrams: 0,
    connectionsRefused: 0,
    pausedConnections: 0,
    subscribers: 0,
    slowSubscribers: zeros(LISTENERS.length),
    delivered: 0,
    authFailures: 0,
    limited: zeros(LIMITS.length),
    lanes: [...lanes.values()].filter((lane) => lane.name !== DLQ_LANE),
    dlq: lanes.get(DLQ_LANE),
    deadLetters: zeros(DROP_REASONS.length),
    deadLettersLost: 0,
  };
  for (const memory of meters.deadLetters) {
    const counters = openCounters(memory);
    addRange(snapshot.deadLetters, counters, DEAD_LETTERS);
    snapshot.deadLettersLost += counters[DEAD_LETTERS_LOST] as number;
  }
  for (const source of meters.sources) addSource(snapshot, openCounters(source.counters));
  return snapshot;
}

/** Sum of a list of counters. */
export function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function addShard(lane: LaneCounts, shard: ShardMeters): void {
  const work = openCounters(shard.lane);
  const dispatch = openCounters(shard.dispatch);
  const at = (counters: Float64Array, index: number) => counters[index] as number;
  const { processor } = shard;
  lane.processed += processor === undefined
    ? at(work, LANE_PROCESSED)
    : at(openCounters(processor.processed), shard.info.index);
  lane.durable += at(work, LANE_DURABLE);
  lane.accepted += at(work, LANE_ACCEPTED);
  lane.duplicates += at(work, LANE_DUPLICATES);
  lane.batches += at(work, LANE_BATCHES);
  lane.writtenBytes += at(work, LANE_BYTES);
  lane.corruptBatches += at(work, LANE_CORRUPT) + new ShardState(shard.info.state).corruptCount;
  for (let reason = 0; reason < DROP_REASONS.length; reason++) {
    const byDispatcher = at(dispatch, DISPATCH_DROPPED + reason);
    lane.dropped[reason] = (lane.dropped[reason] as number) + at(work, LANE_DROPPED + reason) + byDispatcher;
    // The lane worker never saw these: they are accepted and dropped in one step.
    lane.accepted += byDispatcher;
  }
  lane.upgraded += at(dispatch, DISPATCH_UPGRADED);
  lane.downgraded += at(dispatch, DISPATCH_DOWNGRADED);
  lane.fullCount += at(dispatch, DISPATCH_FULL);
  const state = new ShardState(shard.info.state);
  lane.shards.push({
    shard: shard.info.shard,
    firstOffset: state.firstOffset,
    // Durable before next: the other order could show durable > next.
    durableOffset: state.durableOffset,
    nextOffset: state.nextOffset,
    logBytes: state.logBytes,
    depthBytes: ringDepthBytes(shard.queue) + at(dispatch, DISPATCH_PARKED_BYTES),
    capacityBytes: shard.queue.data.byteLength,
    isFailed: at(work, LANE_FAILED) !== 0,
    pressure: at(dispatch, DISPATCH_PRESSURE),
  });
}

/** The histograms of one stage of a lane: one a shard, and where sources measure, one a shard and source. */
export function histogramsOf(lane: string, stage: LatencyStage | "fsync", meters: Meters): Histogram[] {
  return meters.shards.filter(({ info }) => info.lane === lane).flatMap((shard) => {
    const measuredBySource = (number: number) =>
      meters.sources.map(({ latencies }) => openSourceLatency(latencies, shard.info.index, number));
    switch (stage) {
      case "queue":
        return [new Histogram(shard.latencies, SHARD_QUEUE)];
      case "append":
        return [new Histogram(shard.latencies, SHARD_APPEND)];
      case "process":
        return [new Histogram(shard.processor?.latencies ?? shard.latencies, SHARD_PROCESS)];
      case "fsync":
        return [new Histogram(shard.latencies, SHARD_FSYNC)];
      case "ack":
        return measuredBySource(SOURCE_ACK);
      case "deliver":
        return measuredBySource(SOURCE_DELIVER);
    }
  });
}

function addLatencies(lane: string, meters: Meters): LaneLatencies {
  const all = (stage: LatencyStage | "fsync") => {
    const sum = Histogram.empty();
    for (const histogram of histogramsOf(lane, stage, meters)) sum.add(histogram);
    return sum;
  };
  return {
    latencies: { queue: all("queue"), append: all("append"), process: all("process") },
    ack: all("ack"),
    deliver: all("deliver"),
    fsync: all("fsync"),
  };
}

function addSource(snapshot: Counts, counters: Float64Array): void {
  addRange(snapshot.rejected, counters, SOURCE_REJECTED);
  addRange(snapshot.received, counters, SOURCE_RECEIVED);
  addRange(snapshot.receivedBytes, counters, SOURCE_BYTES);
  addRange(snapshot.connections, counters, SOURCE_CONNECTIONS);
  addRange(snapshot.connectionsTotal, counters, SOURCE_CONNECTIONS_TOTAL);
  snapshot.datagrams += counters[SOURCE_DATAGRAMS] as number;
  snapshot.connectionsRefused += counters[SOURCE_CONNECTIONS_REFUSED] as number;
  snapshot.pausedConnections += counters[SOURCE_PAUSED] as number;
  snapshot.subscribers += counters[SOURCE_SUBSCRIBERS] as number;
  snapshot.delivered += counters[SOURCE_DELIVERED] as number;
  snapshot.authFailures += counters[SOURCE_AUTH_FAILURES] as number;
  addRange(snapshot.slowSubscribers, counters, SOURCE_SLOW);
  addRange(snapshot.limited, counters, SOURCE_LIMITED);
}

function addRange(sums: number[], counters: Float64Array, from: number): void {
  for (let index = 0; index < sums.length; index++) {
    sums[index] = (sums[index] as number) + (counters[from + index] as number);
  }
}

function zeros(length: number): number[] {
  return new Array<number>(length).fill(0);
}

function emptyLane(name: string): LaneCounts {
  return {
    name,
    accepted: 0,
    durable: 0,
    processed: 0,
    duplicates: 0,
    dropped: zeros(DROP_REASONS.length),
    upgraded: 0,
    downgraded: 0,
    batches: 0,
    writtenBytes: 0,
    corruptBatches: 0,
    fullCount: 0,
    shards: [],
  };
}
