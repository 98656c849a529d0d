/**
 * Thread entry of the processor: rules, windows and handlers behind the log.
 *
 * It reads the logs like a subscriber, publishes like a source, and commits to the store, so it belongs to no
 * stage alone. It has an event loop (webhooks, handlers, PostgreSQL) and sleeps by `waitAsync` on its doorbell,
 * which rings for newly visible events and for verdicts. When it loses the store it ends; its successor waits for
 * the store and goes on from the last commit.
 */
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { isBuiltin } from "./engine-handlers.ts";
import type { ProcessorCommand, ProcessorMessage, ProcessorWorkerOptions } from "./engine-processor.ts";
import { EscError } from "./errors.ts";
import { Source } from "./ingest/source.ts";
import { describeDamage } from "./log/damage.ts";
import { nodeFiles } from "./log/node-files.ts";
import type { LogLevel } from "./logging/logger.ts";
import type { Occasion } from "./process/alerts/desk.ts";
import { LetterBox } from "./process/letters.ts";
import { HandlerDesk } from "./process/handlers/user/desk.ts";
import { handlerTrouble } from "./process/handlers/user/trouble.ts";
import type { HandlerSpec } from "./process/handlers/registry.ts";
import { Processing } from "./process/processing.ts";
import { Processor } from "./process/processor.ts";
import { Tally } from "./process/tally.ts";
import { STATUS_FAILED } from "./queue/completions.ts";
import {
  COMMAND_DRAIN,
  COMMAND_RUN,
  COMMAND_STOP,
  STATE_DRAINED,
  STATE_RUNNING,
  ThreadControl,
} from "./queue/control.ts";
import { Doorbell } from "./queue/doorbell.ts";
import { BACKOFF, backoffMs } from "./store/backoff.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import { nowUs } from "./system/clock.ts";

/** Longest sleep: a ring that was missed is made good after this. */
const SLEEP_MS = 200;
/** Main hears of handlers that often, when something has changed. */
const FACTS_MS = 500;
/** Outputs that a failed log refused are offered again after this. */
const AGAIN_MS = 1000;
/** How often the thread looks around while there is no store. */
const LOOK_MS = 50;

const options = workerData as ProcessorWorkerOptions;
const port = parentPort;
if (port === null) throw new Error("The processor runs as a worker thread only");
const control = new ThreadControl(options.source.control);
const doorbell = new Doorbell(options.source.doorbell);

function post(message: ProcessorMessage): void {
  port?.postMessage(message);
}

function log(level: LogLevel, message: string): void {
  post({ type: "log", level, message });
}

const source = new Source({
  index: options.source.index,
  ring: options.source.ring,
  dispatcherDoorbell: new Doorbell(options.dispatcherDoorbell),
  completions: [options.source.fromDispatcher, ...options.source.fromLanes],
  counters: options.source.counters,
  latencies: options.source.latencies,
  shardCount: options.shardCount,
  blocked: options.source.blocked,
  nowUs,
});

const letters = new LetterBox(options.letters.ring, options.letters.doorbell, options.letters.counters);
const troubles: Occasion[] = [];
let useHandlers: (specs: readonly HandlerSpec[]) => void = () => {};
let raise: (trouble: Occasion) => void = (trouble) => troubles.push(trouble);
const handlers = options.handlers === undefined ? undefined : await HandlerDesk.open(options.handlers, {
  poke: () => doorbell.ring(),
  report: log,
  alert: (...given) => raise(handlerTrouble(...given, nowUs())),
  onHandlers: (specs) => useHandlers(specs),
});
// Whatever ends this thread: the processes of handlers do not stay behind.
process.on("exit", () => handlers?.abort());
const processor = new Processor(options.spec, {
  ...(handlers === undefined ? {} : { delegation: handlers }),
  tell: (alert) => post({ type: "alert", alert }),
  report: (problem) => log("warn", problem),
  nowUs,
  deadLetter: (event, reason, error, attempts) => letters.add(event, reason, error, attempts, nowUs()),
});
if (handlers !== undefined) {
  const builtins = options.spec.handlers.filter(isBuiltin);
  useHandlers = (specs) => processor.useHandlers([...builtins, ...specs]);
  useHandlers(handlers.specs());
  raise = (trouble) => processor.desk.raise(trouble);
  for (const trouble of troubles) raise(trouble);
  let told = "";
  setInterval(() => {
    const facts = handlers.facts();
    const text = JSON.stringify(facts);
    if (text !== told) post({ type: "handlers", handlers: facts });
    told = text;
  }, FACTS_MS).unref();
}
const connection = source.openConnection("internal", "durable", {
  progress: (done) => processor.outbox.done(done),
  problem: (status, _detail, firstSeq, count) => {
    // What an overflow policy took is in the DLQ; what a failed log refused is nowhere.
    if (status !== STATUS_FAILED) return;
    log("error", `${count} results could not be stored: they are sent again`);
    processor.outbox.refuse(firstSeq, count);
    setTimeout(() => processor.outbox.again(), AGAIN_MS);
  },
});
if (connection === undefined) throw new Error("The processor has no connection of its own");
const own = connection;

