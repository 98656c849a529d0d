/**
 * The feed thread: lines to trading venues on one side, one `Source` towards the engine on the other.
 *
 * It has an event loop, ticks its feeds some twenty times a second, and offers what they told in runs: once a turn, so
 * that a burst of messages costs one publication.
 *
 *     serving → quiesced (lines closed, everything offered) → finished
 */
import { parentPort, workerData } from "node:worker_threads";
import type { CompletionMemory } from "../../queue/completions.ts";
import { STATE_DRAINED, STATE_RUNNING, ThreadControl } from "../../queue/control.ts";
import { Doorbell } from "../../queue/doorbell.ts";
import type { RingMemory } from "../../queue/ring.ts";
import { nowUs } from "../../system/clock.ts";
import { Source } from "../source.ts";
import { EventWriter } from "./event-writer.ts";
import type { ShardInfo } from "../../log/shard-state.ts";
import type { AlertMessage } from "../../process/alerts/alert.ts";
import { PRIORITY_MEDIUM } from "../../event/frame.ts";
import type { Health } from "../../market/quality.ts";
import { lineAlert, qualityAlert, systemAlert } from "./feed-alerts.ts";
import { FeedKeeper } from "./feed-keeper.ts";
import { FeedLines } from "./feed-lines.ts";
import { answerMarketQuery, type MarketQuery } from "./market-query.ts";
import type { RestAnswer } from "./snapshot-queue.ts";
import type { FeedSpec } from "./spec.ts";
import { SystemReport } from "./system-report.ts";

/** `workerData` of the feed thread; structured-cloneable, the same for every incarnation. */
export interface FeedWorkerOptions {
  /** Number of this source, in run records. */
  readonly index: number;
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly ring: RingMemory;
  readonly dispatcherDoorbell: SharedArrayBuffer;
  readonly completions: readonly CompletionMemory[];
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  readonly blocked: SharedArrayBuffer;
  readonly shardCount: number;
  readonly maxFrameBytes: number;
  readonly feeds: readonly FeedSpec[];
  /** Folder of the feeds' checkpoints; it exists. */
  readonly checkpoints: string;
  /** How to know that an event is safe in the log: by acknowledgements, or by having waited so long. */
  readonly logSafety: "acks" | { readonly waitMs: number };
  /** Shards whose logs may hold the feeds' events. */
  readonly shards: readonly ShardInfo[];
}

/** Main → feed thread. */
export type FeedCommand =
  | { readonly type: "quiesce" }
  | { readonly type: "finish" }
  | { readonly type: "market_query"; readonly ticket: number; readonly query: MarketQuery };

/** Feed thread → main. */
export type FeedMessage =
  | AlertMessage
  | { readonly type: "quiesced" }
  | { readonly type: "log"; readonly level: "warn" | "error"; readonly message: string }
  /** `json` is `undefined` when there is no such book. */
  | { readonly type: "market_answer"; readonly ticket: number; readonly json: string | undefined };

const TICK_MS = 50;
/** Time between two reports on all feeds. */
const REPORT_MS = 5_000;
const REST_TIMEOUT_MS = 10_000;
const REST_BYTES_MAX = 64 * 1024 * 1024;
/** How long `quiesce` waits for room for the last events. */
const QUIESCE_MS_MAX = 1_000;

