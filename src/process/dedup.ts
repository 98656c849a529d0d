/**
 * The message ids of a shard's last events: exact, first in first out, in fixed memory.
 *
 *     entries   ring of idsMax: hash (2 words), offset, receivedUs      oldest → … → newest
 *     slots     open addressing over the hash, entry number + 1; at most half full, linear probing
 *
 * oldest ≤ newest ≤ oldest + idsMax. An id is forgotten when it is older than the window or when idsMax
 * newer ones have come, whichever is first; never earlier, never later than the next call. Deletion shifts
 * the following entries back, so there are no tombstones and no rehash: every operation costs about the same
 * however long the table lives.
 *
 * One thread. Nothing here is shared: a successor rebuilds it from the log.
 */
import type { DedupOptions } from "./options.ts";

/** Smallest table: fewer ids could not even tell repeats within one batch. */
export const IDS_MIN = 16;
/** Largest table: about 40 bytes an id. */
export const IDS_LIMIT = 1 << 26;

/** Answer of `find()`: the id is new. */
export const UNKNOWN_ID = -1;

export class Dedup {
  readonly idsMax: number;
  readonly #windowUs: number;
  readonly #hashes: Int32Array;
  readonly #offsets: Float64Array;
  readonly #timesUs: Float64Array;
  readonly #slots: Int32Array;
  readonly #slotMask: number;
  /** Ring index of the oldest entry, and how many there are. */
  #oldest = 0;
  #count = 0;

  /** @throws {RangeError} If `idsMax` is out of range. */
  constructor(options: DedupOptions) {
    const { idsMax, windowMs } = options;
    if (!Number.isInteger(idsMax) || idsMax < IDS_MIN || idsMax > IDS_LIMIT) {
      throw new RangeError(`Dedup table of ${idsMax} ids: it needs ${IDS_MIN} to ${IDS_LIMIT}`);
    }
    this.idsMax = idsMax;
    this.#windowUs = windowMs * 1000;
    this.#hashes = new Int32Array(idsMax * 2);
    this.#offsets = new Float64Array(idsMax);
    this.#timesUs = new Float64Array(idsMax);
    const slotCount = 2 ** Math.ceil(Math.log2(idsMax * 2));
    this.#slots = new Int32Array(slotCount);
    this.#slotMask = slotCount - 1;
  }

  /** Ids remembered. */
  get count(): number {
    return this.#count;
  }

  /**
   * Looks an id up.
   *
   * @returns Offset of the event that brought it, or `UNKNOWN_ID`.
   */
  find(low: number, high: number): number {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const mask = this.#slotMask;
    for (let slot = low & mask;; slot = (slot + 1) & mask) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0) return UNKNOWN_ID;
      if (hashes[entry * 2] === low && hashes[entry * 2 + 1] === high) return this.#offsets[entry] as number;
    }
  }

  /**
   * Remembers an id that `find()` does not know; the oldest is forgotten when the table is full.
   *
   * @param receivedUs Of its event. An entry younger than one before it waits behind that one.
   */
  add(low: number, high: number, offset: number, receivedUs: number): void {
    if (this.#count === this.idsMax) this.#forgetOldest();
    const entry = this.#ringIndex(this.#count);
    this.#hashes[entry * 2] = low;
    this.#hashes[entry * 2 + 1] = high;
    this.#offsets[entry] = offset;
    this.#timesUs[entry] = receivedUs;
    let slot = low & this.#slotMask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#slotMask;
    this.#slots[slot] = entry + 1;
    this.#count++;
  }

  /** Calls `visit` for the ids of events from `offset` on that are still remembered, oldest first. */
  visitFrom(
    offset: number,
    visit: (low: number, high: number, offset: number, receivedUs: number) => void,
  ): void {
    let position = this.#count;
    while (position > 0 && (this.#offsets[this.#ringIndex(position - 1)] as number) >= offset) position--;
    for (; position < this.#count; position++) {
      const entry = this.#ringIndex(position);
      const low = this.#hashes[entry * 2] as number;
      const high = this.#hashes[entry * 2 + 1] as number;
      visit(low, high, this.#offsets[entry] as number, this.#timesUs[entry] as number);
    }
  }

  /** Forgets every id older than the window. @param nowUs Microseconds since the Unix epoch. */
  expire(nowUs: number): void {
    const limitUs = nowUs - this.#windowUs;
    while (this.#count > 0 && (this.#timesUs[this.#oldest] as number) < limitUs) this.#forgetOldest();
  }

  /** Forgets the ids of events from `offset` on, which did not reach the log after all. */
  forgetFrom(offset: number): void {
    while (this.#count > 0) {
      const newest = this.#ringIndex(this.#count - 1);
      if ((this.#offsets[newest] as number) < offset) return;
      this.#removeSlot(newest);
      this.#count--;
    }
  }

  #forgetOldest(): void {
    this.#removeSlot(this.#oldest);
    this.#oldest = this.#ringIndex(1);
    this.#count--;
  }

  #ringIndex(position: number): number {
    const index = this.#oldest + position;
    return index < this.idsMax ? index : index - this.idsMax;
  }

  /** Frees the slot of an entry and moves those behind it that would not be found any more. */
  #removeSlot(entry: number): void {
    const slots = this.#slots;
    const mask = this.#slotMask;
    let hole = (this.#hashes[entry * 2] as number) & mask;
    while (slots[hole] !== entry + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask;; slot = (slot + 1) & mask) {
      const moved = (slots[slot] as number) - 1;
      if (moved < 0) break;
      const home = (this.#hashes[moved * 2] as number) & mask;
      // It may move back only as far as its home: cyclically, home must not lie behind the hole.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      slots[hole] = moved + 1;
      hole = slot;
    }
    slots[hole] = 0;
  }
}
