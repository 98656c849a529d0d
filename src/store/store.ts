/**
 * The store: what is kept where users query it, written exactly once.
 *
 * A consumer (the event sink, a window processor) reads shards' logs and commits what follows from them
 * together with how far it has read. Both stand in one transaction, so that after any crash, of esc or of
 * the database, the position says exactly which effects are there:
 *
 *     effects in the store = effects of all events below the stored position
 *
 * `commit()` moves a position only from where the consumer believes it is. A second consumer of the same
 * name, or a repeat after a commit whose answer was lost, is told `"conflict"` and reads the positions anew.
 */
import type { EventRows } from "./event-rows.ts";

/** A shard's log as a consumer opens it. */
export interface LogPlace {
  readonly lane: string;
  /** Number within the lane, from 0. */
  readonly shard: number;
  /** Where a consumer begins that has no position yet. */
  readonly startOffset: number;
}

/** A log in the store, and how far the consumer has come in it. */
export interface LogPosition {
  /** Number of the log in the store; rows of events carry it. */
  readonly logId: number;
  /** First offset whose effects are not in the store. */
  readonly nextOffset: number;
}

/** A step of a consumer in one log: `fromOffset` is what it believes is stored. */
export interface PositionMove {
  readonly logId: number;
  readonly fromOffset: number;
  readonly nextOffset: number;
}

/** `startUs ≤ time < endUs`, microseconds since the Unix epoch. */
export interface WindowSpan {
  readonly startUs: number;
  readonly endUs: number;
}

/** The result of one window for one key. A later result of the same window replaces the earlier. */
export interface WindowResult {
  readonly name: string;
  /** Empty for windows without keys. */
  readonly key: string;
  /** Microseconds since the Unix epoch; the window holds `startUs ≤ time < endUs`. */
  readonly startUs: number;
  readonly endUs: number;
  readonly count: number;
  readonly sum: number | null;
  readonly min: number | null;
  readonly max: number | null;
  /** Everything the window computed, as JSON. */
  readonly result: string;
  /** Spans of earlier results of this name and key that this one takes the place of: their rows go. */
  readonly replaces?: readonly WindowSpan[];
}

/** An alert; stored once by its id. */
export interface StoredAlert {
  readonly id: string;
  readonly rule: string;
  readonly severity: string;
  /** Microseconds since the Unix epoch. */
  readonly raisedUs: number;
  readonly topic: string;
  readonly key: string | null;
  readonly message: string;
  /** What the rule saw, as JSON. */
  readonly context: string;
}

/** State of a consumer that belongs to its position, such as open windows. */
export interface Checkpoint {
  readonly name: string;
  readonly state: Uint8Array;
}

/** All that one commit writes. */
export interface Effects {
  readonly consumer: string;
  readonly moves: readonly PositionMove[];
  /** Events to keep; each also becomes the last value of its topic unless a newer one is stored. */
  readonly events?: EventRows;
  readonly windows?: readonly WindowResult[];
  readonly alerts?: readonly StoredAlert[];
  readonly checkpoints?: readonly Checkpoint[];
}

/** `conflict`: a position is not where the consumer believed; nothing was written. */
export type CommitResult = "committed" | "conflict";

/** The writing side. One consumer a connection; calls of one consumer do not overlap. */
export interface Store {
  /**
   * Makes the logs known and tells how far the consumer has come, in the order of `places`.
   *
   * @throws {EscError} STORE_UNAVAILABLE, STORE_SCHEMA.
   */
  positions(consumer: string, places: readonly LogPlace[]): Promise<readonly LogPosition[]>;

  /**
   * Writes the effects and moves the positions, all or nothing.
   *
   * After an error the outcome is unknown: read the positions again before anything else is committed.
   *
   * @throws {EscError} STORE_UNAVAILABLE when the database cannot be reached or did not answer in time.
   */
  commit(effects: Effects): Promise<CommitResult>;

  /** The consumer's checkpoint of this name, if it has one. */
  checkpoint(consumer: string, name: string): Promise<Uint8Array | undefined>;

  /**
   * Deletes events that were received before a moment; how exactly is the backend's choice: PostgreSQL drops
   * whole days. @returns How many rows, or partitions, are gone.
   */
  prune(beforeUs: number): Promise<number>;

  /**
   * Deletes results of these windows that began, and alerts that were raised, before a moment.
   *
   * @returns How many rows are gone.
   */
  pruneResults(windows: readonly string[], beforeUs: number): Promise<number>;

  close(): Promise<void>;
}
