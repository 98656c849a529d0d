/** What the control plane reads of shards: counters and rings that other threads write. Main thread only. */
import type { ShardReading } from "./control/figures.ts";
import type { ShardMemory } from "./engine-memory.ts";
import { DROP_REASONS, PRIORITY_BATCH } from "./event/frame.ts";
import { openCounters } from "./metrics/counters.ts";
import { Histogram } from "./metrics/histogram.ts";
import { SHARD_APPEND } from "./metrics/latency.ts";
import {
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  DISPATCH_PARKED_BYTES,
  LANE_ACCEPTED,
  LANE_DROPPED,
  LANE_DUPLICATES,
} from "./metrics/layout.ts";
import { ringDepthBytes } from "./queue/ring.ts";

const US_PER_MS = 1000;
const SHED = DROP_REASONS.indexOf("shed");
const EMERGENCY_DROP = DROP_REASONS.indexOf("emergency_drop");
const LOG_FAILED = DROP_REASONS.indexOf("log_failed");
/** Taken out of a queue again. */
const DEQUEUED = [DROP_REASONS.indexOf("drop_old"), DROP_REASONS.indexOf("backpressure_drop")];

/** Latencies since the last look. */
export class LatencyWindow {
  #before = Histogram.empty();

  /** 99 % of the events since the last call. @param sum Of all since start; kept. */
  p99Ms(sum: Histogram): number {
    const since = Histogram.empty();
    since.add(sum);
    since.subtract(this.#before);
    this.#before = sum;
    return since.percentile(99) / US_PER_MS;
  }
}

/** One shard of a lane, as its counters say. */
export class WatchedShard {
  /** Its lane has more than batch events. */
  readonly hasHaste: boolean;
  readonly latencies: Histogram;
  readonly #shard: ShardMemory;
  readonly #lane: Float64Array;
  readonly #dispatch: Float64Array;

  constructor(shard: ShardMemory) {
    this.#shard = shard;
    this.#lane = openCounters(shard.laneCounters);
    this.#dispatch = openCounters(shard.dispatchCounters);
    this.latencies = new Histogram(shard.latencies, SHARD_APPEND);
    this.hasHaste = shard.lane?.priorities.some((priority) => priority > PRIORITY_BATCH) ?? false;
  }

  read(): ShardReading {
    const lane = this.#lane;
    const dispatch = this.#dispatch;
    const { info, ring, lane: config } = this.#shard;
    const at = (counters: Float64Array, index: number) => counters[index] ?? 0;
    const failed = at(lane, LANE_DROPPED + LOG_FAILED);
    const handled = at(lane, LANE_ACCEPTED) + at(lane, LANE_DUPLICATES);
    let dropped = failed;
    for (let reason = 0; reason < DROP_REASONS.length; reason++) {
      if (reason !== SHED && reason !== EMERGENCY_DROP) dropped += at(dispatch, DISPATCH_DROPPED + reason);
    }
    let queuedEvents = at(dispatch, DISPATCH_ENQUEUED) - handled;
    for (const reason of DEQUEUED) queuedEvents -= at(dispatch, DISPATCH_DROPPED + reason);
    const queueBytes = ringDepthBytes(ring);
    const blocks = config?.overflow === "block";
    // In other lanes there waits what is shed, for the DLQ.
    const spilledBytes = blocks ? at(dispatch, DISPATCH_PARKED_BYTES) : 0;
    const depthBytes = queueBytes + spilledBytes;
    return {
      name: `${info.lane}/${info.shard}`,
      blocks,
      taken: handled - failed,
      dropped,
      shed: at(dispatch, DISPATCH_DROPPED + SHED),
      emergency: at(dispatch, DISPATCH_DROPPED + EMERGENCY_DROP),
      // What is parked is not counted one by one: it is like what is in the queue.
      depthEvents: queueBytes === 0 ? 0 : Math.max(0, queuedEvents) * (depthBytes / queueBytes),
      depthBytes,
      spilledBytes,
      capacityBytes: ring.data.byteLength,
    };
  }
}
