/**
 * Which level the figures of an interval mean, given the level before: the control plane's decisions, and nothing
 * else.
 *
 *     level      entered at                        left again below recovery_factor of
 *     ELEVATED   queue > 50 %,  drops > 1/2 limit, or latency over its limit
 *     DEGRADED   queue > 75 %,  drops > limit
 *     CRITICAL   queue ≥ 100 %, drops ≥ 2 × limit; or DEGRADED for max_unhealthy_cycles checks
 *     EMERGENCY  queue > 150 %, drops ≥ 5 × limit
 *
 * A remedy is tried for one check before the next one: from below DEGRADED a check leads to DEGRADED at most, and
 * from there one level up. Down it goes as far as the figures allow, and
 * a part of an interval is enough for it. Pure.
 */
import type { FigureLimits, Figures } from "./figures.ts";
import { better, type Level, next, numberOf, worse } from "./levels.ts";

/** `control.thresholds` and `control.policies`. */
export interface JudgeLimits extends FigureLimits {
  /** Percent of the events. */
  readonly maxDropRatePercent: number;
  /** With fewer events in an interval only a full queue counts. */
  readonly minEventsForEvaluation: number;
  /** Checks in a row at DEGRADED before CRITICAL is tried. */
  readonly maxUnhealthyCycles: number;
  /** Whether actions end with the level that called for them, or wait for `resume()`. */
  readonly autoResume: boolean;
}

export interface Verdict {
  readonly level: Level;
  /** The level whose actions are in force: above `level` only while a resume is waited for. */
  readonly acting: Level;
  /** Whether either differs from before. */
  readonly isNew: boolean;
  /** Why, for a person; empty when HEALTHY. */
  readonly reasons: readonly string[];
}

export class Judge {
  #limits: JudgeLimits;
  #level: Level = "HEALTHY";
  #acting: Level = "HEALTHY";
  #unhealthyCount = 0;

  constructor(limits: JudgeLimits) {
    this.#limits = limits;
  }

  set limits(limits: JudgeLimits) {
    this.#limits = limits;
  }

  /** An operator says that all is well: judged anew from the next interval on. */
  reset(): void {
    this.#level = "HEALTHY";
    this.#acting = "HEALTHY";
    this.#unhealthyCount = 0;
  }

  /** Judges one interval. */
  check(figures: Figures): Verdict {
    const { recoveryFactor, maxUnhealthyCycles } = this.#limits;
    const before = this.#level;
    let rising = this.#severity(figures, 1);
    let staying = this.#severity(figures, recoveryFactor);
    this.#unhealthyCount = numberOf(staying) >= numberOf("DEGRADED") ? this.#unhealthyCount + 1 : 0;
    const isPatienceOver = this.#unhealthyCount > maxUnhealthyCycles;
    if (isPatienceOver && rising === "DEGRADED") rising = "CRITICAL";
    if (isPatienceOver && staying === "DEGRADED") staying = "CRITICAL";
    if (numberOf(rising) <= numberOf(before)) {
      return this.#settle(better(before, floored(staying, figures)), figures);
    }
    const highest = numberOf(before) < numberOf("DEGRADED") ? "DEGRADED" : next(before);
    return this.#settle(better(rising, highest), figures);
  }

  /**
   * Judges a part of an interval, so that a level is left soon: it may go down, never up.
   *
   * @param share Part of an interval that the figures are of, 0..1.
   */
  relax(figures: Figures, share: number): Verdict {
    const level = this.#relaxed(figures, share);
    if (numberOf(level) < numberOf("DEGRADED")) this.#unhealthyCount = 0;
    return this.#settle(level, figures);
  }

  /** Whether `relax()` would lead to a lower level. */
  wouldRelax(figures: Figures, share: number): boolean {
    return this.#relaxed(figures, share) !== this.#level;
  }

  #relaxed(figures: Figures, share: number): Level {
    const { recoveryFactor, maxUnhealthyCycles } = this.#limits;
    const staying = this.#severity(figures, recoveryFactor, share);
    const isPatienceOver = this.#unhealthyCount > maxUnhealthyCycles && staying === "DEGRADED";
    return better(this.#level, floored(isPatienceOver ? "CRITICAL" : staying, figures));
  }

  #settle(level: Level, figures: Figures): Verdict {
    const before = this.#level;
    const actingBefore = this.#acting;
    this.#level = level;
    this.#acting = this.#limits.autoResume ? level : worse(level, actingBefore);
    const isNew = level !== before || this.#acting !== actingBefore;
    return { level, acting: this.#acting, isNew, reasons: this.#reasons(figures) };
  }

  /**
   * @param scale 1 to enter a level, the recovery factor to stay in it.
   * @param share Part of an interval that the figures are of.
   */
  #severity(figures: Figures, scale: number, share = 1): Level {
    const { maxDropRatePercent, maxLatencyMs, minEventsForEvaluation } = this.#limits;
    const { events, queuePercent, dropPercent, latencyMs } = figures;
    const isWarm = events >= minEventsForEvaluation * share;
    const queue = queuePercent / scale;
    if (!isWarm) return queue >= 100 ? "CRITICAL" : "HEALTHY";
    const drops = dropPercent === 0 ? 0 : dropPercent / maxDropRatePercent / scale;
    if (queue > 150 || drops >= 5) return "EMERGENCY";
    if (queue >= 100 || drops >= 2) return "CRITICAL";
    if (queue > 75 || drops > 1) return "DEGRADED";
    return queue > 50 || drops > 0.5 || latencyMs / scale > maxLatencyMs ? "ELEVATED" : "HEALTHY";
  }

  #reasons(figures: Figures): string[] {
    const { queue, queuePercent, dropPercent, latencyMs, isShedNeeded, isEmergencyNeeded } = figures;
    const { maxDropRatePercent, maxLatencyMs, maxUnhealthyCycles, recoveryFactor } = this.#limits;
    if (this.#level === "HEALTHY" && this.#acting === "HEALTHY") return [];
    const reasons: string[] = [];
    if (queuePercent > 50 * recoveryFactor) {
      reasons.push(`queue of ${queue} at ${queuePercent.toFixed(0)} % of what may wait`);
    }
    if (dropPercent > 0.5 * maxDropRatePercent * recoveryFactor) {
      reasons.push(`${dropPercent.toFixed(1)} % of the events dropped`);
    }
    if (latencyMs > maxLatencyMs * recoveryFactor) {
      reasons.push(`latency p99 ${latencyMs.toFixed(0)} ms`);
    }
    if (this.#unhealthyCount > maxUnhealthyCycles) {
      reasons.push(`unhealthy for more than ${maxUnhealthyCycles} checks`);
    }
    if (isShedNeeded || isEmergencyNeeded) reasons.push("the load that is shed would not fit in");
    if (this.#acting !== this.#level) reasons.push(`${this.#acting} until resumed: auto_resume is off`);
    return reasons;
  }
}

/** What is shed must not come back before it fits in. */
function floored(staying: Level, { isShedNeeded, isEmergencyNeeded }: Figures): Level {
  if (isEmergencyNeeded) return "EMERGENCY";
  return isShedNeeded ? worse(staying, "DEGRADED") : staying;
}
