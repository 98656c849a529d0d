/**
 * The conservation ledger: where every event went that was received since start.
 *
 *     received      = rejected + Σ lanes.received + unrouted
 *     lane.received = stored + duplicates + dropped before it was stored + in flight
 *     stored        = appended to the log
 *
 * While events are under way the counters of several threads cannot be read at one moment, so a difference means
 * something only when nothing moves: when two readings are equal and all queues are empty. Main thread.
 */
import { DROP_REASONS } from "../event/frame.ts";
import { ShardState } from "../log/shard-state.ts";
import { ringDepthBytes } from "../queue/ring.ts";
import { openCounters } from "../metrics/counters.ts";
import {
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  DISPATCH_PARKED_BYTES,
  LANE_ACCEPTED,
  LANE_DROPPED,
  LANE_DUPLICATES,
  LANE_DURABLE,
} from "../metrics/layout.ts";
import { type Meters, type ShardMeters, takeSnapshot, total } from "../metrics/snapshot.ts";

/** Two readings less apart say nothing about rest. */
const REST_MS_MIN = 50;
const DLQ_LANE = "dlq";
const QUEUE_FULL = DROP_REASONS.indexOf("queue_full");
const LOG_FAILED = DROP_REASONS.indexOf("log_failed");

export interface LaneLedger {
  readonly lane: string;
  received: number;
  /** Written to the log, as the lane worker counts it; and by how much the log has grown. */
  stored: number;
  appended: number;
  duplicates: number;
  /** By reason; events that died after they were stored are not among them. */
  readonly dropped: Record<string, number>;
  in_flight: number;
}

export interface LedgerReading {
  readonly received: number;
  readonly rejected: number;
  /** Read, and not yet given to a lane. */
  readonly unrouted: number;
  readonly lanes: readonly LaneLedger[];
  /** Whether nothing moves and nothing waits: only then can an imbalance be told. */
  readonly is_settled: boolean;
  /** Events that are unaccounted for, or counted twice; 0 while not settled. */
  readonly imbalance: number;
}

export class Ledger {
  readonly #meters: Meters;
  #last = "";
  #lastMs = -Infinity;

  constructor(meters: Meters) {
    this.#meters = meters;
  }

  read(): LedgerReading {
    const lanes = new Map<string, LaneLedger>();
    let depthBytes = 0;
    // Consumers first, as everywhere: what is read of the log can never be ahead of what is read of the source.
    for (const shard of this.#meters.shards) {
      if (shard.info.lane === DLQ_LANE) continue;
      let lane = lanes.get(shard.info.lane);
      if (lane === undefined) lanes.set(shard.info.lane, lane = emptyLane(shard.info.lane));
      depthBytes += addShard(lane, shard);
    }
    const snapshot = takeSnapshot(this.#meters);
    const list = [...lanes.values()];
    const received = total(snapshot.received);
    const rejected = total(snapshot.rejected);
    const unrouted = received - rejected - total(list.map((lane) => lane.received));
    const isSettled = this.#isUnchanged(JSON.stringify([received, rejected, list])) && depthBytes === 0;
    const imbalance = Math.abs(unrouted) + total(list.map(imbalanceOf));
    return {
      received,
      rejected,
      unrouted,
      lanes: list,
      is_settled: isSettled,
      imbalance: isSettled ? imbalance : 0,
    };
  }

  #isUnchanged(reading: string): boolean {
    const nowMs = performance.now();
    if (reading === this.#last) return nowMs - this.#lastMs >= REST_MS_MIN;
    this.#last = reading;
    this.#lastMs = nowMs;
    return false;
  }
}

/** @returns Bytes that wait before the shard. */
function addShard(lane: LaneLedger, shard: ShardMeters): number {
  const at = (counters: Float64Array, index: number) => counters[index] as number;
  const work = openCounters(shard.lane);
  const dispatch = openCounters(shard.dispatch);
  const state = new ShardState(shard.info.state);
  const failed = at(work, LANE_DROPPED + LOG_FAILED);
  const stored = at(work, LANE_ACCEPTED) - failed;
  const duplicates = at(work, LANE_DUPLICATES);
  let dropped = failed;
  addDropped(lane, LOG_FAILED, failed);
  for (let reason = 0; reason < DROP_REASONS.length; reason++) {
    const count = at(dispatch, DISPATCH_DROPPED + reason);
    dropped += count;
    addDropped(lane, reason, count);
  }
  // A full queue refuses before anything is put into it; the other policies take out what was.
  const received = at(dispatch, DISPATCH_ENQUEUED) + at(dispatch, DISPATCH_DROPPED + QUEUE_FULL);
  lane.received += received;
  lane.stored += stored;
  lane.appended += at(work, LANE_DURABLE) + state.nextOffset - state.durableOffset;
  lane.duplicates += duplicates;
  lane.in_flight += received - stored - duplicates - dropped;
  return ringDepthBytes(shard.queue) + at(dispatch, DISPATCH_PARKED_BYTES);
}

function addDropped(lane: LaneLedger, reason: number, count: number): void {
  const name = DROP_REASONS[reason];
  if (name !== undefined && count > 0) lane.dropped[name] = (lane.dropped[name] ?? 0) + count;
}

function imbalanceOf(lane: LaneLedger): number {
  return Math.abs(lane.in_flight) + Math.abs(lane.stored - lane.appended);
}

function emptyLane(lane: string): LaneLedger {
  return { lane, received: 0, stored: 0, appended: 0, duplicates: 0, dropped: {}, in_flight: 0 };
}
