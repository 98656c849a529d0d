/**
 * What a lane worker thread is started with. Everything in it is structured-cloneable, and everything
 * that must survive the thread lies in the shared memory it names.
 */
import type { ShardInfo } from "../log/shard-state.ts";
import type { RingMemory } from "../queue/ring.ts";
import type { VerdictPath } from "../queue/verdicts.ts";
import type { WaitStrategy } from "../queue/wait.ts";

/** When an event counts as safe: see SPEC section 4. */
export type Durability = "fsync" | "interval" | "none";

export interface DedupOptions {
  /** A repeat within this time after the first is a duplicate. */
  readonly windowMs: number;
  /** Most ids remembered; beyond, the oldest is forgotten. */
  readonly idsMax: number;
}

export interface RetentionOptions {
  readonly maxAgeMs?: number;
  readonly maxBytes?: number;
}

/** One shard, as its lane worker sees it. */
export interface LaneShardOptions {
  readonly info: ShardInfo;
  /** Rings whose runs go to this shard's log, each with one writer: the dispatcher's first. */
  readonly inputs: readonly RingMemory[];
  /** Memory from `createHand()`: the batch in hand outlives the thread. */
  readonly hand: SharedArrayBuffer;
  /** Memory from `createIntent()`: what is being done with it. */
  readonly intent: SharedArrayBuffer;
  /** Block of LANE_COUNTERS doubles. */
  readonly counters: SharedArrayBuffer;
  /** Memory from `createShardLatencies()`. */
  readonly latencies: SharedArrayBuffer;
  readonly durability: Durability;
  /** With `interval`: longest time between a write and its sync. */
  readonly syncIntervalMs: number;
  readonly segmentBytes: number;
  /** Free bytes on the disk below which no new segment is begun (`log.min_free`). */
  readonly minFreeBytes: number;
  readonly retention: RetentionOptions;
  /** Absent: message ids are not looked at (the dead-letter log). */
  readonly dedup?: DedupOptions;
}

/** What a running lane can take over: retention of its log, and how long message ids are remembered. */
export interface LaneLimits {
  readonly retention: RetentionOptions;
  readonly dedupWindowMs: number;
}

/** Posted to a lane worker: new limits of the shards it hosts, in the order of `LaneWorkerOptions.shards`. */
export interface LaneLimitsMessage {
  readonly type: "limits";
  readonly shards: readonly LaneLimits[];
}

export interface LaneWorkerOptions {
  /** This thread's control block and doorbell. */
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly wait: WaitStrategy;
  /** CPUs this thread is bound to; absent: any. */
  readonly cpus?: readonly number[];
  readonly shards: readonly LaneShardOptions[];
  /** Back to each source thread, in the order of source numbers (the `source` byte of a run). */
  readonly sources: readonly VerdictPath[];
}
