/**
 * When to connect again: exponential backoff with full jitter, and a circuit breaker in front of it.
 *
 *     delay = random(0, min(max, base · mult^attempt))          full jitter: many clients do not come back as one
 *
 *     closed ──N failures running──▶ open ──after T──▶ half_open ──success──▶ closed
 *                                     ▲                    │ one attempt only
 *                                     └────────failure─────┘
 *
 * Only data proves that a line works: being connected resets nothing.
 */

export interface ReconnectOptions {
  /** Default 1,000 ms. */
  readonly baseMs?: number;
  /** Default 30,000 ms. */
  readonly maxMs?: number;
  /** Default 2. */
  readonly multiplier?: number;
  /** Failures running that open the breaker. Default 5. */
  readonly failuresMax?: number;
  /** How long the breaker stays open. Default 60,000 ms. */
  readonly openMs?: number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
}

export type BreakerState = "closed" | "open" | "half_open";

export class Reconnect {
  readonly #options: Required<ReconnectOptions>;
  #failureCount = 0;
  #state: BreakerState = "closed";

  constructor(options: ReconnectOptions) {
    this.#options = {
      baseMs: 1000,
      maxMs: 30_000,
      multiplier: 2,
      failuresMax: 5,
      openMs: 60_000,
      ...options,
    };
  }

  get state(): BreakerState {
    return this.#state;
  }

  get failureCount(): number {
    return this.#failureCount;
  }

  /**
   * The line failed, or never opened. Returns how long to wait before the next attempt; while the breaker is open
   * that is all of its time, and the attempt after it is the one probe.
   *
   * @param retryAfterMs What the venue asked for (`Retry-After`, 418, 429); never come sooner.
   */
  failed(retryAfterMs = 0): number {
    const { baseMs, maxMs, multiplier, failuresMax, openMs, random } = this.#options;
    const ceilingMs = Math.min(maxMs, baseMs * multiplier ** this.#failureCount);
    this.#failureCount++;
    if (this.#state === "half_open" || this.#failureCount >= failuresMax) {
      this.#state = "open";
      return Math.max(retryAfterMs, openMs);
    }
    return Math.max(retryAfterMs, random() * ceilingMs);
  }

  /** An attempt begins. */
  attempted(): void {
    if (this.#state === "open") this.#state = "half_open";
  }

  /** Data has come: everything is forgiven. */
  succeeded(): void {
    this.#failureCount = 0;
    this.#state = "closed";
  }
}
