/**
 * Whether a figure has changed: the ratio of the medians of two sets of rounds, with the interval in which it lies
 * with 95 % confidence, by resampling (percentile bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap).
 */
import type { FigureValue } from "./figure.ts";
import { spreadOf } from "./figure.ts";

export interface Change {
  readonly bench: string;
  readonly name: string;
  /** Time an event now against before: below 1 is faster. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** `unchanged` whenever 1 lies in the interval. */
  readonly verdict: "faster" | "slower" | "unchanged";
}

const RESAMPLES = 2000;
const CONFIDENCE = 0.95;

/** @param random Numbers from 0 to below 1. */
export function changeOf(before: FigureValue, now: FigureValue, random: () => number = Math.random): Change {
  const ratios = Float64Array.from(
    { length: RESAMPLES },
    () => resampledMedian(now.rounds, random) / resampledMedian(before.rounds, random),
  ).sort();
  const at = (share: number) => ratios[Math.round(share * (RESAMPLES - 1))] ?? NaN;
  const low = at((1 - CONFIDENCE) / 2);
  const high = at((1 + CONFIDENCE) / 2);
  const ratio = spreadOf(now.rounds).median / spreadOf(before.rounds).median;
  const verdict = high < 1 ? "faster" : low > 1 ? "slower" : "unchanged";
  return { bench: now.bench, name: now.name, ratio, low, high, verdict };
}

function resampledMedian(rounds: readonly number[], random: () => number): number {
  return spreadOf(rounds.map(() => rounds[Math.floor(random() * rounds.length)] ?? NaN)).median;
}

/** `dedup: known ids   x0.93 (0.90 to 0.97) faster` */
export function changeText({ bench, name, ratio, low, high, verdict }: Change): string {
  return `${bench}: ${name.padEnd(44)} time x${ratio.toFixed(3)} (${low.toFixed(3)} to ${
    high.toFixed(3)
  })  ${verdict}`;
}
