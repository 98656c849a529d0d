/** Random numbers that can be had again: `ESC_SEED=12345 npm test -- tests/queue`. */

/** A seeded generator (mulberry32): fast, good enough to choose test cases with, for nothing else. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** A whole number, `0 ≤ n < bound`, `bound ≤ 2^32`. */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  /** A whole number, `min ≤ n ≤ max`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** `0 ≤ x < 1`. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  }

  /** `true` with this probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** One of the items. */
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }

  /** Fills the bytes and returns them. */
  fill(bytes: Uint8Array): Uint8Array {
    for (let index = 0; index < bytes.length; index++) bytes[index] = this.below(256);
    return bytes;
  }
}

/**
 * Runs a randomised test body, and says the seed when it fails.
 *
 * The seed is ESC_SEED, or a new one each time.
 */
export async function withRandom(body: (random: Random) => void | Promise<void>): Promise<void> {
  const given = process.env["ESC_SEED"];
  const random = new Random(given === undefined ? Date.now() : Number(given));
  try {
    await body(random);
  } catch (error) {
    console.error(`failed with ESC_SEED=${random.seed}`);
    throw error;
  }
}
