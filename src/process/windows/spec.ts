/**
 * Windows as they are configured: plain data that a thread can be started with, checked before.
 *
 * All windows go by event time: `start ≤ time < end`, aligned to the Unix epoch.
 */

/** Windows of one size, one after the other. */
export interface TumblingSpec {
  readonly kind: "tumbling";
  readonly sizeMs: number;
}

/** Windows of one size that begin every `everyMs`: an event belongs to several. */
export interface HoppingSpec {
  readonly kind: "hopping";
  readonly sizeMs: number;
  readonly everyMs: number;
}

/** Events of a key that are less than `gapMs` apart. */
export interface SessionSpec {
  readonly kind: "session";
  readonly gapMs: number;
}

/** Every `count` events of a key. */
export interface CountSpec {
  readonly kind: "count";
  readonly count: number;
}

export type ShapeSpec = TumblingSpec | HoppingSpec | SessionSpec | CountSpec;

export type AggregateKind =
  | "count"
  | "sum"
  | "min"
  | "max"
  | "avg"
  | "first"
  | "last"
  | "stddev"
  | "percentile"
  | "distinct"
  | "top";

export interface AggregateSpec {
  /** Name in the result. */
  readonly name: string;
  readonly kind: AggregateKind;
  /** Expression for what goes in; absent only for `count`. */
  readonly value?: string;
  /** `percentile`: 0..100. `top`: how many. */
  readonly parameter: number;
}

/** When results are told: once at the end, at every change, or every `intervalMs`. */
export type EmitMode = "close" | "update" | "interval";

export interface WindowSpec {
  readonly name: string;
  readonly topics: readonly string[];
  /** Condition; absent: every event. */
  readonly when?: string;
  /** Key: an expression; absent: one window for all. */
  readonly by?: string;
  /** Event time: an expression that gives a timestamp, or milliseconds; absent: the event's own. */
  readonly time?: string;
  readonly shape: ShapeSpec;
  readonly aggregates: readonly AggregateSpec[];
  /** The watermark stays so far behind the newest event. */
  readonly outOfOrderMs: number;
  /** A shard without events for so long is not waited for; when all are, time goes on by the clock. */
  readonly idleMs: number;
  /** Results are still corrected so long after the end. */
  readonly lateMs: number;
  /** Where events go that come later still; absent: they are counted only. */
  readonly lateTopic?: string;
  readonly emit: EmitMode;
  readonly intervalMs: number;
  /** Topic of the results, and their priority. */
  readonly topic: string;
  readonly priority: number;
  /** Keys open at the same time at most. */
  readonly keysMax: number;
}
