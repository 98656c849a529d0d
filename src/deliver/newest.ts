/**
 * Copies of a shard's newest batches, so that any number of subscribers at the tail cost one read of
 * the file a batch.
 *
 * A ring of bytes holding consecutive batches: the batch after the last one starts where that one ends,
 * in offsets. The oldest give way. One thread.
 */
import type { LogBatch } from "../log/batch.ts";

/** Bytes kept for one shard; pages never filled cost nothing. */
export const NEWEST_BYTES = 1 << 20;
const NEWEST_BATCHES = 128;

/** A batch as it lies in the ring; reused by its slot. */
interface Slot {
  bytes: Uint8Array;
  words: Int32Array;
  bodyAt: number;
  bodyEnd: number;
  baseOffset: number;
  count: number;
  firstReceivedUs: number;
  lastReceivedUs: number;
  flags: number;
}

export class NewestBatches {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #slots: Slot[] = [];
  /** Slots in use: `#first`, … modulo NEWEST_BATCHES, oldest first. */
  #first = 0;
  #count = 0;
  /** Where the next batch is written. */
  #writeAt = 0;

  constructor() {
    const memory = new ArrayBuffer(NEWEST_BYTES);
    this.#bytes = new Uint8Array(memory);
    this.#words = new Int32Array(memory);
  }

  /** The offset after the newest batch kept, -1 when nothing is kept. */
  get endOffset(): number {
    if (this.#count === 0) return -1;
    const newest = this.#slotAt(this.#count - 1);
    return newest.baseOffset + newest.count;
  }

  /** The batch that holds `offset`; valid until the next `add()`. */
  find(offset: number): LogBatch | undefined {
    // From the newest on: a subscriber at the tail needs one of the last few.
    for (let index = this.#count - 1; index >= 0; index--) {
      const slot = this.#slotAt(index);
      if (offset < slot.baseOffset) continue;
      return offset < slot.baseOffset + slot.count ? slot : undefined;
    }
    return undefined;
  }

  /**
   * Copies a batch. One that does not follow the newest replaces everything; one that is larger than a
   * quarter of the ring is not kept, and nothing before it either.
   */
  add(batch: LogBatch): void {
    const length = batch.bodyEnd - batch.bodyAt;
    if (batch.baseOffset !== this.endOffset) this.clear();
    if (length > NEWEST_BYTES / 4) {
      this.clear();
      return;
    }
    if (this.#writeAt + length > NEWEST_BYTES) {
      this.#free(this.#writeAt, NEWEST_BYTES);
      this.#writeAt = 0;
    }
    this.#free(this.#writeAt, this.#writeAt + length);
    if (this.#count === NEWEST_BATCHES) this.#dropOldest();
    const slot = this.#takeSlot();
    this.#bytes.set(batch.bytes.subarray(batch.bodyAt, batch.bodyEnd), this.#writeAt);
    slot.bodyAt = this.#writeAt;
    slot.bodyEnd = this.#writeAt + length;
    slot.baseOffset = batch.baseOffset;
    slot.count = batch.count;
    slot.firstReceivedUs = batch.firstReceivedUs;
    slot.lastReceivedUs = batch.lastReceivedUs;
    slot.flags = batch.flags;
    // Bodies are multiples of 8 bytes, so every batch stays readable as words.
    this.#writeAt += length;
  }

  clear(): void {
    this.#first = 0;
    this.#count = 0;
    this.#writeAt = 0;
  }

  /** Drops the oldest batches as long as they lie in [from, to). */
  #free(from: number, to: number): void {
    while (this.#count > 0) {
      const oldest = this.#slotAt(0);
      if (oldest.bodyEnd <= from || oldest.bodyAt >= to) return;
      this.#dropOldest();
    }
  }

  #dropOldest(): void {
    this.#first = (this.#first + 1) % NEWEST_BATCHES;
    this.#count--;
  }

  #slotAt(index: number): Slot {
    return this.#slots[(this.#first + index) % NEWEST_BATCHES] as Slot;
  }

  #takeSlot(): Slot {
    const index = (this.#first + this.#count) % NEWEST_BATCHES;
    this.#count++;
    return this.#slots[index] ??= {
      bytes: this.#bytes,
      words: this.#words,
      bodyAt: 0,
      bodyEnd: 0,
      baseOffset: 0,
      count: 0,
      firstReceivedUs: 0,
      lastReceivedUs: 0,
      flags: 0,
    };
  }
}
