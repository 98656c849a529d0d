/**
 * All that a lane tells other threads about itself: the state of its shard, its counters, its latencies.
 * Written by the lane worker only; a successor goes on from the values it finds.
 */
import { DROP_REASONS } from "../event/frame.ts";
import { RUN_COUNT } from "../event/run.ts";
import { ShardState } from "../log/shard-state.ts";
import type { LogWriter } from "../log/writer.ts";
import { count, openCounters } from "../metrics/counters.ts";
import { Histogram } from "../metrics/histogram.ts";
import { SHARD_APPEND, SHARD_FSYNC, SHARD_PROCESS, SHARD_QUEUE } from "../metrics/latency.ts";
import {
  LANE_ACCEPTED,
  LANE_BATCHES,
  LANE_BYTES,
  LANE_CORRUPT,
  LANE_DROPPED,
  LANE_DUPLICATES,
  LANE_DURABLE,
  LANE_FAILED,
  LANE_PROCESSED,
  LANE_SYNCS,
} from "../metrics/layout.ts";
import type { LaneShardOptions } from "./options.ts";
import { runReceivedUs, type Sift } from "./sift.ts";

const LOG_FAILED = LANE_DROPPED + DROP_REASONS.indexOf("log_failed");

export class Scoreboard {
  readonly #state: ShardState;
  readonly #counters: Float64Array;
  readonly #queueLatency: Histogram;
  readonly #appendLatency: Histogram;
  readonly #processLatency: Histogram;
  readonly #fsyncLatency: Histogram;
  readonly #isVisibleWhenDurable: boolean;

  constructor(options: LaneShardOptions) {
    this.#state = new ShardState(options.info.state);
    this.#counters = openCounters(options.counters);
    this.#queueLatency = new Histogram(options.latencies, SHARD_QUEUE);
    this.#appendLatency = new Histogram(options.latencies, SHARD_APPEND);
    this.#processLatency = new Histogram(options.latencies, SHARD_PROCESS);
    this.#fsyncLatency = new Histogram(options.latencies, SHARD_FSYNC);
    this.#isVisibleWhenDurable = options.durability === "fsync";
  }

  /** Readers may have seen every event below. */
  get visibleOffset(): number {
    return this.#state.visibleOffset;
  }

  /** Nobody needs an event below. Main says so. */
  get dispensableOffset(): number {
    return this.#state.dispensableOffset;
  }

  /**
   * The first log of this process: what lies in it already counts for nobody. All of it may be read, unless it could
   * not be made durable and the lane shows only what is.
   */
  begin(log: LogWriter): void {
    const state = this.#state;
    const { nextOffset, durableOffset } = log;
    state.begunOffset = nextOffset;
    state.nextOffset = nextOffset;
    state.durableOffset = durableOffset;
    state.visibleOffset = this.#isVisibleWhenDurable ? durableOffset : nextOffset;
    this.publish(log);
  }

  /** Shows how far the log has come; counts what has become durable since. */
  publish(log: LogWriter): void {
    const state = this.#state;
    const { durableOffset, nextOffset } = log;
    state.firstOffset = log.firstOffset;
    state.logBytes = log.bytes;
    this.#counters[LANE_FAILED] = log.failure === undefined ? 0 : 1;
    // What a failed log holds behind its durable end may be forgotten by its recovery: nobody may see it.
    if (log.failure !== undefined) return;
    // Reopening a log that opened as failed may find less in it than before.
    if (nextOffset < state.begunOffset) state.begunOffset = nextOffset;
    const { begunOffset } = state;
    const becameDurable = Math.max(durableOffset, begunOffset) - Math.max(state.durableOffset, begunOffset);
    if (becameDurable > 0) count(this.#counters, LANE_DURABLE, becameDurable);
    state.nextOffset = nextOffset;
    state.durableOffset = durableOffset;
    // Never back: readers hold on to it.
    const visible = this.#isVisibleWhenDurable ? durableOffset : nextOffset;
    if (visible > state.visibleOffset) state.visibleOffset = visible;
  }

  /** @param bodyBytes Of a batch that was appended. */
  appended(bodyBytes: number): void {
    count(this.#counters, LANE_BATCHES, 1);
    count(this.#counters, LANE_BYTES, bodyBytes);
  }

  /** @param us How long the sync took. */
  synced(us: number): void {
    this.#fsyncLatency.record(us, 1);
    count(this.#counters, LANE_SYNCS, 1);
  }

  /** The events of a batch are stored. */
  stored(sift: Sift): void {
    count(this.#counters, LANE_ACCEPTED, sift.stored);
    count(this.#counters, LANE_DUPLICATES, sift.duplicates);
    // Without a processor an event is processed as soon as it is stored.
    count(this.#counters, LANE_PROCESSED, sift.stored);
  }

  /** Events were sent back because the log cannot be written: accepted and dropped in one step. */
  refused(events: number): void {
    count(this.#counters, LANE_ACCEPTED, events);
    count(this.#counters, LOG_FAILED, events);
  }

  damaged(): void {
    count(this.#counters, LANE_CORRUPT, 1);
  }

  /** Notes how long the runs in hand have waited. @param words The hand. */
  recordQueue(words: Int32Array, sift: Sift, nowUs: number): void {
    for (let run = 0; run < sift.runCount; run++) {
      const at = sift.runAt[run] as number;
      this.#queueLatency.record(nowUs - runReceivedUs(words, at), words[(at >> 2) + RUN_COUNT] as number);
    }
  }

  /** Notes how long it took until the new events in hand were stored as their lane promises. */
  recordAppend(words: Int32Array, sift: Sift, nowUs: number): void {
    for (let run = 0; run < sift.runCount; run++) {
      const stored = sift.runStored[run] as number;
      if (stored === 0) continue;
      const us = nowUs - runReceivedUs(words, sift.runAt[run] as number);
      this.#appendLatency.record(us, stored);
      this.#processLatency.record(us, stored);
    }
  }
}
