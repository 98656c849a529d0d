/**
 * Percentiles within 1 % of the value (DDSketch): mergeable, and of bounded size whatever comes in.
 */
import { LogCollapsingLowestDenseDDSketch } from "@datadog/sketches-js";

const RELATIVE_ACCURACY = 0.01;
/** Bins of 1 %: 2048 of them span a factor of 10^17 before the lowest are put together. */
const BINS_MAX = 2048;

interface SavedBins {
  readonly bins: readonly number[];
  readonly count: number;
  readonly minKey: number | null;
  readonly maxKey: number | null;
  readonly offset: number;
  readonly isCollapsed: boolean;
}

export interface SavedQuantiles {
  readonly positive: SavedBins;
  readonly negative: SavedBins;
  readonly numbers: readonly [zero: number, count: number, min: number, max: number, sum: number];
}

type Bins = LogCollapsingLowestDenseDDSketch["store"];

export class Quantiles {
  readonly #sketch = new LogCollapsingLowestDenseDDSketch({
    relativeAccuracy: RELATIVE_ACCURACY,
    binLimit: BINS_MAX,
  });

  add(value: number): void {
    this.#sketch.accept(value);
  }

  merge(other: Quantiles): void {
    if (other.#sketch.count > 0) this.#sketch.merge(other.#sketch);
  }

  /**
   * The value below or at which this share of the values lies (nearest rank: of few values, one that came).
   *
   * @param quantile 0..1. @returns `null` when there are no values.
   */
  at(quantile: number): number | null {
    const { count, min, max } = this.#sketch;
    if (count === 0) return null;
    // The sketch asks for the share of all but one, and rounds its rank down: the half keeps ours from being rounded.
    const rank = Math.max(0, Math.ceil(quantile * count) - 1) + 0.5;
    const share = count === 1 ? 0 : Math.min(1, rank / (count - 1));
    // The sketch knows its ends exactly, and its bins do not.
    return Math.min(max, Math.max(min, this.#sketch.getValueAtQuantile(share)));
  }

  toJSON(): SavedQuantiles {
    const { store, negativeStore, zeroCount, count, min, max, sum } = this.#sketch;
    return {
      positive: saveBins(store),
      negative: saveBins(negativeStore),
      numbers: [zeroCount, count, count === 0 ? 0 : min, count === 0 ? 0 : max, sum],
    };
  }

  static restore(saved: SavedQuantiles): Quantiles {
    const made = new Quantiles();
    const sketch = made.#sketch;
    const [zero, count, min, max, sum] = saved.numbers;
    restoreBins(sketch.store, saved.positive);
    restoreBins(sketch.negativeStore, saved.negative);
    sketch.zeroCount = zero;
    sketch.count = count;
    if (count > 0) Object.assign(sketch, { min, max });
    sketch.sum = sum;
    return made;
  }
}

function saveBins(store: Bins): SavedBins {
  const { bins, count, minKey, maxKey, offset } = store;
  return {
    bins,
    count,
    minKey: Number.isFinite(minKey) ? minKey : null,
    maxKey: Number.isFinite(maxKey) ? maxKey : null,
    offset,
    isCollapsed: "isCollapsed" in store && store.isCollapsed === true,
  };
}

function restoreBins(store: Bins, saved: SavedBins): void {
  Object.assign(store, saved, {
    bins: [...saved.bins],
    minKey: saved.minKey ?? Infinity,
    maxKey: saved.maxKey ?? -Infinity,
  });
}
