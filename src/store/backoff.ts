/** Pauses between attempts: exponential, with jitter so that many clients do not come back at once. */

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** 0..1: a pause is shortened by up to this share. */
  readonly jitter: number;
}

/** For databases. */
export const BACKOFF: BackoffOptions = { firstMs: 100, maxMs: 10_000, jitter: 0.5 };

/**
 * The pause before attempt `attempt`, in milliseconds.
 *
 * @param attempt Failures so far, from 1.
 * @param unit A random number 0..1.
 */
export function backoffMs(options: BackoffOptions, attempt: number, unit: number): number {
  const { firstMs, maxMs, jitter } = options;
  // 2^30 attempts of doubling are enough to be past any maximum.
  const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(30, attempt - 1));
  return fullMs * (1 - jitter * unit);
}
