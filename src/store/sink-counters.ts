/** Which counter of the sink lies where. Its thread is the only writer. */

/** Commits that were answered `committed`. */
export const SINK_COMMITS = 0;
/** Events stored. */
export const SINK_EVENTS = 1;
/** Commits, or openings of the store, that failed. */
export const SINK_ERRORS = 2;
/** Commits that found another consumer of this name at work. */
export const SINK_CONFLICTS = 3;
/** Events that were gone from the log (retention, damage) before they were read. */
export const SINK_SKIPPED = 4;
/** 1 while the store can be reached. */
export const SINK_CONNECTED = 5;
/** Last values that Redis did not take. */
export const SINK_DROPPED_VALUES = 6;
/** + shard index: offset below which everything is stored. */
export const SINK_STORED = 8;

/** Counters of a sink that reads this many shards. */
export function sinkCounters(shardCount: number): number {
  return SINK_STORED + shardCount;
}