class FeedThread {
  readonly #control: ThreadControl;
  readonly #source: Source;
  readonly #writer: EventWriter;
  readonly #feeds: readonly FeedLines[];
  readonly #keepers: readonly FeedKeeper[];
  readonly #report: SystemReport;
  #reportDueMs: number;
  #systemJson: string | undefined;
  #health: Health = "healthy";
  #lastUs = 0;
  #lostTold = 0;
  #isFlushDue = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: FeedWorkerOptions) {
    this.#control = new ThreadControl(options.control);
    this.#source = new Source({
      index: options.index,
      ring: options.ring,
      dispatcherDoorbell: new Doorbell(options.dispatcherDoorbell),
      completions: options.completions,
      counters: options.counters,
      latencies: options.latencies,
      shardCount: options.shardCount,
      blocked: options.blocked,
      nowUs,
    });
    const acks = options.logSafety === "acks" ? "durable" : "none";
    this.#writer = new EventWriter(this.#source, options.maxFrameBytes, nowUs, acks);
    this.#feeds = options.feeds.map((spec) =>
      new FeedLines(
        spec,
        (event) => {
          this.#writer.write(event);
          this.#flushSoon();
        },
        {
          nowUs: () => this.#nextUs(),
          random: Math.random,
          openSocket: (url) => new WebSocket(url),
          fetchText,
          onQualityAlert: (...what) => post({ type: "alert", alert: qualityAlert(...what) }),
          onLineLost: (...what) => post({ type: "alert", alert: lineAlert(spec, ...what) }),
        },
      )
    );
    this.#keepers = this.#feeds.map((lines) =>
      new FeedKeeper(lines, {
        directory: options.checkpoints,
        barrier: () => this.#barrier(options.logSafety),
        warn: (message) => post({ type: "log", level: "warn", message }),
      })
    );
    for (const keeper of this.#keepers) keeper.restore(options.shards, Date.now());
    this.#report = new SystemReport(this.#feeds, nowUs());
    this.#reportDueMs = Date.now() + REPORT_MS;
    for (const feed of this.#feeds) feed.start(Date.now());
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#control.state = STATE_RUNNING;
  }

  receive(command: FeedCommand): void {
    if (command.type === "quiesce") void this.#quiesce();
    else if (command.type === "finish") this.#finish();
    else {post({
        type: "market_answer",
        ticket: command.ticket,
        json: this.#answer(command.query),
      });}
  }

  #tick(): void {
    this.#control.beat();
    this.#source.poll();
    for (const feed of this.#feeds) feed.tick(Date.now());
    for (const keeper of this.#keepers) keeper.tick(Date.now());
    this.#reportSystem();
    this.#writer.flush();
    const lost = this.#writer.lostCount + this.#writer.tooLargeCount;
    if (lost === this.#lostTold) return;
    post({
      type: "log",
      level: "warn",
      message: `Lost ${lost - this.#lostTold} events of market data: the engine had no room for them`,
    });
    this.#lostTold = lost;
  }

  /** Once after all messages that have arrived by now. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      this.#writer.flush();
      this.#source.poll();
    });
  }

  #answer(query: MarketQuery): string | undefined {
    return answerMarketQuery(this.#feeds, query, { nowUs: nowUs(), systemJson: this.#systemJson });
  }

  /** Tells how all feeds are doing, when it is time. */
  #reportSystem(): void {
    if (Date.now() < this.#reportDueMs) return;
    this.#reportDueMs = Date.now() + REPORT_MS;
    const timeUs = this.#nextUs();
    const lost = this.#writer.lostCount + this.#writer.tooLargeCount;
    const { json, health } = this.#report.next(timeUs, { lost, waitingBytes: this.#writer.waitingBytes });
    this.#systemJson = json;
    this.#writer.write({
      topic: "market.system.health",
      priority: PRIORITY_MEDIUM,
      key: "system",
      timeUs,
      payload: json,
    });
    if (health === this.#health) return;
    post({ type: "alert", alert: systemAlert(this.#health, health, json, timeUs) });
    this.#health = health;
  }

  /** The time now, later than ever before: no two messages are received at the same time. */
  #nextUs(): number {
    return (this.#lastUs = Math.max(nowUs(), this.#lastUs + 1));
  }

  async #quiesce(): Promise<void> {
    clearInterval(this.#timer);
    for (const feed of this.#feeds) feed.stop();
    for (const keeper of this.#keepers) keeper.finish();
    const untilMs = Date.now() + QUIESCE_MS_MAX;
    while (!this.#isSettled() && Date.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    post({ type: "quiesced" });
  }

  /** Whether everything has been offered and written; does what is left to do. */
  #isSettled(): boolean {
    const isOffered = this.#writer.flush();
    this.#source.poll();
    for (const keeper of this.#keepers) keeper.tick(Date.now());
    return isOffered && this.#keepers.every((keeper) => keeper.isSettled);
  }

  /** Tells when all events written so far are safe in the log. */
  #barrier(safety: FeedWorkerOptions["logSafety"]): () => boolean {
    if (safety !== "acks") {
      const atMs = Date.now() + safety.waitMs;
      return () => Date.now() >= atMs;
    }
    this.#writer.flush();
    const count = this.#writer.sentCount;
    return () => this.#writer.durableCount >= count;
  }

  #finish(): void {
    clearInterval(this.#timer);
    for (const feed of this.#feeds) feed.stop();
    this.#control.state = STATE_DRAINED;
    parentPort?.close();
  }
}

/** A text over HTTP, for book snapshots. */
async function fetchText(url: string): Promise<RestAnswer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(REST_TIMEOUT_MS) });
  const bytes = Number(response.headers.get("content-length") ?? 0);
  if (bytes > REST_BYTES_MAX) throw new RangeError(`Snapshot of ${bytes} bytes is too large`);
  const retryAfterS = Number(response.headers.get("retry-after") ?? 0);
  return {
    status: response.status,
    text: await response.text(),
    retryAfterMs: Number.isFinite(retryAfterS) ? retryAfterS * 1000 : 0,
  };
}

function post(message: FeedMessage): void {
  parentPort?.postMessage(message);
}

const thread = new FeedThread(workerData as FeedWorkerOptions);
parentPort?.on("message", (command: FeedCommand) => thread.receive(command));
