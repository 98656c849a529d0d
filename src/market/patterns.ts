/**
 * Patterns of activity over a sliding window of bars, each with a confidence.
 *
 *     momentum_surge        close rose (or fell) twice running, by more than 0.1 % together
 *     volume_spike          volume over 2 times the mean of the 4 bars before
 *     spread_widening       mean spread grew in 3 bars running, by more than 50 % together
 *     unusual_activity      trades, or |delta|, over 3 times the mean of the window before
 *     price_gap             open more than 0.1 % away from the close before
 *     liquidity_drain       resting depth under half of the window's mean
 *     order_flow_imbalance  |bought - sold| over 70 % of the volume
 *     volatility_cluster    3 bars running with a range over 1.5 times the window's mean range
 *
 * Confidence is 50 at the threshold and grows to 100 at twice of it: the multiple of the threshold, halved, as a
 * percentage. A pattern is reported by the bar that completes it, never before the window holds what it needs.
 */
import type { Bar } from "./bar.ts";

export const ACTIVITY_PATTERNS = [
  "momentum_surge",
  "volume_spike",
  "spread_widening",
  "unusual_activity",
  "price_gap",
  "liquidity_drain",
  "order_flow_imbalance",
  "volatility_cluster",
] as const;
export type ActivityPattern = (typeof ACTIVITY_PATTERNS)[number];

export interface PatternReport {
  readonly pattern: ActivityPattern;
  /** 50 .. 100. */
  readonly confidence: number;
  readonly direction: "up" | "down" | "none";
  /** What was measured, in units of its threshold. */
  readonly strength: number;
}

/** Thresholds; each is passed only when strictly exceeded (or undercut). */
export interface PatternLimits {
  readonly momentumShare: number;
  readonly volumeTimes: number;
  readonly spreadShare: number;
  readonly activityTimes: number;
  readonly gapShare: number;
  readonly drainShare: number;
  readonly imbalanceShare: number;
  readonly rangeTimes: number;
}

export const PATTERN_LIMITS: PatternLimits = {
  momentumShare: 0.001,
  volumeTimes: 2,
  spreadShare: 0.5,
  activityTimes: 3,
  gapShare: 0.001,
  drainShare: 0.5,
  imbalanceShare: 0.7,
  rangeTimes: 1.5,
};

/** Bars looked back at, the newest not counted. */
const WINDOW_BARS = 20;
const VOLUME_BARS = 4;
const ACTIVITY_BARS_MIN = 5;

/** What of a bar the patterns need: plain doubles, in price and quantity units. */
interface Summary {
  readonly open: number;
  readonly close: number;
  readonly range: number;
  readonly volume: number;
  readonly delta: number;
  readonly trades: number;
  readonly spread: number;
  readonly depth: number;
}

/** Finds the patterns each new bar completes. */
export class ActivityPatterns {
  readonly #limits: PatternLimits;
  readonly #window: Summary[] = [];

  constructor(limits: Partial<PatternLimits> = {}) {
    this.#limits = { ...PATTERN_LIMITS, ...limits };
  }

  /**
   * @param depth Quantity resting near the middle at the bar's end, NaN where no book is kept.
   * @returns The patterns this bar completes, in the order of ACTIVITY_PATTERNS.
   */
  push(bar: Bar, depth = NaN): PatternReport[] {
    const now: Summary = {
      open: bar.openValue,
      close: bar.closeValue,
      range: bar.highValue - bar.lowValue,
      volume: bar.volumeValue,
      delta: bar.deltaValue,
      trades: bar.tradeCount,
      spread: bar.spreadMean,
      depth,
    };
    const window = this.#window;
    const found = [
      this.#momentum(now),
      this.#volumeSpike(now),
      this.#spreadWidening(now),
      this.#unusualActivity(now),
      this.#priceGap(now),
      this.#liquidityDrain(now),
      this.#imbalance(now),
      this.#volatilityCluster(now),
    ];
    window.push(now);
    if (window.length > WINDOW_BARS) window.shift();
    return found.filter((report) => report !== undefined);
  }

