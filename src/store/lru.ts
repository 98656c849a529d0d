/** A bounded map in memory: the least recently used go first, the expired are never given out. */

export interface LruOptions {
  readonly keysMax: number;
  /** Most bytes of keys and values, two a character. */
  readonly bytesMax: number;
  /** Milliseconds on any clock that does not go back. */
  readonly nowMs: () => number;
}

interface Entry {
  readonly value: string;
  readonly expiresMs: number;
}

/** One thread. keys ≤ keysMax, bytes ≤ bytesMax. */
export class Lru {
  readonly #options: LruOptions;
  /** In the order of their last use: a map keeps the order of insertion. */
  readonly #entries = new Map<string, Entry>();
  bytes = 0;
  evictions = 0;

  constructor(options: LruOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresMs <= this.#options.nowMs()) {
      this.delete(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** A value larger than the whole cache is not kept. */
  set(key: string, value: string, ttlMs: number): void {
    this.delete(key);
    const { keysMax, bytesMax, nowMs } = this.#options;
    const bytes = bytesOf(key, value);
    if (bytes > bytesMax || ttlMs <= 0) return;
    this.#entries.set(key, { value, expiresMs: nowMs() + ttlMs });
    this.bytes += bytes;
    while (this.#entries.size > keysMax || this.bytes > bytesMax) {
      const [oldest] = this.#entries.keys();
      if (oldest === undefined) return;
      this.delete(oldest);
      this.evictions++;
    }
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.bytes -= bytesOf(key, entry.value);
    return this.#entries.delete(key);
  }
}

function bytesOf(key: string, value: string): number {
  return (key.length + value.length) * 2;
}
