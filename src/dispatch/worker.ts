/**
 * Thread entry of the dispatcher: turns until told otherwise, sleeps while there is nothing to do.
 *
 * It blocks in its doorbell and returns to its event loop only for messages and to end.
 */
import { parentPort, workerData } from "node:worker_threads";
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
import { idle } from "../queue/wait.ts";
import { pinThread } from "../system/affinity.ts";
import { nowUs } from "../system/clock.ts";
import { shrinkHeap } from "../system/resident.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { DispatchWorkerOptions, RoutesMessage } from "./options.ts";

/** Longest sleep; also the slowest heartbeat. */
const IDLE_MS = 1000;
/** Sleep while runs are parked: their lane makes room without telling. */
const PARKED_MS = 1;

const options = workerData as DispatchWorkerOptions;
const port = parentPort;
if (port === null) throw new Error("The dispatcher runs as a worker thread only");
// First of all: memory that this thread touches first should lie near its CPUs.
if (options.cpus !== undefined) pinThread(options.cpus);
const control = new ThreadControl(options.control);
const doorbell = new Doorbell(options.doorbell);

function log(message: Omit<LogMessage, "type">): void {
  port?.postMessage({ type: "log", ...message } satisfies LogMessage);
}

const dispatcher = new Dispatcher(options, {
  nowUs,
  report: (problem) => log({ level: "error", message: problem }),
});
const waiting = { strategy: options.wait, doorbell, control, hasWork: () => dispatcher.hasWork() };

port.on("message", (message: RoutesMessage) => {
  if (message.type !== "routes") return;
  try {
    dispatcher.setRoutes(message.routes);
  } catch (error) {
    log({
      level: "error",
      message: "Cannot use the new routes: the old ones stay",
      fields: { error: String(error) },
    });
  }
});

/** One look at command and queues. @returns `false` when the thread is to end. */
function step(messageCount: number): boolean {
  const command = control.command;
  control.beat();
  if (command === COMMAND_STOP) return false;
  if (command === COMMAND_PAUSE) {
    control.state = STATE_PAUSED;
    doorbell.wait(doorbell.arm(), control.command === COMMAND_PAUSE ? IDLE_MS : 0);
    return true;
  }
  if (control.state !== STATE_RUNNING) control.state = STATE_RUNNING;
  if (dispatcher.turn()) return true;
  const { isParking } = dispatcher;
  if (command === COMMAND_DRAIN && !isParking && !dispatcher.hasWork()) {
    control.state = STATE_DRAINED;
    return false;
  }
  if (command === COMMAND_RUN || isParking) {
    idle(waiting, command, messageCount, isParking ? PARKED_MS : IDLE_MS);
  }
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
  port?.removeAllListeners("message");
  port?.unref();
}

/** Two turns of the event loop: a message that was just posted is delivered in the next. */
async function nextMessages(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

await run();
