/**
 * How full a queue is, in three words. The ratios are those of the original engine: 12,000 and 14,000
 * of 16,384.
 */
export const PRESSURE_NORMAL = 0;
export const PRESSURE_HIGH = 1;
export const PRESSURE_CRITICAL = 2;
/** Names in the order of their numbers. */
export const PRESSURE_NAMES = ["NORMAL", "HIGH", "CRITICAL"] as const;

const HIGH_RATIO = 12_000 / 16_384;
const CRITICAL_RATIO = 14_000 / 16_384;

/** @param depth Used part of `capacity`, in the same unit. */
export function pressureOf(depth: number, capacity: number): number {
  if (depth >= capacity * CRITICAL_RATIO) return PRESSURE_CRITICAL;
  return depth >= capacity * HIGH_RATIO ? PRESSURE_HIGH : PRESSURE_NORMAL;
}