const tally = new Tally(processor, options.tally, (problem) => log("warn", problem));

let wantsSettled = false;
port.on("message", (command: ProcessorCommand) => {
  if (command.type === "settle") wantsSettled = true;
  doorbell.ring();
});

interface Opened {
  readonly store: Store;
  readonly processing: Processing;
}

/**
 * Opens the store and what was saved in it. While it is not there rules and windows stand still, and everything
 * else goes on: what comes meanwhile is in the logs.
 *
 * @returns `undefined` when the thread is to end before.
 */
async function openWhenThere(): Promise<Opened | undefined> {
  let nextMs = 0;
  for (let failures = 0;;) {
    control.beat();
    if (failures > 0 && control.command !== COMMAND_RUN) return undefined;
    // Verdicts for a predecessor: whoever sends them must not wait.
    source.poll();
    if (wantsSettled) settled();
    if (performance.now() >= nextMs) {
      const opened = await open();
      if (!(opened instanceof EscError)) {
        if (failures > 0) log("info", "The store is there: rules and windows go on");
        return opened;
      }
      if (opened.code !== "STORE_UNAVAILABLE") throw opened;
      log("warn", `Rules and windows wait for the store: ${opened.message}`);
      failures++;
      nextMs = performance.now() + backoffMs(BACKOFF, failures, Math.random());
      control.state = STATE_RUNNING;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function open(): Promise<Opened | EscError> {
  let store: Store | undefined;
  try {
    store = await openStore(options.store, nowUs);
    return { store, processing: await openProcessing(store) };
  } catch (error) {
    await store?.close();
    if (error instanceof EscError) return error;
    throw error;
  }
}

function openProcessing(store: Store): Promise<Processing> {
  return Processing.open(options.processing, {
    files: nodeFiles,
    store,
    processor,
    letters,
    offer: (bytes, frames) => {
      if (source.isBlocked(own)) return false;
      if (!source.offer(own, bytes, 0, bytes.length, frames, nowUs(), true)) return false;
      source.publish();
      return true;
    },
    nowUs,
    isHolding: () => control.isHolding,
    onDamage: (damage) => log("warn", describeDamage(damage)),
    tally: (nowUs) => tally.publish(nowUs),
    report: (problem) => log("warn", problem),
  });
}

/** Main waits for this with the shutdown. */
function settled(): void {
  wantsSettled = false;
  post({ type: "settled" });
}

/** All that can be done now. @returns Whether there may be more at once. */
async function turn(processing: Processing): Promise<boolean> {
  const polled = source.poll();
  const moved = await processing.turn();
  if (wantsSettled && processing.isSettled) settled();
  return polled || moved;
}

async function run({ store, processing }: Opened): Promise<void> {
  control.subscriptionCount = 1;
  control.state = STATE_RUNNING;
  for (;;) {
    const { command } = control;
    control.beat();
    if (command === COMMAND_STOP) break;
    if (await turn(processing)) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    if (command === COMMAND_DRAIN && processing.isCaughtUp) break;
    const ticket = doorbell.arm();
    // Whatever was published before the bell was armed is found by this second look.
    if (control.command !== command || await turn(processing)) {
      doorbell.disarm();
      continue;
    }
    await doorbell.waitAsync(ticket, Math.min(SLEEP_MS, processing.dueMs()));
    doorbell.disarm();
  }
  if (control.command === COMMAND_DRAIN) {
    await processing.commit();
    tally.publish(nowUs());
    control.state = STATE_DRAINED;
  }
  control.subscriptionCount = 0;
  processing.close();
  await store.close();
}

const opened = await openWhenThere();
if (opened !== undefined) await run(opened);
else if (control.command === COMMAND_DRAIN) {
  log("warn", "The store is not there: what was not processed is processed at the next start");
  control.state = STATE_DRAINED;
}
processor.desk.close();
handlers?.close();
port.close();
