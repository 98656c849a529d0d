/**
 * How good the data of one source and symbol are, from what was counted and measured over a window.
 *
 *     score = 30 % completeness + 25 % timeliness + 25 % accuracy + 20 % consistency        each 0 .. 100
 *
 *     completeness   messages received of those expected (received + missing by sequence)
 *     timeliness     100 at 500 ms latency and 1 s age or less, 50 at 1 s and 5 s, then falling to 0 at 5 s and 30 s;
 *                    the worse of the two
 *     accuracy       messages without a defect (price or quantity refused, crossed, checksum)
 *     consistency    messages neither repeated nor out of order
 *
 * An alert is raised under `alertScore` and withdrawn only at `alertScore + hysteresis`, so a score at the edge does
 * not ring all the time.
 */

import type { Instrument } from "./instrument.ts";

/** What has happened since the window began. */
export interface QualityCounts {
  received: number;
  /** Known to be lost: holes in sequences and trade numbers. */
  missing: number;
  duplicates: number;
  outOfOrder: number;
  /** Messages refused, books crossed, checksums that did not match. */
  invalid: number;
}

export interface QualityOptions {
  /** Default 80. */
  readonly alertScore?: number;
  /** Default 5. */
  readonly hysteresis?: number;
  /** Length of the sliding window; it moves in ten steps. Default 60 s. */
  readonly windowUs?: number;
}

export type Freshness = "good" | "fair" | "poor";
export type AlertChange = "raised" | "withdrawn" | undefined;

export interface QualityReport {
  readonly score: number;
  readonly completeness: number;
  readonly timeliness: number;
  readonly accuracy: number;
  readonly consistency: number;
  readonly freshness: Freshness;
  readonly counts: Readonly<QualityCounts>;
  /** Mean time from the venue's clock to ours over the window; NaN where the venue gives no time. */
  readonly latencyUsMean: number;
  /** Time since the last message. */
  readonly ageUs: number;
  readonly isAlerting: boolean;
}

const STEPS = 10;
const FAIR_LATENCY_US = 500_000;
const POOR_LATENCY_US = 1_000_000;
const WORST_LATENCY_US = 5_000_000;
const FAIR_AGE_US = 1_000_000;
const POOR_AGE_US = 5_000_000;
const WORST_AGE_US = 30_000_000;

class Step {
  counts: QualityCounts = { received: 0, missing: 0, duplicates: 0, outOfOrder: 0, invalid: 0 };
  latencyUsSum = 0;
  latencyCount = 0;
}

/** One source and symbol. All times in microseconds of one clock, given by the caller. */
export class QualityMeter {
  readonly #alertScore: number;
  readonly #hysteresis: number;
  readonly #stepUs: number;
  #steps: Step[] = [new Step()];
  #stepStartUs = NaN;
  #lastUs = NaN;
  #isAlerting = false;

  constructor(options: QualityOptions = {}) {
    this.#alertScore = options.alertScore ?? 80;
    this.#hysteresis = options.hysteresis ?? 5;
    this.#stepUs = (options.windowUs ?? 60_000_000) / STEPS;
  }

  /** Counts one message; `latencyUs` NaN where the venue gives no time. */
  received(nowUs: number, latencyUs: number): void {
    const step = this.#current(nowUs);
    this.#lastUs = nowUs;
    step.counts.received++;
    // A venue's clock ahead of ours would make the latency negative: then it is as good as none.
    if (latencyUs === latencyUs) {
      step.latencyUsSum += Math.max(0, latencyUs);
      step.latencyCount++;
    }
  }

  /** Counts a defect. */
  note(defect: Exclude<keyof QualityCounts, "received">, nowUs: number, count = 1): void {
    this.#current(nowUs).counts[defect] += count;
  }

  /** The state of things now, and whether the alert changed by it. */
  judge(nowUs: number): { report: QualityReport; change: AlertChange } {
    this.#current(nowUs);
    const total = this.#sum();
    const { counts } = total;
    const latencyUsMean = total.latencyUsSum / total.latencyCount;
    const ageUs = nowUs - this.#lastUs;
    const completeness = share(counts.received, counts.received + counts.missing);
    const accuracy = share(counts.received - counts.invalid, counts.received);
    const consistency = share(counts.received - counts.duplicates - counts.outOfOrder, counts.received);
    const timeliness = Math.min(
      falling(latencyUsMean, FAIR_LATENCY_US, POOR_LATENCY_US, WORST_LATENCY_US),
      falling(ageUs, FAIR_AGE_US, POOR_AGE_US, WORST_AGE_US),
    );
    const score = 0.3 * completeness + 0.25 * timeliness + 0.25 * accuracy + 0.2 * consistency;
    const change = this.#alert(score);
    return {
      report: {
        score,
        completeness,
        timeliness,
        accuracy,
        consistency,
        freshness: freshnessOf(latencyUsMean, ageUs),
        counts,
        latencyUsMean,
        ageUs,
        isAlerting: this.#isAlerting,
      },
      change,
    };
  }

