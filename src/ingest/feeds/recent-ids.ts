/** The ids of the last trades of an instrument: each is taken once, whichever line brings it, and after a restart. */

const IDS_MAX = 4096;
/** Ids kept in a checkpoint: what a venue repeats after a reconnect is far less. */
const SAVED_MAX = 512;

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

  /** The newest ids, oldest first. */
  save(): string[] {
    const newer = [...this.#newer].slice(-SAVED_MAX);
    const missing = SAVED_MAX - newer.length;
    return missing === 0 ? newer : [...[...this.#older].slice(-missing), ...newer];
  }

  restore(ids: readonly string[]): void {
    this.#older = new Set(ids);
    this.#newer.clear();
  }
}
