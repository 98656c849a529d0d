/**
 * What the dispatcher thread is started with. Everything in it is structured-cloneable, and everything
 * that must survive the thread lies in the shared memory it names.
 */
import type { ShardInfo } from "../log/shard-state.ts";
import type { RingMemory } from "../queue/ring.ts";
import type { VerdictPath } from "../queue/verdicts.ts";
import type { WaitStrategy } from "../queue/wait.ts";
import type { PressureRatios } from "./pressure.ts";
import type { RouteOptions } from "./route.ts";

/** What happens to a new run when the queue of its shard is full. */
export type Overflow = "block" | "drop_old" | "drop_new";

/** One source thread, as the dispatcher sees it. Position in the list = the `source` byte of its runs. */
export interface DispatchSource extends VerdictPath {
  /** Capacity at least four times the largest record. */
  readonly ring: RingMemory;
  /**
   * One Int32 a connection slot: above 0 while that connection must not be read, because events of it
   * wait behind a full queue. The source's doorbell is rung when it goes back to 0.
   */
  readonly blocked: SharedArrayBuffer;
}

/** One shard, as the dispatcher sees it. */
export interface DispatchShard {
  readonly info: ShardInfo;
  readonly ring: RingMemory;
  /** Where runs wait behind a full queue with `block`; at least four times the largest record. */
  readonly parking: RingMemory;
  readonly laneDoorbell: SharedArrayBuffer;
  readonly overflow: Overflow;
  /** Block of DISPATCH_COUNTERS doubles. */
  readonly counters: SharedArrayBuffer;
}

/** The dispatcher's way into the dead-letter log. */
export interface DispatchDeadLetters {
  /** This thread's own ring into the dead-letter shard. */
  readonly ring: RingMemory;
  readonly doorbell: SharedArrayBuffer;
  /** Block of DEAD_LETTER_COUNTERS doubles. */
  readonly counters: SharedArrayBuffer;
}

export interface DispatchWorkerOptions {
  /** This thread's control block and doorbell. */
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly wait: WaitStrategy;
  /** CPUs this thread is bound to; absent: any. */
  readonly cpus?: readonly number[];
  /** When a lane queue counts as pressed. */
  readonly pressure: PressureRatios;
  readonly sources: readonly DispatchSource[];
  /** Every shard but the dead-letter one, in the order of `info.index`. */
  readonly shards: readonly DispatchShard[];
  readonly deadLetters: DispatchDeadLetters;
  readonly routes: RouteOptions;
  /** Memory from `createTopicRegistry()`. */
  readonly topics: SharedArrayBuffer;
}

/** Posted to the dispatcher to change the routes; applies to events dispatched after it is read. */
export interface RoutesMessage {
  readonly type: "routes";
  readonly routes: RouteOptions;
}
