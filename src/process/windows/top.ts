/**
 * The most frequent values: exact up to `VALUES_MAX` different ones, then by Space-Saving (Metwally et al. 2005),
 * which never misses a value that makes up more than 1 / VALUES_MAX of all.
 */

/** Different values counted. */
export const VALUES_MAX = 1000;

export type SavedTop = readonly (readonly [value: string, weight: number])[];

export class Top {
  readonly #weights = new Map<string, number>();

  add(value: string, weight: number): void {
    const known = this.#weights.get(value);
    if (known !== undefined) {
      this.#weights.set(value, known + weight);
      return;
    }
    let base = 0;
    if (this.#weights.size >= VALUES_MAX) {
      // The newcomer takes the place, and the count, of the rarest.
      let rarest = "";
      base = Infinity;
      for (const [other, count] of this.#weights) {
        if (count < base) {
          base = count;
          rarest = other;
        }
      }
      this.#weights.delete(rarest);
    }
    this.#weights.set(value, base + weight);
  }

  merge(other: Top): void {
    for (const [value, weight] of other.#weights) this.add(value, weight);
  }

  /** The first `count`, most frequent first; of equals in the order of their text. */
  first(count: number): { value: string; count: number }[] {
    return [...this.#weights]
      .sort(([a, weightA], [b, weightB]) => weightB - weightA || (a < b ? -1 : 1))
      .slice(0, count)
      .map(([value, weight]) => ({ value, count: weight }));
  }

  toJSON(): SavedTop {
    return [...this.#weights];
  }

  static restore(saved: SavedTop): Top {
    const made = new Top();
    for (const [value, weight] of saved) made.#weights.set(value, weight);
    return made;
  }
}