  save(): readonly Summary[] {
    return [...this.#window];
  }

  restore(window: readonly Summary[]): void {
    this.#window.splice(0, Infinity, ...window);
  }

  #momentum(now: Summary): PatternReport | undefined {
    const [first, second] = this.#window.slice(-2);
    if (first === undefined || second === undefined) return undefined;
    const up = second.close > first.close && now.close > second.close;
    const down = second.close < first.close && now.close < second.close;
    if (!up && !down) return undefined;
    const share = Math.abs(now.close - first.close) / first.close;
    return exceeding("momentum_surge", share / this.#limits.momentumShare, up ? "up" : "down");
  }

  #volumeSpike(now: Summary): PatternReport | undefined {
    if (this.#window.length < VOLUME_BARS) return undefined;
    const mean = meanOf(this.#window.slice(-VOLUME_BARS), "volume");
    return exceeding("volume_spike", now.volume / mean / this.#limits.volumeTimes, signOf(now.delta));
  }

  #spreadWidening(now: Summary): PatternReport | undefined {
    const [first, second, third] = this.#window.slice(-3);
    if (first === undefined || second === undefined || third === undefined) return undefined;
    const rises = second.spread > first.spread && third.spread > second.spread && now.spread > third.spread;
    if (!rises || !(first.spread > 0)) return undefined;
    return exceeding("spread_widening", (now.spread / first.spread - 1) / this.#limits.spreadShare, "none");
  }

  #unusualActivity(now: Summary): PatternReport | undefined {
    if (this.#window.length < ACTIVITY_BARS_MIN) return undefined;
    const trades = now.trades / meanOf(this.#window, "trades");
    let deltaSum = 0;
    for (const { delta } of this.#window) deltaSum += Math.abs(delta);
    const delta = deltaSum === 0 ? 0 : Math.abs(now.delta) / (deltaSum / this.#window.length);
    return exceeding(
      "unusual_activity",
      Math.max(trades, delta) / this.#limits.activityTimes,
      signOf(now.delta),
    );
  }

  #priceGap(now: Summary): PatternReport | undefined {
    const before = this.#window.at(-1);
    if (before === undefined) return undefined;
    const share = (now.open - before.close) / before.close;
    return exceeding("price_gap", Math.abs(share) / this.#limits.gapShare, signOf(share));
  }

  #liquidityDrain(now: Summary): PatternReport | undefined {
    if (this.#window.length < ACTIVITY_BARS_MIN) return undefined;
    const mean = meanOf(this.#window, "depth");
    if (!(mean > 0)) return undefined;
    // Under half is a strength over 1; nothing left is twice the threshold, which is 2.
    const missing = 1 - now.depth / mean;
    return exceeding("liquidity_drain", missing / (1 - this.#limits.drainShare), "none");
  }

  #imbalance(now: Summary): PatternReport | undefined {
    const share = Math.abs(now.delta) / now.volume;
    return exceeding("order_flow_imbalance", share / this.#limits.imbalanceShare, signOf(now.delta));
  }

  #volatilityCluster(now: Summary): PatternReport | undefined {
    if (this.#window.length < ACTIVITY_BARS_MIN) return undefined;
    const earlier = this.#window.slice(0, -2);
    const mean = meanOf(earlier, "range");
    if (!(mean > 0)) return undefined;
    const smallest = Math.min(now.range, ...this.#window.slice(-2).map(({ range }) => range));
    return exceeding("volatility_cluster", smallest / mean / this.#limits.rangeTimes, "none");
  }
}

/** A report when the strength passes 1, the threshold itself; NaN never does. */
function exceeding(
  pattern: ActivityPattern,
  strength: number,
  direction: PatternReport["direction"],
): PatternReport | undefined {
  if (!(strength > 1)) return undefined;
  return { pattern, confidence: Math.min(100, Math.round(strength * 50)), direction, strength };
}

function signOf(value: number): PatternReport["direction"] {
  return value > 0 ? "up" : value < 0 ? "down" : "none";
}

function meanOf(window: readonly Summary[], field: keyof Summary): number {
  let sum = 0;
  for (const summary of window) sum += summary[field];
  return sum / window.length;
}
