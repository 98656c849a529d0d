/**
 * Thread entry of a lane worker: the shards it hosts take turns, and it sleeps while none has work.
 *
 * It blocks in its doorbell and returns to its event loop only for messages and to end.
 */
import { parentPort, workerData } from "node:worker_threads";
import { describeDamage } from "../log/damage.ts";
import { nodeFiles } from "../log/node-files.ts";
import type { LogMessage } from "../logging/logger.ts";
import {
  COMMAND_DRAIN,
  COMMAND_PAUSE,
  COMMAND_RUN,
  COMMAND_STOP,
  STATE_DRAINED,
  STATE_PAUSED,
  STATE_RUNNING,
  ThreadControl,
} from "../queue/control.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { VerdictSender } from "../queue/verdicts.ts";
import { idle } from "../queue/wait.ts";
import { pinThread } from "../system/affinity.ts";
import { monotonicNs, nowUs } from "../system/clock.ts";
import { shrinkHeap } from "../system/resident.ts";
import { Lane } from "./lane.ts";
import type { LaneLimitsMessage, LaneShardOptions, LaneWorkerOptions } from "./options.ts";

/** Longest sleep; also the slowest heartbeat. */
const IDLE_MS = 1000;

const options = workerData as LaneWorkerOptions;
const port = parentPort;
if (port === null) throw new Error("A lane worker runs as a worker thread only");
// First of all: memory that this thread touches first should lie near its CPUs.
if (options.cpus !== undefined) pinThread(options.cpus);
const control = new ThreadControl(options.control);
const doorbell = new Doorbell(options.doorbell);
const senders = options.sources.map((source) => new VerdictSender(source, control));

function log(message: Omit<LogMessage, "type">): void {
  port?.postMessage({ type: "log", ...message } satisfies LogMessage);
}

function openLane(shard: LaneShardOptions): Lane {
  const fields = { lane: shard.info.lane, shard: shard.info.shard };
  return new Lane(shard, {
    files: nodeFiles,
    nowUs,
    monotonicNs,
    senders,
    onDamage: (damage) => log({ level: "warn", message: describeDamage(damage), fields }),
    onFailure: (error) =>
      log({ level: "error", message: error.message, fields: { ...fields, hint: error.hint } }),
    onRecovery: () => log({ level: "info", message: "The log can be written again", fields }),
  });
}

const lanes = options.shards.map(openLane);
const waiting = {
  strategy: options.wait,
  doorbell,
  control,
  hasWork: () => lanes.some((lane) => lane.hasWork()),
};

port.on("message", (message: LaneLimitsMessage) => {
  message.shards.forEach((limits, index) => lanes[index]?.applyLimits(limits));
});

/** Milliseconds until a lane has something to do by the clock. */
function dueMs(): number {
  const now = nowUs();
  let dueUs = IDLE_MS * 1000;
  for (const lane of lanes) dueUs = Math.min(dueUs, lane.dueUs(now));
  return Math.max(0, dueUs / 1000);
}

/** One look at command and queues. @returns `false` when the thread is to end. */
function step(messageCount: number): boolean {
  const command = control.command;
  control.beat();
  if (command === COMMAND_STOP) return false;
  if (command === COMMAND_PAUSE) {
    // Nothing will tick: what is written is synced before.
    if (control.state !== STATE_PAUSED) { for (const lane of lanes) lane.sync(); }
    control.state = STATE_PAUSED;
    doorbell.wait(doorbell.arm(), control.command === COMMAND_PAUSE ? IDLE_MS : 0);
    return true;
  }
  if (control.state !== STATE_RUNNING) control.state = STATE_RUNNING;
  let moved = false;
  for (const lane of lanes) if (lane.turn()) moved = true;
  if (moved) return true;
  if (command === COMMAND_DRAIN && lanes.every((lane) => lane.isDrained)) {
    for (const lane of lanes) lane.sync();
    if (!lanes.some((lane) => lane.hasFailed)) {
      control.state = STATE_DRAINED;
      return false;
    }
  }
  if (command === COMMAND_RUN && lanes.some((lane) => lane.mend())) return true;
  idle(waiting, command, messageCount, dueMs());
  return true;
}

async function run(): Promise<void> {
  // Said before: whoever starts this thread need not wait for its garbage.
  control.state = STATE_RUNNING;
  await shrinkHeap();
  // Posted while this thread was started: it is read before anything is done.
  let messageCount = control.messageCount;
  await nextMessages();
  while (step(messageCount)) {
    if (control.messageCount === messageCount) continue;
    messageCount = control.messageCount;
    await nextMessages();
  }
  for (const lane of lanes) lane.close();
  port?.removeAllListeners("message");
  port?.unref();
}

/** Two turns of the event loop: a message that was just posted is delivered in the next. */
async function nextMessages(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

await run();
