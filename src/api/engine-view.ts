/**
 * What the HTTP interface needs of the engine: everything it shows and everything it may ask for.
 *
 * The engine implements it (src/engine.ts); tests implement it over real rings and logs. Main thread.
 */
import type { Level } from "../control/levels.ts";
import type { ConsumerStore } from "../deliver/consumer.ts";
import type { Source } from "../ingest/source.ts";
import type { AlertBoard } from "../process/alerts/board.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import type { LetterBox } from "../process/letters.ts";
import type { PipelineState } from "../metrics/expose.ts";
import type { Exposition } from "../metrics/prometheus.ts";
import type { Meters } from "../metrics/snapshot.ts";
import type { ThreadControl } from "../queue/control.ts";
import type { Doorbell } from "../queue/doorbell.ts";
import type { MarketQuery } from "../ingest/feeds/market-query.ts";
import type { StoreAccess } from "../store/access.ts";
import type { EventCourse } from "./why-course.ts";

/** How the engine is doing. */
export interface PipelineView {
  readonly state: PipelineState;
  readonly health: Level;
  /** Why the health is not HEALTHY, for a person. */
  readonly reasons: readonly string[];
}

/** What a lane is doing, as far as its threads know; a failed log is seen in the counters. */
export type LaneState = "running" | "paused" | "draining" | "restarting";

export interface TopicSummary {
  readonly topic: string;
  /** Lane its last event went to. */
  readonly lane: string;
  /** Events dispatched since start. */
  readonly events: number;
  /** When the last one was received, microseconds since the Unix epoch. */
  readonly receivedUs: number;
}

/** Result of a reload: what was taken over, and what needs a restart. */
export interface ReloadResult {
  readonly applied: readonly string[];
  readonly needsRestart: readonly string[];
}

export interface EngineView {
  readonly version: string;
  /** When the engine was started, milliseconds since the Unix epoch. */
  readonly startedMs: number;
  readonly maxFrameBytes: number;
  /** All shards, in the order of their index; the dead-letter one is the last. */
  readonly shards: readonly ShardInfo[];
  readonly meters: Meters;

  /** Main's own end towards the dispatcher. */
  readonly source: Source;
  /** Main's latency block: `createSourceLatencies()`. */
  readonly sourceLatencies: SharedArrayBuffer;
  /** Main's doorbell and control words. */
  readonly doorbell: Doorbell;
  readonly control: ThreadControl;

  readonly consumers: ConsumerStore;
  /** Where main puts what no member of a group could deal with. */
  readonly letters: LetterBox;
  readonly alerts: AlertBoard;
  /** Present when topics are stored. */
  readonly store?: StoreAccess | undefined;
  /** Present when there are rules, windows or handlers: names of the windows, and the metrics of all. */
  readonly processing?: { readonly windows: readonly string[]; expose(page: Exposition): void } | undefined;
  /** Present when feeds are configured. Answers JSON; `undefined`: no such thing; `busy`: not in time. */
  readonly market?: { ask(query: MarketQuery): Promise<string | undefined> } | undefined;

  /** What is configured for an event of a topic, and how far those have come who read the logs. */
  readonly course: EventCourse;

  pipeline(): PipelineView;
  /** Events that took longer than `control.sla` promises, of each lane with critical ones, since start. */
  lateEvents(): readonly (readonly [lane: string, count: number])[];
  laneState(lane: string): LaneState;
  /** Why the server should get no traffic now; empty when it is ready. */
  notReadyReasons(): readonly string[];
  /** Every worker thread, and how often it was started again. */
  workers(): readonly { readonly name: string; readonly restarts: number }[];
  /** Free on the disk of the data directory. */
  freeBytes(): number;
  topics(): readonly TopicSummary[];
  /** Effective configuration as JSON, secrets replaced. */
  effectiveConfig(): unknown;
  /** Names of the threads by kernel thread id, as far as known. */
  threadNames(): ReadonlyMap<number, string>;

  pause(): void;
  resume(): void;
  /** Begins the orderly shutdown; returns at once. */
  drain(): void;
  /** @throws {EscError} `CONFIG_INVALID`: nothing was changed. */
  reload(): Promise<ReloadResult>;

  /** Least severe message that is written from now on. */
  setLogLevel(level: "debug" | "info" | "warn" | "error"): void;

  /** One line in the server's log. */
  warn(message: string): void;
}
