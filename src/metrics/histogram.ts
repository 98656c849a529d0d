/**
 * Latency histograms in shared memory: log-linear buckets, one writer thread, any number of readers.
 *
 *     block   | histogram 0 | histogram 1 | …
 *     histogram (doubles)
 *       0 count   1 sumUs   2 maxUs   3..7 spare   8.. buckets
 *
 * Below 1024 us every microsecond has its own bucket. Above, each power of two is divided into 512
 * buckets, so a bucket is never wider than 1/512 of its values and its middle is off by less than
 * 0.1 %. Values over 60 s are counted as 60 s; `maxUs` keeps them as they were.
 *
 * A bucket is a double: exact up to 2^53, never wraps, and an aligned 64-bit store is not torn.
 * A reader that looks while the writer writes may miss the newest values, never see a wrong one.
 */

/** Values in the linear part: 2^10, the first power of two above 3 significant digits. */
const LINEAR_BITS = 10;
const LINEAR = 1 << LINEAR_BITS;
const HALF = LINEAR / 2;
/** Largest value with a bucket of its own. */
export const HISTOGRAM_US_MAX = 60_000_000;
const COUNT = 0;
const SUM_US = 1;
const MAX_US = 2;
const HEADER = 8;

/** Bucket of a whole number of microseconds, 0..HISTOGRAM_US_MAX. */
function bucketOf(us: number): number {
  // How often the value must be halved until it is below LINEAR; then it is in HALF..LINEAR-1.
  const bits = 32 - Math.clz32(us);
  const shift = bits > LINEAR_BITS ? bits - LINEAR_BITS : 0;
  return shift * HALF + (us >>> shift);
}

const BUCKETS = bucketOf(HISTOGRAM_US_MAX) + 1;
/** Doubles of one histogram. */
export const HISTOGRAM_COUNTERS = HEADER + BUCKETS;

/** Smallest value of a bucket. */
function bucketStart(bucket: number): number {
  if (bucket < LINEAR) return bucket;
  const shift = Math.floor(bucket / HALF) - 1;
  return (bucket - shift * HALF) * 2 ** shift;
}

/** Middle of a bucket, in microseconds: the value that stands for everything in it. */
function bucketMiddle(bucket: number): number {
  const start = bucketStart(bucket);
  const width = bucketStart(bucket + 1) - start;
  return start + (width - 1) / 2;
}

/** Allocates `count` histograms, empty. Pages that nothing was recorded in cost no memory. */
export function createHistograms(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(count * HISTOGRAM_COUNTERS * Float64Array.BYTES_PER_ELEMENT);
}

/** One histogram of a block. */
export class Histogram {
  readonly #cells: Float64Array;

  /** @param index Which histogram of the block. */
  constructor(memory: ArrayBufferLike, index = 0) {
    const bytes = HISTOGRAM_COUNTERS * Float64Array.BYTES_PER_ELEMENT;
    this.#cells = new Float64Array(memory, index * bytes, HISTOGRAM_COUNTERS);
  }

  /** An empty histogram in private memory: a place to `add()` others together. */
  static empty(): Histogram {
    return new Histogram(new ArrayBuffer(HISTOGRAM_COUNTERS * Float64Array.BYTES_PER_ELEMENT));
  }

  /**
   * Counts `weight` events that took `us` microseconds. Writer thread only; allocates nothing.
   *
   * @param us Rounded down; below 0 (clocks of two threads) counts as 0.
   */
  record(us: number, weight: number): void {
    const cells = this.#cells;
    const value = us > 0 ? us : 0;
    const bucket = HEADER + bucketOf(value < HISTOGRAM_US_MAX ? value | 0 : HISTOGRAM_US_MAX);
    cells[bucket] = (cells[bucket] as number) + weight;
    cells[SUM_US] = (cells[SUM_US] as number) + value * weight;
    cells[COUNT] = (cells[COUNT] as number) + weight;
    if (value > (cells[MAX_US] as number)) cells[MAX_US] = value;
  }

  get count(): number {
    return this.#cells[COUNT] as number;
  }

