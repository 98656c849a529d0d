/** The ids of the last trades of an instrument, to take each from whichever of two lines has it first. */

const IDS_MAX = 4096;

export class RecentIds {
  /** Two generations, so that forgetting costs nothing per id: between IDS_MAX and 2 · IDS_MAX are remembered. */
  #newer = new Set<string>();
  #older = new Set<string>();

  /** Remembers an id; `false` when it is known already. */
  add(id: string): boolean {
    if (this.#newer.has(id) || this.#older.has(id)) return false;
    this.#newer.add(id);
    if (this.#newer.size >= IDS_MAX) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    return true;
  }
}
