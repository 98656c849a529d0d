/**
 * Writes the Prometheus text exposition format 0.0.4.
 *
 * One family at a time: HELP and TYPE once, then its samples. Names are given by the caller and trusted;
 * label values and help texts may hold anything and are escaped.
 */
import type { Histogram } from "./histogram.ts";

export const EXPOSITION_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Upper bounds of exposed latency buckets, in microseconds: three a decade, from 10 us to 60 s. */
export const LATENCY_BOUNDS_US: readonly number[] = [
  10,
  25,
  50,
  100,
  250,
  500,
  1_000,
  2_500,
  5_000,
  10_000,
  25_000,
  50_000,
  100_000,
  250_000,
  500_000,
  1_000_000,
  2_500_000,
  5_000_000,
  10_000_000,
  30_000_000,
  60_000_000,
];

export type MetricType = "counter" | "gauge" | "histogram";
export type Labels = Readonly<Record<string, string | number>>;

export class Exposition {
  readonly #lines: string[] = [];
  #name = "";

  /** Begins a family; `sample()` and `histogram()` belong to it until the next one begins. */
  family(name: string, type: MetricType, help: string): this {
    this.#name = name;
    this.#lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
    this.#lines.push(`# TYPE ${name} ${type}`);
    return this;
  }

  /** One value of the family. */
  sample(value: number, labels: Labels = {}): this {
    this.#line(this.#name, value, labels);
    return this;
  }

  /** All series of one histogram, microseconds shown as seconds. */
  histogram(histogram: Histogram, labels: Labels = {}): this {
    const counts = histogram.cumulative(LATENCY_BOUNDS_US);
    // The writer may be between two of its stores: +Inf must not be below a bucket.
    const count = Math.max(histogram.count, counts.at(-1) ?? 0);
    for (const [index, boundUs] of LATENCY_BOUNDS_US.entries()) {
      this.#line(`${this.#name}_bucket`, counts[index] as number, { ...labels, le: String(boundUs / 1e6) });
    }
    this.#line(`${this.#name}_bucket`, count, { ...labels, le: "+Inf" });
    this.#line(`${this.#name}_sum`, histogram.sumUs / 1e6, labels);
    this.#line(`${this.#name}_count`, count, labels);
    return this;
  }

  /** Everything written, ending with a newline as the format asks. */
  toString(): string {
    return this.#lines.join("\n") + "\n";
  }

  #line(name: string, value: number, labels: Labels): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(String(text))}"`);
    const block = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.#lines.push(`${name}${block} ${formatValue(value)}`);
  }
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function formatValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
