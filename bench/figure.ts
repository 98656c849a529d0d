/** One measured figure, and how it is written. */
import { cpus, loadavg } from "node:os";

/** What the original engine's documents say: a claim made on another machine, printed for orientation. */
export interface Published {
  readonly eventsPerS?: number;
  readonly p50Ns?: number;
  readonly p99Ns?: number;
}

export interface Figure {
  readonly bench: string;
  /** What was measured. */
  readonly name: string;
  readonly isLatency: boolean;
  /** Median of the rounds; of a latency, the median of their medians. */
  readonly nsPerEvent: number;
  readonly nsMin: number;
  readonly nsMax: number;
  /** Nanoseconds an event of each round. */
  readonly rounds: readonly number[];
  /** Of single operations. Of those below a microsecond: of batches, divided. */
  readonly p50Ns?: number;
  readonly p99Ns?: number;
  readonly published?: Published;
  readonly remark?: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly bun: string;
  readonly platform: string;
  /** Work of others in the last minute, in cores. */
  readonly load: number;
}

/** What a figure was measured on: without it, it says nothing. */
export function machine(): Machine {
  const [first, ...rest] = cpus();
  return {
    cpu: first?.model ?? "unknown",
    cores: 1 + rest.length,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}

/** Median and extremes. @param values At least one. */
export function spreadOf(values: readonly number[]): { median: number; min: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  return { median: at(sorted.length >> 1), min: at(0), max: at(sorted.length - 1) };
}

/** `128 bytes, acks durable    2.12 M events/s   472 ns/event (450 to 510)  318 MB/s` */
export function figureText(figure: Figure): string {
  const { name, isLatency, nsPerEvent, nsMin, nsMax, p50Ns, p99Ns, remark } = figure;
  const spread = `(${nanoseconds(nsMin)} to ${nanoseconds(nsMax)})`;
  const rate = isLatency
    ? `p50 ${nanoseconds(nsPerEvent)} ${spread}`
    : `${(1000 / nsPerEvent).toFixed(2).padStart(7)} M/s ${nanoseconds(nsPerEvent).padStart(8)} ${spread}`;
  const single = p99Ns === undefined || p50Ns === undefined
    ? ""
    : isLatency
    ? `  p99 ${nanoseconds(p99Ns)}`
    : `  p50 ${nanoseconds(p50Ns)} p99 ${nanoseconds(p99Ns)}`;
  return `${name.padEnd(44)} ${rate}${single}${publishedText(figure)}` +
    (remark === undefined ? "" : `  ${remark}`);
}

/** The claim of the original engine, and how much of it was reached. */
function publishedText({ published, nsPerEvent }: Figure): string {
  if (published === undefined) return "";
  const { eventsPerS, p50Ns, p99Ns } = published;
  const claims: string[] = [];
  if (eventsPerS !== undefined) {
    const reached = 1e9 / nsPerEvent / eventsPerS;
    claims.push(`${eventsPerS / 1e6} M/s: ${reached >= 1 ? "met" : `${Math.round(reached * 100)} % of it`}`);
  }
  if (p50Ns !== undefined && p99Ns !== undefined) {
    claims.push(`p50 ${nanoseconds(p50Ns)} p99 ${nanoseconds(p99Ns)}`);
  }
  return `  [original ${claims.join(", ")}]`;
}

/** `8.2 ns`, `35.1 us`, `1.25 ms`. */
export function nanoseconds(ns: number): string {
  if (ns < 1000) return `${ns.toFixed(ns < 100 ? 1 : 0)} ns`;
  return ns < 1e6 ? `${(ns / 1000).toFixed(1)} us` : `${(ns / 1e6).toFixed(2)} ms`;
}

/** The figure as JSON. */
export function figureValue(figure: Figure): FigureValue {
  const { bench, name, isLatency, nsPerEvent, nsMin, nsMax, rounds, p50Ns, p99Ns, published, remark } =
    figure;
  return {
    bench,
    name,
    kind: isLatency ? "latency" : "rate",
    ...(isLatency ? {} : { events_per_s: Math.round(1e9 / nsPerEvent) }),
    ns_per_event: rounded(nsPerEvent),
    ns_min: rounded(nsMin),
    ns_max: rounded(nsMax),
    rounds: rounds.map(rounded),
    ...(p50Ns === undefined ? {} : { p50_ns: rounded(p50Ns) }),
    ...(p99Ns === undefined ? {} : { p99_ns: rounded(p99Ns) }),
    ...(published === undefined ? {} : {
      published: {
        ...(published.eventsPerS === undefined ? {} : { events_per_s: published.eventsPerS }),
        ...(published.p50Ns === undefined ? {} : { p50_ns: published.p50Ns }),
        ...(published.p99Ns === undefined ? {} : { p99_ns: published.p99Ns }),
      },
    }),
    ...(remark === undefined ? {} : { remark }),
  };
}

/** A figure in a file of `esc bench --save`, one a line. */
export interface FigureValue {
  readonly bench: string;
  readonly name: string;
  readonly kind: "latency" | "rate";
  readonly events_per_s?: number;
  readonly ns_per_event: number;
  readonly ns_min: number;
  readonly ns_max: number;
  readonly rounds: readonly number[];
  readonly p50_ns?: number;
  readonly p99_ns?: number;
  readonly published?: { readonly events_per_s?: number; readonly p50_ns?: number; readonly p99_ns?: number };
  readonly remark?: string;
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
