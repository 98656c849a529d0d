/**
 * Which latency histograms exist, who writes them, and what they measure.
 *
 * Every stage is measured from the moment the event's bytes were read (`received_us` of its run), so a
 * later stage contains the earlier ones:
 *
 *     queue    until the lane worker took it in hand            lane worker, one block a shard
 *     append   until it was in the log, as durable as its lane promises
 *     process  until its effects were committed
 *     ack      until its acknowledgement was handed to the socket       source thread, one block a source
 *     deliver  until it was handed to a subscriber's socket             and lane
 */
import { createHistograms, Histogram } from "./histogram.ts";

/** Names in the order of their numbers. */
export const LATENCY_STAGES = ["queue", "append", "process", "ack", "deliver"] as const;
export type LatencyStage = (typeof LATENCY_STAGES)[number];

// Histograms in the block of one shard, written by its lane worker.
export const SHARD_QUEUE = 0;
export const SHARD_APPEND = 1;
export const SHARD_PROCESS = 2;
/** Durations of the shard's fsyncs themselves. */
export const SHARD_FSYNC = 3;
export const SHARD_HISTOGRAMS = 4;

// Histograms in the block of one source thread: a pair for every shard, in the order of the shards.
export const SOURCE_ACK = 0;
export const SOURCE_DELIVER = 1;
const SOURCE_PER_SHARD = 2;

/** Allocates the histograms of one shard's lane worker. */
export function createShardLatencies(): SharedArrayBuffer {
  return createHistograms(SHARD_HISTOGRAMS);
}

/** Allocates the histograms of one source thread. */
export function createSourceLatencies(shardCount: number): SharedArrayBuffer {
  return createHistograms(shardCount * SOURCE_PER_SHARD);
}

/** Opens one histogram of a source thread. @param stage SOURCE_ACK or SOURCE_DELIVER. */
export function openSourceLatency(memory: SharedArrayBuffer, shardIndex: number, stage: number): Histogram {
  return new Histogram(memory, shardIndex * SOURCE_PER_SHARD + stage);
}
