/**
 * What rules, windows and outputs have counted, for threads that show it. The processor's thread writes, main reads.
 *
 *     fixed | one RULE block a rule | one WINDOW block a window, in the order of the configuration
 *
 * Counts of events go on from what a predecessor of the thread has left; what only is now is written as it is.
 */
import { openCounters } from "../metrics/counters.ts";
import type { Exposition } from "../metrics/prometheus.ts";
import type { Processor } from "./processor.ts";

/** Counters, and then gauges. */
const FIXED = 10;
const FIXED_COUNTERS = 7;
const RULE = 2;
const WINDOW = 5;
/** A rule that cannot be evaluated is told of so often at most. */
const COMPLAINT_US = 10_000_000;

/** Names in the order of the configuration. */
export interface TallyNames {
  readonly rules: readonly string[];
  readonly windows: readonly string[];
}

/** Numbers that `Tally` needs room for. */
export function tallyLength(
  { rules, windows }: { readonly rules: readonly unknown[]; readonly windows: readonly unknown[] },
): number {
  return FIXED + rules.length * RULE + windows.length * WINDOW;
}

/** Anything with an expression that may fail for an event. */
interface Fallible {
  readonly failedCount: number;
  readonly lastFailure: string;
}

export class Tally {
  readonly #processor: Processor;
  readonly #memory: Float64Array;
  /** What was in memory at the beginning. */
  readonly #before: Float64Array;
  readonly #report: (problem: string) => void;
  /** Failures told of, and when, by what failed. */
  readonly #told = new Map<Fallible, { count: number; atUs: number }>();

  constructor(processor: Processor, memory: SharedArrayBuffer, report: (problem: string) => void) {
    this.#processor = processor;
    this.#memory = openCounters(memory);
    this.#before = this.#memory.slice();
    this.#report = report;
  }

  /** Shows the counts, and tells of expressions that fail. */
  publish(nowUs: number): void {
    const { loopCount, badOutputCount, outbox, desk, retries, rules, windows } = this.#processor;
    let at = 0;
    const counter = (value: number) => {
      this.#memory[at] = (this.#before[at] as number) + value;
      at++;
    };
    const gauge = (value: number) => {
      this.#memory[at++] = value;
    };
    counter(loopCount);
    counter(badOutputCount);
    counter(desk.webhookCounts.sent);
    counter(desk.webhookCounts.failed);
    counter(desk.webhookCounts.lost);
    counter(retries.retriedCount);
    counter(retries.givenUpCount);
    gauge(desk.webhookCounts.waiting);
    gauge(outbox.count);
    gauge(retries.count);
    for (const rule of rules) {
      counter(rule.firedCount);
      counter(rule.failedCount);
      this.#complain(`Rule ${rule.name}`, rule, nowUs);
    }
    for (const window of windows) {
      const { operator } = window;
      counter(operator.lateCount);
      counter(operator.overLimitCount);
      counter(window.failedCount);
      gauge(operator.keyCount);
      gauge(Number.isFinite(operator.watermarkUs) ? operator.watermarkUs / 1e6 : 0);
      this.#complain(`Window ${window.spec.name}`, window, nowUs);
    }
  }

  #complain(what: string, fallible: Fallible, nowUs: number): void {
    const { failedCount, lastFailure } = fallible;
    if (failedCount === 0) return;
    const told = this.#told.get(fallible) ?? { count: 0, atUs: -Infinity };
    if (failedCount === told.count || nowUs - told.atUs < COMPLAINT_US) return;
    const events = failedCount - told.count;
    this.#told.set(fallible, { count: failedCount, atUs: nowUs });
    this.#report(`${what} cannot judge ${events === 1 ? "an event" : `${events} events`}: ${lastFailure}`);
  }
}

/** Writes the families of a processor's tally. */
export function exposeTally(page: Exposition, names: TallyNames, memory: SharedArrayBuffer): void {
  const numbers = openCounters(memory);
  const fixed = [
    ["esc_derived_loop_total", "Events not processed because rules feed each other in a circle"],
    ["esc_results_unpublishable_total", "Results that are no events: a bad topic, a payload too large"],
    ["esc_webhook_sent_total", "Alerts that webhooks have taken"],
    ["esc_webhook_failures_total", "Requests to webhooks that failed"],
    ["esc_webhook_lost_total", "Alerts that a webhook refused, or that newer ones pushed out"],
    ["esc_retries_total", "Attempts of handlers at an event that has failed before"],
    ["esc_retries_exhausted_total", "Events given up after their last attempt"],
    ["esc_webhook_waiting", "Alerts that wait for a webhook"],
    ["esc_results_unconfirmed", "Results on their way into the log"],
    [
      "esc_retries_waiting",
      "Events that wait until a handler is tried again, and those of their keys behind them",
    ],
  ] as const;
  for (const [index, [name, help]] of fixed.entries()) {
    page.family(name, index < FIXED_COUNTERS ? "counter" : "gauge", help).sample(numbers[index] ?? 0);
  }
  const table = (
    label: string,
    series: readonly string[],
    first: number,
    width: number,
    families: readonly (readonly [name: string, type: "counter" | "gauge", help: string])[],
  ) => {
    for (const [offset, [name, type, help]] of families.entries()) {
      page.family(name, type, help);
      for (const [index, value] of series.entries()) {
        page.sample(numbers[first + index * width + offset] ?? 0, { [label]: value });
      }
    }
  };
  table("rule", names.rules, FIXED, RULE, [
    ["esc_rule_fired_total", "counter", "Times a rule fired"],
    ["esc_rule_failures_total", "counter", "Events for which an expression of a rule could not be evaluated"],
  ]);
  table("window", names.windows, FIXED + names.rules.length * RULE, WINDOW, [
    ["esc_window_late_total", "counter", "Events that came too late for a window"],
    ["esc_window_over_limit_total", "counter", "Events left out because a window had too many keys"],
    ["esc_window_failures_total", "counter", "Events whose condition, key or time could not be evaluated"],
    ["esc_window_keys", "gauge", "Keys with an open window"],
    ["esc_window_watermark_seconds", "gauge", "Event time up to which a window is complete, Unix seconds"],
  ]);
}
