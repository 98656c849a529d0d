/**
 * How main steers a worker thread that may be blocked in a wait, and sees that it is alive.
 *
 * One small block a thread. Main writes the command and then sounds the thread's doorbell; the
 * thread writes its state and its heartbeat.
 */

/** Work. */
export const COMMAND_RUN = 0;
/** Stop taking from the queues, keep the thread alive. */
export const COMMAND_PAUSE = 1;
/** Work until every queue is empty, make it durable, then end. */
export const COMMAND_DRAIN = 2;
/** End now. */
export const COMMAND_STOP = 3;

export const STATE_STARTING = 0;
export const STATE_RUNNING = 1;
export const STATE_PAUSED = 2;
/** Everything drained; nothing will be written by this thread any more. */
export const STATE_DRAINED = 3;
export const STATE_DEAD = 4;

const COMMAND = 0;
const MESSAGES = 1;
const SHED_BELOW = 2;
const HOLD = 3;
const STATE = 32;
const HEARTBEAT = 33;
const SUBSCRIPTIONS = 64;

export function createControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(512);
}

export class ThreadControl {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  get command(): number {
    return Atomics.load(this.#words, COMMAND);
  }
  /** Main only. Sound the thread's doorbell afterwards. */
  set command(value: number) {
    Atomics.store(this.#words, COMMAND, value);
  }

  /** Messages posted by main since start: a blocking thread returns to its event loop when it grows. */
  get messageCount(): number {
    return Atomics.load(this.#words, MESSAGES);
  }
  /** Main only, right after `postMessage` and before the doorbell. */
  announceMessage(): void {
    Atomics.add(this.#words, MESSAGES, 1);
  }

  /** The dispatcher takes events below this priority out, where their lane may lose any; 0: none. */
  get shedBelow(): number {
    return Atomics.load(this.#words, SHED_BELOW);
  }
  /** Main only; holds from the thread's next turn. */
  set shedBelow(priority: number) {
    Atomics.store(this.#words, SHED_BELOW, priority);
  }

  /** The processor leaves lanes without critical events alone. */
  get isHolding(): boolean {
    return Atomics.load(this.#words, HOLD) === 1;
  }
  /** Main only. Sound the thread's doorbell afterwards. */
  set isHolding(value: boolean) {
    Atomics.store(this.#words, HOLD, value ? 1 : 0);
  }

  get state(): number {
    return Atomics.load(this.#words, STATE);
  }
  set state(value: number) {
    Atomics.store(this.#words, STATE, value);
  }

  /** Grows with every turn of the thread's loop. */
  get heartbeat(): number {
    return Atomics.load(this.#words, HEARTBEAT);
  }
  beat(): void {
    Atomics.add(this.#words, HEARTBEAT, 1);
  }

  /**
   * Subscriptions this thread serves. Lane workers ring its doorbell for newly visible events only
   * while there are some.
   */
  get subscriptionCount(): number {
    return Atomics.load(this.#words, SUBSCRIPTIONS);
  }
  set subscriptionCount(value: number) {
    Atomics.store(this.#words, SUBSCRIPTIONS, value);
  }
}
