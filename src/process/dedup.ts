/**
 * The message ids of a shard's last events: exact, first in first out, in fixed memory.
 *
 *     entries   ring of idsMax: hash (2 words), offset, receivedUs      oldest → … → newest
 *     slots     open addressing over the hash; at most half full, linear probing
 *     slot      bits of the other half of the hash | entry number + 1
 *
 * A lookup is as fast as memory: the bits in the slot tell most other ids apart without a look at their entries,
 * and the fields of an entry lie together. Ids that are new touch about one cache line, known ones two.
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

/** An entry: two words and two doubles. */
const ENTRY_WORDS = 6;
const ENTRY_DOUBLES = 3;
const OFFSET = 1;
const RECEIVED_US = 2;

/** Answer of `find()`: the id is new. */
export const UNKNOWN_ID = -1;

export class Dedup {
  readonly idsMax: number;
  #windowUs: number;
  /** The entries, hashes as words and the rest as doubles. */
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #slots: Int32Array;
  readonly #slotMask: number;
  /** The bits of a slot that hold the entry. */
  readonly #entryMask: number;
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
    this.#doubles = new Float64Array(idsMax * ENTRY_DOUBLES);
    this.#words = new Int32Array(this.#doubles.buffer);
    const slotCount = 2 ** Math.ceil(Math.log2(idsMax * 2));
    this.#slots = new Int32Array(slotCount);
    this.#slotMask = slotCount - 1;
    // Half as many entries as slots at most, so entry + 1 fits.
    this.#entryMask = slotCount - 1;
  }

  /**
   * Changes the window: a shorter one forgets with the next `expire()`, a longer one brings nothing back that was
   * forgotten before.
   */
  set windowMs(windowMs: number) {
    this.#windowUs = windowMs * 1000;
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
    const mask = this.#slotMask;
    const entryMask = this.#entryMask;
    for (let at = low & mask;; at = (at + 1) & mask) {
      const slot = slots[at] as number;
      if (slot === 0) return UNKNOWN_ID;
      if (((slot ^ high) & ~entryMask) !== 0) continue;
      const entry = (slot & entryMask) - 1;
      const word = entry * ENTRY_WORDS;
      if (this.#words[word] === low && this.#words[word + 1] === high) return this.#offsetOf(entry);
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
    this.#count++;
    this.#set(entry, low, high, offset, receivedUs);
  }

  /**
   * Remembers an id that came before all others, as the one to be forgotten first: for a table that is filled from
   * its newest id on. A full table stays as it is. Otherwise as `add()`.
   */
  addOldest(low: number, high: number, offset: number, receivedUs: number): void {
    if (this.#count === this.idsMax) return;
    this.#oldest = this.#ringIndex(this.idsMax - 1);
    this.#count++;
    this.#set(this.#oldest, low, high, offset, receivedUs);
  }

  #set(entry: number, low: number, high: number, offset: number, receivedUs: number): void {
    this.#words[entry * ENTRY_WORDS] = low;
    this.#words[entry * ENTRY_WORDS + 1] = high;
    this.#doubles[entry * ENTRY_DOUBLES + OFFSET] = offset;
    this.#doubles[entry * ENTRY_DOUBLES + RECEIVED_US] = receivedUs;
    let at = low & this.#slotMask;
    while (this.#slots[at] !== 0) at = (at + 1) & this.#slotMask;
    this.#slots[at] = (high & ~this.#entryMask) | (entry + 1);
  }

  /** Calls `visit` for the ids of events from `offset` on that are still remembered, oldest first. */
  visitFrom(
    offset: number,
    visit: (low: number, high: number, offset: number, receivedUs: number) => void,
  ): void {
    let position = this.#count;
    while (position > 0 && this.#offsetOf(this.#ringIndex(position - 1)) >= offset) position--;
    for (; position < this.#count; position++) {
      const entry = this.#ringIndex(position);
      const low = this.#words[entry * ENTRY_WORDS] as number;
      const high = this.#words[entry * ENTRY_WORDS + 1] as number;
      visit(low, high, this.#offsetOf(entry), this.#receivedUsOf(entry));
    }
  }

  /** Forgets every id older than the window. @param nowUs Microseconds since the Unix epoch. */
  expire(nowUs: number): void {
    const limitUs = nowUs - this.#windowUs;
    while (this.#count > 0 && this.#receivedUsOf(this.#oldest) < limitUs) this.#forgetOldest();
  }

  /** Forgets the ids of events from `offset` on, which did not reach the log after all. */
  forgetFrom(offset: number): void {
    while (this.#count > 0) {
      const newest = this.#ringIndex(this.#count - 1);
      if (this.#offsetOf(newest) < offset) return;
      this.#removeSlot(newest);
      this.#count--;
    }
  }

  #forgetOldest(): void {
    this.#removeSlot(this.#oldest);
    this.#oldest = this.#ringIndex(1);
    this.#count--;
  }

  #offsetOf(entry: number): number {
    return this.#doubles[entry * ENTRY_DOUBLES + OFFSET] as number;
  }

  #receivedUsOf(entry: number): number {
    return this.#doubles[entry * ENTRY_DOUBLES + RECEIVED_US] as number;
  }

  #ringIndex(position: number): number {
    const index = this.#oldest + position;
    return index < this.idsMax ? index : index - this.idsMax;
  }

  /** Frees the slot of an entry and moves those behind it that would not be found any more. */
  #removeSlot(entry: number): void {
    const slots = this.#slots;
    const mask = this.#slotMask;
    const entryMask = this.#entryMask;
    let hole = (this.#words[entry * ENTRY_WORDS] as number) & mask;
    while (((slots[hole] as number) & entryMask) !== entry + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask;; slot = (slot + 1) & mask) {
      const moved = slots[slot] as number;
      if (moved === 0) break;
      const home = (this.#words[((moved & entryMask) - 1) * ENTRY_WORDS] as number) & mask;
      // It may move back only as far as its home: cyclically, home must not lie behind the hole.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      slots[hole] = moved;
      hole = slot;
    }
    slots[hole] = 0;
  }
}
