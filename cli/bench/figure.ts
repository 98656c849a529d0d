/** One measured figure, and how it is written. */
import { cpus } from "node:os";

export interface Figure {
  readonly bench: string;
  /** What was measured. */
  readonly name: string;
  /** Median of the rounds. */
  readonly nsPerEvent: number;
  readonly nsMin: number;
  readonly nsMax: number;
  readonly remark?: string;
}

/** What a figure was measured on: without it, it says nothing. */
export function machine(): { cpu: string; cores: number; bun: string; platform: string } {
  const [first, ...rest] = cpus();
  return {
    cpu: first?.model ?? "unknown",
    cores: 1 + rest.length,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** Median and extremes. @param values At least one. */
export function spreadOf(values: readonly number[]): { median: number; min: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  return { median: at(sorted.length >> 1), min: at(0), max: at(sorted.length - 1) };
}

/** `128 bytes, acks durable    2.12 M events/s   472 ns/event (450 to 510)  318 MB/s` */
export function figureText({ name, nsPerEvent, nsMin, nsMax, remark }: Figure): string {
  const rate = (1000 / nsPerEvent).toFixed(2).padStart(7);
  const spread = `(${nsMin.toFixed(0)} to ${nsMax.toFixed(0)})`;
  return `${name.padEnd(28)} ${rate} M events/s  ${nsPerEvent.toFixed(0).padStart(6)} ns/event ${spread}` +
    (remark === undefined ? "" : `  ${remark}`);
}

/** The figure as JSON. */
export function figureValue({ bench, name, nsPerEvent, nsMin, nsMax, remark }: Figure): object {
  return {
    bench,
    name,
    events_per_s: Math.round(1e9 / nsPerEvent),
    ns_per_event: Number(nsPerEvent.toFixed(1)),
    ns_min: Number(nsMin.toFixed(1)),
    ns_max: Number(nsMax.toFixed(1)),
    ...(remark === undefined ? {} : { remark }),
  };
}

/**
 * Reads a figure out of a line that a benchmark of the source tree has printed: a name, and nanoseconds with their
 * spread in brackets.
 *
 * @returns `undefined` when the line holds no figure.
 */
export function readFigure(bench: string, line: string): Figure | undefined {
  const [, ns] = /([\d.]+) ns\b/.exec(line) ?? [];
  const [, min, max] = /\(([\d.]+) to ([\d.]+)\)/.exec(line) ?? [];
  if (ns === undefined || min === undefined || max === undefined) return undefined;
  const [name = ""] = line.split(/ {2,}/);
  return { bench, name, nsPerEvent: Number(ns), nsMin: Number(min), nsMax: Number(max) };
}