  /** Sum of all recorded values, in microseconds. */
  get sumUs(): number {
    return this.#cells[SUM_US] as number;
  }

  get maxUs(): number {
    return this.#cells[MAX_US] as number;
  }

  /**
   * The value that `percent` of all events do not exceed, within 0.1 %, in microseconds.
   *
   * @param percent Over 0, up to 100.
   * @returns 0 when nothing was recorded.
   */
  percentile(percent: number): number {
    const cells = this.#cells;
    if (cells[COUNT] === 0) return 0;
    let total = 0;
    // Summed here, not taken from COUNT: the writer may be between two stores.
    for (let i = HEADER; i < HISTOGRAM_COUNTERS; i++) total += cells[i] as number;
    if (total === 0) return 0;
    const rank = Math.max(1, Math.ceil((percent / 100) * total));
    let below = 0;
    for (let i = HEADER; i < HISTOGRAM_COUNTERS; i++) {
      below += cells[i] as number;
      if (below >= rank) return Math.min(bucketMiddle(i - HEADER), this.maxUs);
    }
    return this.maxUs;
  }

  /**
   * Percentiles of what was recorded since an earlier reading of the same histogram.
   *
   * @param earlier Made by `take()` of this one; never ahead of it.
   * @param percents Ascending, over 0, up to 100.
   * @returns In microseconds, one for each; empty when nothing was recorded since.
   */
  percentilesSince(earlier: Histogram, percents: readonly number[]): number[] {
    const cells = this.#cells;
    const before = earlier.#cells;
    let total = 0;
    for (let i = HEADER; i < HISTOGRAM_COUNTERS; i++) total += (cells[i] as number) - (before[i] as number);
    if (total <= 0) return [];
    const values: number[] = [];
    let below = 0;
    let bucket = -1;
    for (const percent of percents) {
      const rank = Math.max(1, Math.ceil((percent / 100) * total));
      while (below < rank) {
        bucket++;
        below += (cells[HEADER + bucket] as number) - (before[HEADER + bucket] as number);
      }
      values.push(Math.min(bucketMiddle(bucket), this.maxUs));
    }
    return values;
  }

  /** Becomes the sum of others. Only for a histogram nobody else writes. */
  take(others: readonly Histogram[]): void {
    this.#cells.fill(0);
    for (const other of others) this.add(other);
  }

  /**
   * Cumulative counts for an exposition: `result[i]` events took at most `boundsUs[i]`.
   *
   * A bucket that a bound cuts through counts as below it when its middle is.
   *
   * @param boundsUs Ascending.
   */
  cumulative(boundsUs: readonly number[]): number[] {
    const cells = this.#cells;
    if (cells[COUNT] === 0) return boundsUs.map(() => 0);
    const counts: number[] = [];
    let bucket = 0;
    let below = 0;
    for (const bound of boundsUs) {
      while (bucket < BUCKETS && bucketMiddle(bucket) <= bound) {
        below += cells[HEADER + bucket++] as number;
      }
      counts.push(below);
    }
    return counts;
  }

  /**
   * Takes out what an earlier copy had counted: what is left was recorded since. `maxUs` stays that of all. Only for
   * a histogram nobody else writes.
   */
  subtract(earlier: Histogram): void {
    const cells = this.#cells;
    const { maxUs } = this;
    if (earlier.count === 0) return;
    for (let i = 0; i < HISTOGRAM_COUNTERS; i++) {
      cells[i] = (cells[i] as number) - (earlier.#cells[i] as number);
    }
    cells[MAX_US] = maxUs;
  }

  /** Adds what another histogram has counted. Only for a histogram nobody else writes. */
  add(other: Histogram): void {
    const cells = this.#cells;
    const from = other.#cells;
    // Most histograms of an engine are empty; a value that is being recorded comes with the next look.
    if (from[COUNT] === 0) return;
    const maxUs = Math.max(this.maxUs, other.maxUs);
    for (let i = 0; i < HISTOGRAM_COUNTERS; i++) {
      cells[i] = (cells[i] as number) + (from[i] as number);
    }
    cells[MAX_US] = maxUs;
  }
}
