/** The account of a stress run, for people and as JSON. */
import type { AcksName } from "../../src/event/run.ts";
import type { Output } from "../output.ts";
import type { LedgerVerdict } from "./ledger.ts";
import type { LoadResult } from "./load.ts";
import type { StressPlan } from "./plan.ts";
import type { Verdict } from "./verifier.ts";

export interface StressReport {
  readonly plan: StressPlan;
  readonly acks: AcksName;
  readonly isUdp: boolean;
  readonly load: LoadResult;
  /** Absent without `--verify`. */
  readonly verdict: Verdict | undefined;
  readonly verifySeconds: number;
  readonly ledger: LedgerVerdict | undefined;
}

/** The report as JSON: snake_case, times in the unit of their name. */
export function stressValue(report: StressReport): object {
  const { plan, load, verdict, ledger } = report;
  return {
    run: plan.run,
    transport: report.isUdp ? "udp" : "tcp",
    clients: plan.clients,
    events_per_client: plan.events,
    payload_bytes: plan.size,
    acks: report.isUdp ? "none" : report.acks,
    sent: load.sent,
    acknowledged: load.acknowledged ?? null,
    errors: load.refused + load.failures.length,
    seconds: Number(load.seconds.toFixed(6)),
    events_per_s: eventsPerSecond(load),
    mb_per_s: megabytesPerSecond(load),
    ack_latency_us: load.latencies.count === 0 ? null : latencies(load),
    verify: verdict === undefined ? null : {
      expected: verdict.expected,
      found: verdict.found,
      missing: verdict.missing,
      doubled: verdict.doubled,
      out_of_order: verdict.outOfOrder,
      damaged: verdict.damaged,
      seconds: Number(report.verifySeconds.toFixed(6)),
    },
    ledger: ledger === undefined ? null : {
      balanced: ledger.isBalanced ?? null,
      imbalance: ledger.imbalance,
      ...ledger.events,
    },
  };
}

/** The report in lines. */
export function stressText(report: StressReport, output: Output): string {
  const { plan, load, verdict, ledger } = report;
  const what = report.isUdp ? "UDP" : `acks ${report.acks}`;
  const lines = [
    output.style("bold", `stress ${plan.run}`) +
    `: ${number(plan.clients)} clients x ${number(plan.events)} events of ${
      number(plan.size)
    } bytes, ${what}`,
    `  sent          ${number(load.sent)}`,
    `  acknowledged  ${load.acknowledged === undefined ? "-" : number(load.acknowledged)}`,
    `  errors        ${errorsText(load)}`,
    `  rate          ${number(eventsPerSecond(load))} events/s, ${megabytesPerSecond(load)} MB/s ` +
    `in ${load.seconds.toFixed(2)} s`,
  ];
  if (load.latencies.count > 0) {
    const { p50, p99, p999, max } = latencies(load);
    lines.push(`  ack latency   p50 ${ms(p50)}  p99 ${ms(p99)}  p99.9 ${ms(p999)}  max ${ms(max)}`);
  }
  if (verdict !== undefined) {
    lines.push(`  verify        ${verdictText(verdict, report.verifySeconds, output)}`);
  }
  if (ledger !== undefined) lines.push(`  ledger        ${ledgerText(ledger, output)}`);
  return lines.join("\n");
}

function errorsText({ refused, failures }: LoadResult): string {
  const reasons = [...new Set(failures.map((failure) => failure.message))].slice(0, 3);
  const lost = failures.length === 0 ? "" : `, ${failures.length} connections lost (${reasons.join("; ")})`;
  return `${number(refused)} refused${lost}`;
}

function verdictText(verdict: Verdict, seconds: number, output: Output): string {
  const { expected, found, missing, doubled, outOfOrder, damaged } = verdict;
  const read = `${number(found)} of ${number(expected)} read back in ${seconds.toFixed(2)} s: `;
  if (missing + doubled + outOfOrder + damaged === 0) {
    return read + output.style("green", "nothing missing, doubled or out of order");
  }
  return read + output.style(
    "red",
    `${number(missing)} missing, ${number(doubled)} doubled, ${number(outOfOrder)} out of order, ${
      number(damaged)
    } damaged`,
  );
}

function ledgerText({ isBalanced, imbalance, events }: LedgerVerdict, output: Output): string {
  const sums = `received ${number(events.received)} = accepted ${number(events.accepted)} + rejected ` +
    `${number(events.rejected)} + duplicates ${number(events.duplicates)}; accepted = durable ` +
    `${number(events.durable)} + dropped ${number(events.dropped)}`;
  if (isBalanced === true) return sums;
  if (isBalanced === undefined) return `not settled, other producers are at work: ${sums}`;
  return output.style("red", `does not add up, ${number(imbalance)} events lost or counted twice: ${sums}`);
}

function latencies({ latencies: histogram }: LoadResult) {
  return {
    p50: Math.round(histogram.percentile(50)),
    p99: Math.round(histogram.percentile(99)),
    p999: Math.round(histogram.percentile(99.9)),
    max: Math.round(histogram.maxUs),
  };
}

function eventsPerSecond({ sent, seconds }: LoadResult): number {
  return Math.round(sent / seconds);
}

function megabytesPerSecond({ frameBytes, seconds }: LoadResult): number {
  return Number((frameBytes / seconds / 1e6).toFixed(1));
}

function ms(us: number): string {
  return `${(us / 1000).toFixed(2)} ms`;
}

function number(value: number): string {
  return value.toLocaleString("en");
}
