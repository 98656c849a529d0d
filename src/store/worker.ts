/**
 * Thread entry of the sink: reads, commits, sleeps on its doorbell, and comes back after the store was lost.
 *
 * It has an event loop, as PostgreSQL needs one. Lane workers ring it like a thread with subscriptions.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EscError } from "../errors.ts";
import { describeDamage } from "../log/damage.ts";
import { nodeFiles } from "../log/node-files.ts";
import type { LogMessage } from "../logging/logger.ts";
import { openCounters } from "../metrics/counters.ts";
import { Histogram } from "../metrics/histogram.ts";
import {
  COMMAND_DRAIN,
  COMMAND_STOP,
  STATE_DRAINED,
  STATE_RUNNING,
  ThreadControl,
} from "../queue/control.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { nowUs } from "../system/clock.ts";
import { BACKOFF, backoffMs } from "./backoff.ts";
import { type EventRows, lastOfTopics } from "./event-rows.ts";
import { openStore } from "./open.ts";
import type { SinkWorkerOptions } from "./options.ts";
import { SINK_DROPPED_VALUES } from "./sink-counters.ts";
import { Sink } from "./sink.ts";

/** Longest sleep; also the slowest heartbeat. */
const IDLE_MS = 1000;
/** Time between two deletions of old events. */
const PRUNE_INTERVAL_MS = 60 * 60_000;

const options = workerData as SinkWorkerOptions;
const port = parentPort;
if (port === null) throw new Error("The sink runs as a worker thread only");
const control = new ThreadControl(options.control);
const doorbell = new Doorbell(options.doorbell);

function log(message: Omit<LogMessage, "type">): void {
  port?.postMessage({ type: "log", ...message } satisfies LogMessage);
}

const counters = openCounters(options.counters);
const fanOut = options.fanOut === undefined ? undefined : await startFanOut(options.fanOut);

/** Redis is loaded only where it is used: its client takes memory. */
async function startFanOut({ redisUrl, ...rest }: NonNullable<SinkWorkerOptions["fanOut"]>) {
  const { FanOut } = await import("./fan-out.ts");
  const { RedisClient } = await import("./redis.ts");
  const redis = new RedisClient({
    url: redisUrl,
    onLost: (message) => log({ level: "warn", message }),
  });
  return { redis, fanOut: new FanOut({ ...rest, redis }) };
}

function tell(rows: EventRows): void {
  if (fanOut === undefined) return;
  fanOut.fanOut.note(lastOfTopics(rows));
  counters[SINK_DROPPED_VALUES] = fanOut.fanOut.dropped;
}

const sink = new Sink(options.shards, options.sink, {
  files: nodeFiles,
  open: () => openStore(options.store, nowUs),
  nowMs: () => performance.now(),
  counters,
  onStored: tell,
  commitDurations: new Histogram(options.latencies, 0),
  onDamage: (damage) => log({ level: "warn", message: describeDamage(damage) }),
});

/** Sleeps until somebody rings, a command comes, or `timeoutMs` pass. */
async function sleep(timeoutMs: number, command: number): Promise<void> {
  const ticket = doorbell.arm();
  // Looked at after arm(): whoever publishes or commands afterwards rings.
  if (sink.hasWork() || control.command !== command) {
    doorbell.disarm();
    return;
  }
  await doorbell.waitAsync(ticket, timeoutMs);
  doorbell.disarm();
}

/** Waits out a failure: news from the lanes does not shorten it, a command does. */
async function pause(timeoutMs: number, command: number): Promise<void> {
  const ticket = doorbell.arm();
  doorbell.disarm();
  if (control.command === command) await doorbell.waitAsync(ticket, timeoutMs);
}

let failures = 0;
let nextPruneMs = 0;

function noteFailure(error: unknown): void {
  failures++;
  const { message, hint } = error instanceof EscError ? error : { message: String(error), hint: undefined };
  log({ level: "error", message, ...(hint === undefined ? {} : { fields: { hint } }) });
}

/** One turn: connect, or read and commit. Throws when the store is lost. */
async function turn(isDraining: boolean): Promise<boolean> {
  if (!sink.isConnected) {
    await sink.connect();
    if (failures > 0) log({ level: "info", message: "The store is reached again" });
  }
  const more = sink.collect();
  if (sink.isDue() || (isDraining && !more)) {
    const result = await sink.flush();
    if (result === "conflict") {
      log({
        level: "warn",
        message: "Another consumer of the same name writes to the store: going on from there",
      });
    }
    failures = 0;
  }
  return more;
}

async function prune(): Promise<void> {
  const { retentionMs } = options.sink;
  if (retentionMs === undefined || performance.now() < nextPruneMs) return;
  nextPruneMs = performance.now() + PRUNE_INTERVAL_MS;
  const count = await sink.store?.prune(nowUs() - retentionMs * 1000);
  if (count !== undefined && count > 0) {
    log({ level: "info", message: "Old events deleted", fields: { count } });
  }
}

// Nobody posts anything: an open port is what keeps a thread alive that waits for its doorbell.
port.on("message", () => {});

async function run(): Promise<void> {
  control.state = STATE_RUNNING;
  control.subscriptionCount = 1;
  for (;;) {
    const command = control.command;
    const isDraining = command === COMMAND_DRAIN;
    control.beat();
    if (command === COMMAND_STOP) break;
    try {
      const more = await turn(isDraining);
      if (isDraining && !more) break;
      await prune();
      if (!more && !sink.hasWork()) await sleep(Math.max(0, Math.min(sink.dueMs(), IDLE_MS)), command);
    } catch (error) {
      noteFailure(error);
      // Whoever ends now goes on from the stored position next time: nothing is lost by not waiting.
      if (isDraining) break;
      await pause(backoffMs(BACKOFF, failures, Math.random()), command);
    }
  }
  await sink.close();
  fanOut?.redis.close();
  control.subscriptionCount = 0;
  control.state = STATE_DRAINED;
  port?.removeAllListeners("message");
  port?.unref();
}

await run();
