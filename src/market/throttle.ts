/**
 * At most so many updates in any window of time for one symbol, and a choice of what becomes of the others.
 *
 *     drop_newest   what comes while the budget is spent is dropped
 *     drop_oldest   it waits, at most `burst` of it; a full queue drops its oldest
 *     merge         it is folded into one waiting update: last price and quote, high, low, volume summed
 *     sample        only the newest waits
 *
 * Never more than `updatesPerWindow` leave in any `windowUs`, measured over a sliding window and not by the calendar:
 * the times of the last updates that left are kept, and the oldest must have left the window before the next goes.
 */

export type ThrottleStrategy = "drop_oldest" | "drop_newest" | "merge" | "sample";

export interface ThrottleOptions<Update> {
  readonly strategy: ThrottleStrategy;
  /** Default 60. */
  readonly updatesPerWindow?: number;
  /** Default 1 s. */
  readonly windowUs?: number;
  /** Updates that may wait under drop_oldest. Default 100. */
  readonly burst?: number;
  /** Folds a newer update into the waiting one; needed by merge. */
  readonly merge?: (waiting: Update, newer: Update) => Update;
}

export class Throttle<Update> {
  droppedCount = 0;
  mergedCount = 0;
  /** Times a full queue had to drop: the burst was too large. */
  overflowCount = 0;
  readonly #strategy: ThrottleStrategy;
  readonly #windowUs: number;
  readonly #burst: number;
  readonly #merge: ((waiting: Update, newer: Update) => Update) | undefined;
  readonly #send: (update: Update) => void;
  /** Times of the last updates sent, a ring as long as the budget: the oldest one is the next to leave the window. */
  readonly #sentUs: Float64Array;
  #sentAt = 0;
  readonly #waiting: Update[] = [];

  /** @throws {RangeError} If the strategy is merge and there is no merge function. */
  constructor(send: (update: Update) => void, options: ThrottleOptions<Update>) {
    if (options.strategy === "merge" && options.merge === undefined) {
      throw new RangeError("Cannot merge updates without a merge function");
    }
    this.#send = send;
    this.#strategy = options.strategy;
    this.#windowUs = options.windowUs ?? 1_000_000;
    this.#burst = options.burst ?? 100;
    this.#merge = options.merge;
    this.#sentUs = new Float64Array(options.updatesPerWindow ?? 60).fill(-Infinity);
  }

  /** Sends the update now, or deals with it by the strategy. */
  offer(update: Update, nowUs: number): void {
    this.release(nowUs);
    if (this.#waiting.length === 0 && this.#mayAt() <= nowUs) return this.#sendNow(update, nowUs);
    switch (this.#strategy) {
      case "drop_newest":
        this.droppedCount++;
        this.overflowCount++;
        return;
      case "drop_oldest":
        this.#waiting.push(update);
        if (this.#waiting.length > this.#burst) {
          this.#waiting.shift();
          this.droppedCount++;
          this.overflowCount++;
        }
        return;
      case "sample":
        if (this.#waiting.length > 0) this.droppedCount++;
        this.#waiting[0] = update;
        return;
      case "merge":
        this.#mergeIn(update);
    }
  }

  /** Sends what waits and may go now; call it at `nextUs`. */
  release(nowUs: number): void {
    while (this.#waiting.length > 0 && this.#mayAt() <= nowUs) {
      const update = this.#waiting.shift();
      if (update !== undefined) this.#sendNow(update, nowUs);
    }
  }

  /** When the next waiting update may go; NaN when nothing waits. */
  get nextUs(): number {
    return this.#waiting.length === 0 ? NaN : this.#mayAt();
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  #mergeIn(update: Update): void {
    const waiting = this.#waiting[0];
    if (waiting === undefined || this.#merge === undefined) {
      this.#waiting.push(update);
      return;
    }
    this.#waiting[0] = this.#merge(waiting, update);
    this.mergedCount++;
  }

  /** The first moment at which the oldest remembered update has left the window. */
  #mayAt(): number {
    return (this.#sentUs[this.#sentAt] as number) + this.#windowUs;
  }

  #sendNow(update: Update, nowUs: number): void {
    this.#sentUs[this.#sentAt] = nowUs;
    this.#sentAt = (this.#sentAt + 1) % this.#sentUs.length;
    this.#send(update);
  }
}
