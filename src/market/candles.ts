/**
 * Candlestick and breakout patterns on closed bars; definitions in `docs/market-data.md`.
 *
 *     body = |close - open|        range = high - low        shadows: what the candle shows outside its body
 *
 * All comparisons are between integers (mantissas of one scale), so a threshold is met exactly or not at all.
 */
import { pow10 } from "../book/decimal.ts";
import type { Bar } from "./bar.ts";

export const CANDLE_PATTERNS = [
  "doji",
  "hammer",
  "shooting_star",
  "bullish_engulfing",
  "bearish_engulfing",
  "inside_bar",
  "outside_bar",
  "breakout_up_20",
  "breakout_down_20",
] as const;
export type CandlePattern = (typeof CANDLE_PATTERNS)[number];

const BREAKOUT_BARS = 20;

/** Mantissas at one price scale. */
interface Candle {
  open: number;
  high: number;
  low: number;
  close: number;
  scale: number;
}

/** Finds the patterns each new bar completes. */
export class CandlePatterns {
  /** Copies: a bar that is corrected later does not change what was found. */
  readonly #bars: Candle[] = [];

  /** The patterns this bar completes, in the order of CANDLE_PATTERNS. */
  push({ open, high, low, close, priceScale: scale }: Bar): CandlePattern[] {
    const bar = { open, high, low, close, scale };
    const found: CandlePattern[] = [];
    for (const earlier of this.#bars) useScale(earlier, scale);
    addShapes(bar, found);
    const previous = this.#bars.at(-1);
    if (previous !== undefined) addPairs(previous, bar, found);
    if (this.#bars.length === BREAKOUT_BARS) this.#addBreakouts(bar, found);
    this.#bars.push(bar);
    if (this.#bars.length > BREAKOUT_BARS) this.#bars.shift();
    return found;
  }

  save(): readonly Candle[] {
    return this.#bars.map((bar) => ({ ...bar }));
  }

  restore(bars: readonly Candle[]): void {
    this.#bars.splice(0, Infinity, ...bars.map((bar) => ({ ...bar })));
  }

  #addBreakouts(bar: Candle, found: CandlePattern[]): void {
    let high = -Infinity;
    let low = Infinity;
    for (const earlier of this.#bars) {
      high = Math.max(high, earlier.high);
      low = Math.min(low, earlier.low);
    }
    if (bar.close > high) found.push("breakout_up_20");
    if (bar.close < low) found.push("breakout_down_20");
  }
}

function useScale(candle: Candle, scale: number): void {
  if (candle.scale === scale) return;
  const factor = pow10(scale - candle.scale);
  candle.open *= factor;
  candle.high *= factor;
  candle.low *= factor;
  candle.close *= factor;
  candle.scale = scale;
}

function addShapes({ open, high, low, close }: Candle, found: CandlePattern[]): void {
  const body = Math.abs(close - open);
  const range = high - low;
  const upper = high - Math.max(open, close);
  const lower = Math.min(open, close) - low;
  if (range > 0 && body * 10 <= range) found.push("doji");
  if (body > 0 && lower >= 2 * body && upper * 10 <= range) found.push("hammer");
  if (body > 0 && upper >= 2 * body && lower * 10 <= range) found.push("shooting_star");
}

function addPairs(before: Candle, now: Candle, found: CandlePattern[]): void {
  const bodyBefore = Math.abs(before.close - before.open);
  const isLarger = Math.abs(now.close - now.open) > bodyBefore;
  const wasDown = before.close < before.open;
  const wasUp = before.close > before.open;
  if (wasDown && now.close > now.open && now.open <= before.close && now.close >= before.open && isLarger) {
    found.push("bullish_engulfing");
  }
  if (wasUp && now.close < now.open && now.open >= before.close && now.close <= before.open && isLarger) {
    found.push("bearish_engulfing");
  }
  if (now.high < before.high && now.low > before.low) found.push("inside_bar");
  if (now.high > before.high && now.low < before.low) found.push("outside_bar");
}
