/**
 * Book snapshots asked of a venue's REST interface: one at a time, within its weight a minute, again after failures
 * (backoff with full jitter, never sooner than `Retry-After`). At most one request an instrument waits.
 */
import type { Instrument } from "../../market/instrument.ts";
import { Reconnect } from "./reconnect.ts";
import { SendBudget } from "./send-budget.ts";

export interface RestAnswer {
  readonly status: number;
  readonly text: string;
  /** From `Retry-After`; 0 without. */
  readonly retryAfterMs: number;
}

/** Fetches a text; a rejected promise counts as a failure to be tried again. */
export type SnapshotFetcher = (url: string) => Promise<RestAnswer>;

export interface SnapshotQueueOptions {
  readonly urlOf: (venueSymbol: string) => string;
  readonly fetchText: SnapshotFetcher;
  readonly weight: number;
  readonly weightPerMinute: number;
  readonly random: () => number;
  readonly onAnswer: (instrument: Instrument, text: string) => void;
}

export class SnapshotQueue {
  failureCount = 0;
  readonly #options: SnapshotQueueOptions;
  readonly #waiting = new Set<Instrument>();
  readonly #budget: SendBudget;
  readonly #backoff: Reconnect;
  /** Counts clearings: an answer to a question of before is thrown away. */
  #generation = 0;
  #isAsking = false;
  #notBeforeMs = 0;
  #nowMs = 0;

  constructor(options: SnapshotQueueOptions) {
    this.#options = options;
    this.#budget = new SendBudget(options.weightPerMinute, 60_000);
    this.#backoff = new Reconnect({ random: options.random, failuresMax: Infinity });
  }

  add(instrument: Instrument, nowMs: number): void {
    this.#waiting.add(instrument);
    this.tick(nowMs);
  }

  /** Asks for the next snapshot when nothing stands against it. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#isAsking || nowMs < this.#notBeforeMs) return;
    const [instrument] = this.#waiting;
    if (instrument === undefined || !this.#budget.take(nowMs, this.#options.weight)) return;
    this.#waiting.delete(instrument);
    this.#isAsking = true;
    void this.#ask(instrument, this.#generation);
  }

  /** Forgets all questions; answers on their way are not heard. */
  clear(): void {
    this.#waiting.clear();
    this.#generation++;
    this.#isAsking = false;
  }

  async #ask(instrument: Instrument, generation: number): Promise<void> {
    const { urlOf, fetchText, onAnswer } = this.#options;
    let answer: RestAnswer | undefined;
    try {
      answer = await fetchText(urlOf(instrument.venueSymbol));
    } catch {
      // Not reached: the same as a refusal, told by the count and tried again below.
    }
    if (generation !== this.#generation) return;
    this.#isAsking = false;
    if (answer?.status === 200) {
      this.#backoff.succeeded();
      onAnswer(instrument, answer.text);
    } else {
      this.failureCount++;
      this.#waiting.add(instrument);
      this.#notBeforeMs = this.#nowMs + this.#backoff.failed(answer?.retryAfterMs);
    }
    this.tick(this.#nowMs);
  }
}
