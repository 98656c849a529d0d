/**
 * How full a queue is, in three words. The ratios are those of the original engine: 12,000 and 14,000
 * of 16,384.
 */
export const PRESSURE_NORMAL = 0;
export const PRESSURE_HIGH = 1;
export const PRESSURE_CRITICAL = 2;
/** Names in the order of their numbers. */
export const PRESSURE_NAMES = ["NORMAL", "HIGH", "CRITICAL"] as const;

/** Shares of a queue from which the pressure is high and critical, 0..1. */
export interface PressureRatios {
  readonly high: number;
  readonly critical: number;
}

export const PRESSURE_RATIOS_DEFAULT: PressureRatios = { high: 12_000 / 16_384, critical: 14_000 / 16_384 };

/** @param depth Used part of `capacity`, in the same unit. */
export function pressureOf(depth: number, capacity: number, ratios: PressureRatios): number {
  if (depth >= capacity * ratios.critical) return PRESSURE_CRITICAL;
  return depth >= capacity * ratios.high ? PRESSURE_HIGH : PRESSURE_NORMAL;
}
