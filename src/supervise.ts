/**
 * Keeps one worker thread alive: starts it, hands its messages on, and starts it again when it dies.
 *
 * All that a worker must not lose lies in shared memory that its options carry, so a successor with
 * the same options goes on where the dead one stopped. Main thread only.
 */
import { Worker } from "node:worker_threads";
import { STATE_DEAD, STATE_DRAINED, STATE_STARTING, ThreadControl } from "./queue/control.ts";
import type { Doorbell } from "./queue/doorbell.ts";

/** First pause before a restart; doubles with each death that follows soon, up to `RESTART_MS_MAX`. */
const RESTART_MS_MIN = 20;
const RESTART_MS_MAX = 5_000;
/** A worker that lived this long has earned a fresh count. */
const STABLE_MS = 30_000;

export interface WorkerSpec {
  /** For logs, metrics and thread lists: `ingest-0`, `dispatcher`, `lane-realtime-0`. */
  readonly name: string;
  readonly url: URL;
  /** Structured-cloneable options, given to every incarnation unchanged. */
  readonly options: unknown;
  readonly control: SharedArrayBuffer;
  readonly doorbell: Doorbell;
  readonly onMessage: (message: unknown) => void;
  /** The worker died without being asked to; it is about to be restarted in `restartMs`. */
  readonly onDeath: (reason: string, restartMs: number) => void;
  /** A successor was started. */
  readonly onRestart: () => void;
}

/** A message that replaces part of a worker's options; the last of each type counts. */
export interface StandingMessage {
  readonly type: string;
  readonly [part: string]: unknown;
}

export class SupervisedWorker {
  readonly name: string;
  readonly control: ThreadControl;
  /** Times the thread died and was started again. */
  restartCount = 0;
  readonly #spec: WorkerSpec;
  #worker: Worker | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ending = false;
  #startedMs = 0;
  #failuresInRow = 0;
  #reason = "";
  /** What every incarnation is told, by the message's type. */
  readonly #standing = new Map<string, unknown>();
  readonly #ended: Promise<void>;
  #settleEnded: () => void = () => {};

  constructor(spec: WorkerSpec) {
    this.#spec = spec;
    this.name = spec.name;
    this.control = new ThreadControl(spec.control);
    this.#ended = new Promise((resolve) => {
      this.#settleEnded = resolve;
    });
    this.#start();
  }

  /** Posts a message and wakes the thread if it is blocked, so that it will read it. */
  post(message: unknown): void {
    this.#worker?.postMessage(message);
    this.control.announceMessage();
    this.#spec.doorbell.alarm();
  }

  /** The same with a message that replaces part of the options: each successor gets the last of its type, too. */
  postStanding(message: StandingMessage): void {
    this.#standing.set(message.type, message);
    this.post(message);
  }

  /** Gives a command (see `queue/control.ts`) and wakes the thread. */
  command(value: number): void {
    this.control.command = value;
    this.#spec.doorbell.alarm();
  }

  /** From now on the end of the thread is wanted: it is not restarted. */
  expectEnd(): void {
    this.#ending = true;
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#settleEnded();
    }
  }

  /** Settles when the thread has ended after `expectEnd()`. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Ends the thread at once, whatever it is doing. */
  abort(): void {
    this.expectEnd();
    void this.#worker?.terminate();
  }

  #start(): void {
    this.#timer = undefined;
    this.#startedMs = Date.now();
    this.#reason = "ended";
    this.control.state = STATE_STARTING;
    const worker = new Worker(this.#spec.url, { name: this.name, workerData: this.#spec.options });
    this.#worker = worker;
    worker.on("message", this.#spec.onMessage);
    worker.on("error", (error: unknown) => {
      this.#reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    worker.on("exit", () => this.#onEnd(worker));
    for (const message of this.#standing.values()) this.post(message);
  }

  #onEnd(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    // Its last word stands: whoever waits for the drained state may look only after the end.
    if (this.control.state !== STATE_DRAINED) this.control.state = STATE_DEAD;
    if (this.#ending) {
      this.#settleEnded();
      return;
    }
    this.#failuresInRow = Date.now() - this.#startedMs > STABLE_MS ? 1 : this.#failuresInRow + 1;
    const restartMs = Math.min(RESTART_MS_MIN * 2 ** (this.#failuresInRow - 1), RESTART_MS_MAX);
    this.restartCount++;
    this.#spec.onDeath(this.#reason, restartMs);
    this.#timer = setTimeout(() => {
      this.#start();
      this.#spec.onRestart();
    }, restartMs);
  }
}
