/** Whether a phase of a scenario kept to what it was to keep to. Pure. */
import type { StressReport } from "./report.ts";
import type { Thresholds } from "./scenario.ts";

export interface Breach {
  readonly threshold: string;
  readonly limit: number;
  readonly value: number;
}

/** @param isTimed It was to end by the clock: what was not sent then is no error. */
export function breachesOf(
  { load, plan, verdict }: StressReport,
  limits: Thresholds,
  isTimed: boolean,
): Breach[] {
  const unsent = isTimed ? 0 : plan.clients * plan.events - load.sent;
  const lost = verdict === undefined
    ? undefined
    : verdict.missing + verdict.doubled + verdict.outOfOrder + verdict.damaged;
  const times = load.latencies;
  const latency = (percent: number) => times.count === 0 ? undefined : times.percentile(percent) / 1000;
  const above = [
    ["p50", limits.p50, latency(50)],
    ["p99", limits.p99, latency(99)],
    ["p999", limits.p999, latency(99.9)],
    ["max", limits.max, times.count === 0 ? undefined : times.maxUs / 1000],
    ["errors", limits.errors, load.refused + load.failures.length + unsent],
    ["lost", limits.lost, lost],
  ] as const;
  const breaches = above.flatMap(([threshold, limit, value]): Breach[] => {
    if (limit === undefined) return [];
    // What was not measured has not been kept.
    if (value === undefined) return [{ threshold, limit, value: Infinity }];
    return value > limit ? [{ threshold, limit, value }] : [];
  });
  const rate = load.sent / Math.max(1e-9, load.seconds);
  if (limits.min_rate !== undefined && rate < limits.min_rate) {
    breaches.push({ threshold: "min_rate", limit: limits.min_rate, value: rate });
  }
  return breaches;
}
