/**
 * Latency of the last interval: percentiles of what was recorded between two readings of histograms that
 * only ever grow. Since the start of the process a percentile hardly moves; of the last second it tells.
 */
import { Histogram } from "./histogram.ts";

/** Sums are made here, and copied only where something moved: 72 KiB for all instead of for each. */
const scratch = Histogram.empty();

export class IntervalLatency {
  readonly #histograms: readonly Histogram[];
  /** What was there at the last reading; absent until something is, because it costs 72 KiB. */
  #before: Histogram | undefined;
  #count = 0;

  /** @param histograms Added together; written by other threads. */
  constructor(histograms: readonly Histogram[]) {
    this.#histograms = histograms;
  }

  /**
   * Percentiles since the last call. Costs a few loads when nothing was recorded, else about 50 us.
   *
   * @param percents Ascending.
   * @returns In microseconds; empty when nothing was recorded.
   */
  read(percents: readonly number[]): number[] {
    let count = 0;
    for (const histogram of this.#histograms) count += histogram.count;
    if (count === this.#count) return [];
    this.#count = count;
    this.#before ??= Histogram.empty();
    scratch.take(this.#histograms);
    const values = scratch.percentilesSince(this.#before, percents);
    this.#before.take([scratch]);
    return values;
  }
}
