/**
 * Token buckets in shared memory: how much an identity may send, counted together over all threads.
 *
 * A bucket is one 64-bit word: the time, in nanoseconds since the server's start, until which what was taken
 * is paid for (the generic cell rate algorithm). Whoever is paid up may take a whole batch, and owes what it
 * cost beyond the burst; so a batch is never cut, and over time the rate is exact:
 *
 *     may take  ⇔  paid until ≤ now + burst         after it: paid until = max(paid until, now) + cost
 */

/** Identities with a bucket of their own; those beyond share the last one. */
export const RATE_SLOTS = 1024;
/** What may be taken at once: one second's worth. */
const BURST_NS = 1_000_000_000;
const EVENTS = 0;
const BYTES = 1;
const WORDS = 2;

export interface Rates {
  /** `null`: no limit. */
  readonly eventsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
}

export function createRateTable(slots = RATE_SLOTS): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * WORDS * BigInt64Array.BYTES_PER_ELEMENT);
}

/** The buckets of one identity. Any thread. */
export class RateLimit {
  readonly #words: BigInt64Array;
  readonly #eventNs: number;
  readonly #byteNs: number;

  /** @param slot Row of the table. */
  constructor(table: SharedArrayBuffer, slot: number, rates: Rates) {
    this.#words = new BigInt64Array(table, slot * WORDS * BigInt64Array.BYTES_PER_ELEMENT, WORDS);
    this.#eventNs = rates.eventsPerSecond === null ? 0 : 1e9 / rates.eventsPerSecond;
    this.#byteNs = rates.bytesPerSecond === null ? 0 : 1e9 / rates.bytesPerSecond;
  }

  /** Milliseconds until more may be taken; 0: now. @param nowUs Any clock that all threads share. */
  waitMs(nowUs: number): number {
    const paidNs = Number(this.#paidUntil());
    return Math.max(0, (paidNs - nowUs * 1000 - BURST_NS) / 1e6);
  }

  /** Takes a batch; ask `waitMs()` before. */
  take(nowUs: number, events: number, bytes: number): void {
    if (this.#eventNs > 0) this.#charge(EVENTS, nowUs, events * this.#eventNs);
    if (this.#byteNs > 0) this.#charge(BYTES, nowUs, bytes * this.#byteNs);
  }

  #paidUntil(): bigint {
    const events = this.#eventNs > 0 ? Atomics.load(this.#words, EVENTS) : 0n;
    const bytes = this.#byteNs > 0 ? Atomics.load(this.#words, BYTES) : 0n;
    return events > bytes ? events : bytes;
  }

  #charge(word: number, nowUs: number, costNs: number): void {
    const now = BigInt(Math.round(nowUs)) * 1000n;
    const cost = BigInt(Math.round(costNs));
    for (;;) {
      const paid = Atomics.load(this.#words, word);
      const next = (paid > now ? paid : now) + cost;
      if (Atomics.compareExchange(this.#words, word, paid, next) === paid) return;
    }
  }
}
