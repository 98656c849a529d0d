/**
 * What a benchmark is, and how it is run: rounds of its cases take turns, so that a disturbance of the machine
 * meets all of them alike; the median of the rounds counts, and their spread is always shown beside it.
 *
 * A round checks its own result and throws when it is wrong: no figure is printed for work that was not done.
 */
import { measure } from "mitata";
import type { Figure, Published } from "./figure.ts";
import { spreadOf } from "./figure.ts";

/** What one round of a case came to. */
export interface Sample {
  readonly operations: number;
  /** For all of them together. */
  readonly ns: number;
  /** Of single operations, where the round could time them. */
  readonly p50Ns?: number;
  readonly p99Ns?: number;
  readonly remark?: string;
}

export interface Case {
  readonly name: string;
  /** A latency is better when it is short, and says nothing of a rate. Without it: a rate. */
  readonly isLatency?: boolean;
  /** What the original engine's documents say of the same. */
  readonly published?: Published;
  /** Works, checks its result, and says how long it took. @throws If the result is wrong. */
  round(): Sample | Promise<Sample>;
  /** One operation, to be timed by mitata for p50 and p99; batches of it where it is too short for the clock. */
  readonly operation?: () => void;
  close?(): void | Promise<void>;
}

export interface BenchOptions {
  /** Work of a round against the usual: tests take a thousandth. */
  readonly scale: number;
  /** How to run esc as another process. */
  readonly esc: readonly string[];
}

export interface Benchmark {
  readonly summary: string;
  open(options: BenchOptions): readonly Case[];
}

export interface RunOptions extends BenchOptions {
  readonly name: string;
  readonly rounds: number;
  readonly onFigure: (figure: Figure) => void;
  readonly interrupted: AbortSignal;
}

const MITATA_NS = 50e6;

/** `count` of a full-sized round, at this scale. */
export function scaled(count: number, { scale }: BenchOptions): number {
  return Math.max(1, Math.round(count * scale));
}

/** Runs all cases of a benchmark, a round of each in turn, after one that warms up and does not count. */
export async function runBenchmark(benchmark: Benchmark, options: RunOptions): Promise<void> {
  const cases = benchmark.open(options);
  const samples = cases.map((): Sample[] => []);
  try {
    for (let round = -1; round < options.rounds; round++) {
      for (const [index, each] of cases.entries()) {
        if (options.interrupted.aborted) return;
        const sample = await each.round();
        if (round >= 0) samples[index]?.push(sample);
      }
    }
    for (const [index, each] of cases.entries()) {
      options.onFigure(await figureOf(options.name, each, samples[index] ?? []));
    }
  } finally {
    for (const each of cases) await each.close?.();
  }
}

async function figureOf(bench: string, each: Case, samples: readonly Sample[]): Promise<Figure> {
  const rounds = samples.map(({ ns, operations }) => ns / operations);
  const { median, min, max } = spreadOf(rounds);
  const timed = each.operation === undefined
    ? percentilesOf(samples)
    : await mitataPercentiles(each.operation);
  // What the middle one of the rounds has to say.
  const remark = samples.find(({ ns, operations }) => ns / operations === median)?.remark;
  return {
    bench,
    name: each.name,
    isLatency: each.isLatency === true,
    nsPerEvent: median,
    nsMin: min,
    nsMax: max,
    rounds,
    ...timed,
    ...(each.published === undefined ? {} : { published: each.published }),
    ...(remark === undefined ? {} : { remark }),
  };
}

/** Medians over the rounds of what the rounds found. */
function percentilesOf(samples: readonly Sample[]): { p50Ns?: number; p99Ns?: number } {
  const p50s = samples.flatMap(({ p50Ns }) => p50Ns === undefined ? [] : [p50Ns]);
  const p99s = samples.flatMap(({ p99Ns }) => p99Ns === undefined ? [] : [p99Ns]);
  if (p50s.length === 0) return {};
  return { p50Ns: spreadOf(p50s).median, p99Ns: spreadOf(p99s).median };
}

async function mitataPercentiles(operation: () => void): Promise<{ p50Ns: number; p99Ns: number }> {
  const { p50, p99 } = await measure(operation, { min_cpu_time: MITATA_NS });
  return { p50Ns: p50, p99Ns: p99 };
}
