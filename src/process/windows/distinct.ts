/**
 * How many different values: exact up to `EXACT_MAX`, then by HyperLogLog (Flajolet et al. 2007) with 2^14
 * registers, a standard error of 0.8 %. Counting exactly first keeps small windows right and small.
 */

/** Values counted exactly. */
export const EXACT_MAX = 1024;
const INDEX_BITS = 14;
const REGISTERS = 1 << INDEX_BITS;
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS);
const MASK_50 = (1n << 50n) - 1n;

export type SavedDistinct = { readonly exact: readonly string[] } | { readonly registers: string };

export class Distinct {
  #exact: Set<string> | undefined = new Set();
  #registers: Uint8Array | undefined;

  add(value: string): void {
    if (this.#exact === undefined) {
      this.#note(value);
      return;
    }
    this.#exact.add(value);
    if (this.#exact.size > EXACT_MAX) this.#estimate();
  }

  merge(other: Distinct): void {
    if (other.#exact !== undefined) {
      for (const value of other.#exact) this.add(value);
      return;
    }
    if (this.#registers === undefined) this.#estimate();
    const ours = this.#registers as Uint8Array;
    const theirs = other.#registers as Uint8Array;
    for (let index = 0; index < REGISTERS; index++) {
      if ((theirs[index] as number) > (ours[index] as number)) ours[index] = theirs[index] as number;
    }
  }

  get count(): number {
    if (this.#exact !== undefined) return this.#exact.size;
    let sum = 0;
    let empty = 0;
    for (const rank of this.#registers as Uint8Array) {
      sum += 2 ** -rank;
      if (rank === 0) empty++;
    }
    const raw = ALPHA * REGISTERS * REGISTERS / sum;
    // Linear counting is better as long as many registers are empty.
    const isSmall = raw <= 2.5 * REGISTERS && empty > 0;
    return Math.round(isSmall ? REGISTERS * Math.log(REGISTERS / empty) : raw);
  }

  toJSON(): SavedDistinct {
    if (this.#exact !== undefined) return { exact: [...this.#exact] };
    return { registers: Buffer.from(this.#registers as Uint8Array).toString("base64") };
  }

  static restore(saved: SavedDistinct): Distinct {
    const made = new Distinct();
    if ("exact" in saved) made.#exact = new Set(saved.exact);
    else {
      made.#exact = undefined;
      made.#registers = new Uint8Array(Buffer.from(saved.registers, "base64"));
    }
    return made;
  }

  #estimate(): void {
    const values = this.#exact ?? [];
    this.#exact = undefined;
    this.#registers = new Uint8Array(REGISTERS);
    for (const value of values) this.#note(value);
  }

  #note(value: string): void {
    const hash = Bun.hash.xxHash64(value);
    const index = Number(hash >> 50n);
    const rest = hash & MASK_50;
    // Leading zeros of the 50 bits behind the index, plus one.
    const rank = rest === 0n ? 51 : 51 - rest.toString(2).length;
    const registers = this.#registers as Uint8Array;
    if (rank > (registers[index] as number)) registers[index] = rank;
  }
}
