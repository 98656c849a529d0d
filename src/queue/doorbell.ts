/**
 * How a thread sleeps until another has work for it, without a wake-up nobody needs.
 *
 * One doorbell a consuming thread, however many queues it drains. The consumer says that it is
 * about to sleep, looks at its queues once more, and sleeps; a producer publishes first and rings
 * afterwards, and ringing costs one load while the consumer is awake. Store-then-load on both
 * sides, all sequentially consistent (Dekker): either the consumer sees the record or the producer
 * sees the sleeper.
 */

const BELL = 0;
const WAITING = 32;
const DOORBELL_BYTES = 256;

/** Allocates a doorbell; the buffer may be handed to any number of workers. */
export function createDoorbell(): SharedArrayBuffer {
  return new SharedArrayBuffer(DOORBELL_BYTES);
}

/** One thread's view of a doorbell. Any thread may `ring()`; only the owner waits. */
export class Doorbell {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Wakes the owner if it sleeps or is about to. Call after publishing, once a batch. */
  ring(): void {
    const words = this.#words;
    // The exchange lets exactly one of several producers pay for the system call.
    if (Atomics.load(words, WAITING) !== 0 && Atomics.exchange(words, WAITING, 0) !== 0) {
      Atomics.add(words, BELL, 1);
      Atomics.notify(words, BELL);
    }
  }

  /** Wakes the owner whatever state it is in: for control words and shutdown. */
  alarm(): void {
    Atomics.store(this.#words, WAITING, 0);
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }

  /**
   * Announces that the owner is about to sleep. After this, look at every queue again.
   *
   * @returns A ticket for `wait()` or `waitAsync()`.
   */
  arm(): number {
    const ticket = Atomics.load(this.#words, BELL);
    Atomics.store(this.#words, WAITING, 1);
    return ticket;
  }

  /** Takes the announcement back: the second look found work. */
  disarm(): void {
    Atomics.store(this.#words, WAITING, 0);
  }

  /** Blocks the thread until somebody rings or `timeoutMs` pass. Never on the main thread. */
  wait(ticket: number, timeoutMs: number): void {
    Atomics.wait(this.#words, BELL, ticket, timeoutMs);
    Atomics.store(this.#words, WAITING, 0);
  }

  /**
   * The same for a thread with an event loop.
   *
   * @returns A promise that settles when somebody rings or `timeoutMs` pass, or `undefined` when
   *   somebody already has.
   */
  waitAsync(ticket: number, timeoutMs: number): Promise<unknown> | undefined {
    const result = Atomics.waitAsync(this.#words, BELL, ticket, timeoutMs);
    return result.async ? result.value : undefined;
  }
}
