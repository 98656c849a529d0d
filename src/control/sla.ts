/**
 * Counts events of a lane that took longer than promised, and says when somebody should know: once per cooldown.
 *
 * The lane's latencies are measured anyway; this only reads them, so it costs nothing an event. Pure.
 */
import type { Histogram } from "../metrics/histogram.ts";

export interface SlaLimits {
  /** From reception until processed. */
  readonly maxLatencyMs: number;
  /** Silence after an alert. */
  readonly cooldownMs: number;
}

/** What an alert says. */
export interface SlaBreach {
  /** Events that took longer, and all events, since the alert before. */
  readonly late: number;
  readonly events: number;
}

const US_PER_MS = 1000;

export class SlaWatch {
  /** Events since start that took longer. */
  late = 0;
  #limits: SlaLimits;
  #events = 0;
  #told = { late: 0, events: 0, ms: -Infinity };
  /** Late by the limits before, less what the same events would be by those of now. */
  #earlier = 0;
  #hasNewLimit = false;

  constructor(limits: SlaLimits) {
    this.#limits = limits;
  }

  /** What came before another limit is not counted again by it. */
  set limits(limits: SlaLimits) {
    if (limits.maxLatencyMs !== this.#limits.maxLatencyMs) this.#hasNewLimit = true;
    this.#limits = limits;
  }

  /**
   * @param latencies Of the lane's events since start, until processed.
   * @param nowMs A clock that never goes back.
   * @returns What to tell; `undefined`: nothing, or not yet.
   */
  look(latencies: readonly Histogram[], nowMs: number): SlaBreach | undefined {
    const { maxLatencyMs, cooldownMs } = this.#limits;
    let late = 0;
    let events = 0;
    for (const histogram of latencies) {
      // The count first: what is recorded in between is then missed, not taken for late.
      const count = histogram.count;
      late += Math.max(0, count - (histogram.cumulative([maxLatencyMs * US_PER_MS])[0] ?? 0));
      events += count;
    }
    if (this.#hasNewLimit) {
      this.#earlier = this.late - late;
      this.#hasNewLimit = false;
    }
    this.late = Math.max(this.late, this.#earlier + late);
    this.#events = Math.max(this.#events, events);
    const told = this.#told;
    if (this.late === told.late || nowMs - told.ms < cooldownMs) return undefined;
    this.#told = { late: this.late, events: this.#events, ms: nowMs };
    return { late: this.late - told.late, events: this.#events - told.events };
  }
}