  save() {
    return {
      steps: this.#steps.map(({ counts, latencyUsSum, latencyCount }) => ({
        counts: { ...counts },
        latencyUsSum,
        latencyCount,
      })),
      stepStartUs: this.#stepStartUs,
      lastUs: this.#lastUs,
      isAlerting: this.#isAlerting,
    };
  }

  restore({ steps, stepStartUs, lastUs, isAlerting }: ReturnType<QualityMeter["save"]>): void {
    this.#steps = steps.map((step) => Object.assign(new Step(), step));
    this.#stepStartUs = stepStartUs;
    this.#lastUs = lastUs;
    this.#isAlerting = isAlerting;
  }

  #alert(score: number): AlertChange {
    if (!this.#isAlerting && score < this.#alertScore) {
      this.#isAlerting = true;
      return "raised";
    }
    if (this.#isAlerting && score >= Math.min(100, this.#alertScore + this.#hysteresis)) {
      this.#isAlerting = false;
      return "withdrawn";
    }
    return undefined;
  }

  /** The step of now; steps that have left the window are forgotten. */
  #current(nowUs: number): Step {
    if (Number.isNaN(this.#stepStartUs)) this.#stepStartUs = nowUs;
    const passed = Math.floor((nowUs - this.#stepStartUs) / this.#stepUs);
    if (passed > 0) {
      this.#stepStartUs += passed * this.#stepUs;
      for (let at = 0; at < Math.min(passed, STEPS); at++) this.#steps.push(new Step());
      this.#steps = this.#steps.slice(-STEPS);
    }
    let step = this.#steps.at(-1);
    if (step === undefined) this.#steps.push(step = new Step());
    return step;
  }

  #sum(): Step {
    const total = new Step();
    for (const { counts, latencyUsSum, latencyCount } of this.#steps) {
      total.counts.received += counts.received;
      total.counts.missing += counts.missing;
      total.counts.duplicates += counts.duplicates;
      total.counts.outOfOrder += counts.outOfOrder;
      total.counts.invalid += counts.invalid;
      total.latencyUsSum += latencyUsSum;
      total.latencyCount += latencyCount;
    }
    return total;
  }
}

/** A report as an event shows it, behind what `head` says of the event. */
export function qualityJson(
  instrument: Instrument,
  report: QualityReport,
  nowUs: number,
  head: object,
): string {
  return JSON.stringify({
    ...head,
    venue: instrument.venue,
    symbol: instrument.symbol,
    time_us: nowUs,
    score: hundredths(report.score),
    completeness: hundredths(report.completeness),
    timeliness: hundredths(report.timeliness),
    accuracy: hundredths(report.accuracy),
    consistency: hundredths(report.consistency),
    freshness: report.freshness,
    health: healthOf(report.score, report.ageUs),
    latency_us_mean: Number.isNaN(report.latencyUsMean) ? undefined : Math.round(report.latencyUsMean),
    age_us: Number.isNaN(report.ageUs) ? undefined : report.ageUs,
    counts: report.counts,
    alerting: report.isAlerting,
  });
}

export type Health = "healthy" | "degraded" | "critical" | "offline";

/** `offline` after 30 s without data; else by the score: from 80 healthy, from 50 degraded. */
export function healthOf(score: number, ageUs: number): Health {
  if (ageUs > WORST_AGE_US) return "offline";
  if (score >= 80) return "healthy";
  return score >= 50 ? "degraded" : "critical";
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Percentage of a whole; 100 of nothing, because nothing was wrong. */
function share(part: number, whole: number): number {
  return whole <= 0 ? 100 : Math.max(0, (part / whole) * 100);
}

/** 100 up to `fair`, 50 at `poor`, 0 from `worst` on, straight lines between; 100 for NaN (not measured). */
function falling(value: number, fair: number, poor: number, worst: number): number {
  if (!(value > fair)) return 100;
  if (value <= poor) return 100 - ((value - fair) / (poor - fair)) * 50;
  return value >= worst ? 0 : 50 - ((value - poor) / (worst - poor)) * 50;
}

function freshnessOf(latencyUs: number, ageUs: number): Freshness {
  if (ageUs > POOR_AGE_US || latencyUs > POOR_LATENCY_US) return "poor";
  return ageUs > FAIR_AGE_US || latencyUs > FAIR_LATENCY_US ? "fair" : "good";
}
