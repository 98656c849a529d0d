/** Config and shared memory → what the feed thread is started with; and main's questions to that thread. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "./config/config.ts";
import type { EngineMemory, SourceMemory } from "./engine-memory.ts";
import type { DataLayout } from "./data-directory.ts";
import type { MarketQuery } from "./ingest/feeds/market-query.ts";
import type { FeedCommand, FeedMessage, FeedWorkerOptions } from "./ingest/feeds/worker.ts";

export function feedOptions(
  source: SourceMemory,
  config: Config,
  memory: EngineMemory,
  layout: DataLayout,
): FeedWorkerOptions {
  const checkpoints = join(layout.root, "feeds");
  mkdirSync(checkpoints, { recursive: true });
  // Lanes that sync by themselves only now and then are not made to sync for the checkpoints' sake.
  const lanes = config.topics.length > 0
    ? config.lanes
    : config.lanes.filter((lane) => config.feeds.some(({ priority }) => lane.priorities.includes(priority)));
  const waits = lanes.map(({ durability, syncIntervalMs }) =>
    durability === "fsync" ? 0 : 2 * syncIntervalMs
  );
  const waitMs = Math.max(...waits);
  return {
    checkpoints,
    logSafety: waitMs === 0 ? "acks" : { waitMs: Math.max(LOG_WAIT_MS_MIN, waitMs) },
    shards: memory.shards.flatMap(({ info, lane }) => lane === undefined ? [] : [info]),
    index: source.index,
    control: source.control,
    doorbell: source.doorbell,
    ring: source.ring,
    dispatcherDoorbell: memory.dispatcher.doorbell,
    completions: [source.fromDispatcher, ...source.fromLanes],
    counters: source.counters,
    latencies: source.latencies,
    blocked: source.blocked,
    shardCount: memory.shards.length,
    maxFrameBytes: config.ingestion.maxFrameBytes,
    feeds: config.feeds,
  };
}

/** From an event's making to the log file, with room to spare. */
const LOG_WAIT_MS_MIN = 2000;

/** Questions that may wait for the feed thread at the same time; more are answered `busy` at once. */
const WAITING_MAX = 1024;
const ANSWER_MS_MAX = 2_000;

/** Asks the feed thread for books and lines. Main thread only. */
export class MarketDesk {
  readonly #post: (command: FeedCommand) => void;
  readonly #waiting = new Map<number, (json: string | undefined | "busy") => void>();
  #ticket = 0;

  constructor(post: (command: FeedCommand) => void) {
    this.#post = post;
  }

  /** @returns JSON, `undefined` when there is nothing of that name, `busy` when the thread does not answer in time. */
  ask(query: MarketQuery): Promise<string | undefined | "busy"> {
    if (this.#waiting.size >= WAITING_MAX) return Promise.resolve("busy");
    const ticket = ++this.#ticket;
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle("busy"), ANSWER_MS_MAX);
      const settle = (json: string | undefined | "busy") => {
        clearTimeout(timer);
        this.#waiting.delete(ticket);
        resolve(json);
      };
      this.#waiting.set(ticket, settle);
      this.#post({ type: "market_query", ticket, query });
    });
  }

  /** Hands an answer to whoever waits for it. */
  answer({ ticket, json }: Extract<FeedMessage, { type: "market_answer" }>): void {
    this.#waiting.get(ticket)?.(json);
  }
}
