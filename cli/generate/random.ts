/** Chance from a seed: the same seed gives the same numbers on every machine. */

/** splitmix32 (Guy Steele et al.): additions, shifts and multiplications of whole numbers, nothing that rounds. */
export class Random {
  #state: number;

  /** @param seed Its lowest 32 bits count. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 ≤ value < 1, in steps of 2^-32. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `min` to `max`, each as likely. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[Math.floor(this.next() * items.length)] ?? items[0];
  }

  /** About normal with mean 0 and deviation 1, never beyond 3.5: a sum of twelve, as logarithms differ by machine. */
  bell(): number {
    let sum = -6;
    for (let count = 0; count < 12; count++) sum += this.next();
    return sum;
  }
}

/** A number with at most so many digits behind the point, for payloads. */
export function rounded(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}
