/**
 * A bounded byte ring between two threads: one writer, one reader, records in order, no locks.
 *
 *     data    | record | record | free ...            | record | record | pad |
 *     record  = u32 length (header and payload, unpadded) | ... | zeros up to a multiple of 8
 *     pad     = u32 0xFFFFFFFF: the rest of the ring is unused, the next record is at index 0
 *
 * Positions count units of 8 bytes and wrap at 2^32, so one Int32 holds them and no BigInt is needed.
 * Invariant: head ≤ tail ≤ reserved ≤ head + capacity (as wrapped differences).
 *
 * The writer fills what it reserved and makes all of it visible with one `publish()` a batch; the
 * reader frees what it took with one store a batch. Each side keeps a private copy of the other's
 * cursor and reads the shared one only when the copy says "full" or "empty": that keeps the two
 * cache lines from travelling for every record.
 *
 * `head` is also moved by the writer when it discards the oldest records (`dropOldest`), so both
 * sides move it by compare-and-exchange.
 */

/** What a ring is made of; structured-cloneable, so it can be handed to a worker. */
export interface RingMemory {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

// Cursors lie 128 bytes apart: the adjacent-line prefetcher pairs 64-byte lines.
export const CURSOR_HEAD = 0;
/** The reader's own notes, beside its cursor: see `progressBytes` and `take()`. */
const PROGRESS_BYTES = 1;
export const NOTE_PROGRESS_COUNT = 2;
export const CURSOR_TAIL = 32;
const CONTROL_BYTES = 256;

export const RING_PAD = -1;
const UNIT_SHIFT = 3;
/** Smallest ring: one page. */
export const RING_BYTES_MIN = 4096;
/** Largest ring: byte indexes stay below 2^30. */
export const RING_BYTES_MAX = 1 << 30;

/** Rounds up to a multiple of 8. */
export function align8(bytes: number): number {
  return (bytes + 7) & ~7;
}

/**
 * Allocates a ring.
 *
 * @param capacityBytes A power of two, `RING_BYTES_MIN`..`RING_BYTES_MAX`.
 * @throws {RangeError} If it is not.
 */
export function createRing(capacityBytes: number): RingMemory {
  const isPowerOfTwo = Number.isInteger(capacityBytes) && (capacityBytes & (capacityBytes - 1)) === 0;
  if (!isPowerOfTwo || capacityBytes < RING_BYTES_MIN || capacityBytes > RING_BYTES_MAX) {
    throw new RangeError(
      `Ring capacity ${capacityBytes} is not a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX}`,
    );
  }
  return { control: new SharedArrayBuffer(CONTROL_BYTES), data: new SharedArrayBuffer(capacityBytes) };
}

/** Bytes in the ring that the reader has not freed (padding included). Any thread may ask. */
export function ringDepthBytes(memory: RingMemory): number {
  const control = new Int32Array(memory.control);
  return depthOf(control);
}

function depthOf(control: Int32Array): number {
  // Tail is read after head, so the difference is never negative.
  const head = Atomics.load(control, CURSOR_HEAD);
  return ((Atomics.load(control, CURSOR_TAIL) - head) | 0) * 8;
}

/** The writing end. One thread at a time. */
export class RingWriter {
  /** The ring's bytes: write only where `reserve()` said. */
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words, native byte order. */
  readonly words: Int32Array;
  readonly capacityBytes: number;
  readonly #control: Int32Array;
  readonly #unitMask: number;
  readonly #unitCount: number;
  /** End of what is reserved; `tail` is what is published. */
  #reserved: number;
  #published: number;
  #headSeen: number;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.words = new Int32Array(memory.data);
    this.capacityBytes = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    this.#unitCount = this.capacityBytes >> UNIT_SHIFT;
    this.#unitMask = this.#unitCount - 1;
    this.#published = Atomics.load(this.#control, CURSOR_TAIL);
    this.#reserved = this.#published;
    this.#headSeen = Atomics.load(this.#control, CURSOR_HEAD);
  }

  /**
   * Claims room for one record of `length` bytes and writes its length word.
   *
   * The record must be filled before `publish()`; the reader sees nothing before that.
   *
   * @param length Bytes of the record including its 4-byte length word, 4..capacity/2.
   * @returns Byte index of the record in `bytes` (a multiple of 8), or -1 when there is no room now.
   */
  reserve(length: number): number {
    const units = (length + 7) >> UNIT_SHIFT;
    const at = this.#reserved & this.#unitMask;
    const toEnd = this.#unitCount - at;
    const needed = units <= toEnd ? units : toEnd + units;
    if (this.#unitCount - ((this.#reserved - this.#headSeen) | 0) < needed) {
      this.#headSeen = Atomics.load(this.#control, CURSOR_HEAD);
      if (this.#unitCount - ((this.#reserved - this.#headSeen) | 0) < needed) return -1;
    }
    let index = at << UNIT_SHIFT;
    if (units > toEnd) {
      this.words[index >> 2] = RING_PAD;
      index = 0;
    }
    this.#reserved = (this.#reserved + needed) | 0;
    this.words[index >> 2] = length;
    return index;
  }

  /**
   * Gives back the end of the record reserved last, which turned out shorter than it might have been.
   *
   * @param index As `reserve()` answered, with nothing reserved since.
   * @param length Bytes of the record, at most what was reserved.
   */
  shrink(index: number, length: number): void {
    const units = ((this.words[index >> 2] as number) + 7) >> UNIT_SHIFT;
    this.words[index >> 2] = length;
    this.#reserved = (this.#reserved - units + ((length + 7) >> UNIT_SHIFT)) | 0;
  }

  /** Makes everything reserved so far visible to the reader. @returns Whether there was anything. */
  publish(): boolean {
    if (this.#reserved === this.#published) return false;
    this.#published = this.#reserved;
    // Publishes every record up to here; the reader waits for it behind its doorbell.
    Atomics.store(this.#control, CURSOR_TAIL, this.#reserved);
    return true;
  }

  /** Bytes not yet freed by the reader, what is reserved but unpublished included. */
  depthBytes(): number {
    this.#headSeen = Atomics.load(this.#control, CURSOR_HEAD);
    return ((this.#reserved - this.#headSeen) | 0) * 8;
  }

  /**
   * Takes the oldest record out of the reader's hands, to make room (overflow policy `drop_old`).
   *
   * The record's bytes stay valid until the next `reserve()`. Everything reserved is published first.
   *
   * @returns Byte index of the discarded record, or -1 when the ring is empty.
   */
  dropOldest(): number {
    this.publish();
    const control = this.#control;
    for (;;) {
      const head = Atomics.load(control, CURSOR_HEAD);
      if (head === this.#reserved) return -1;
      let index = (head & this.#unitMask) << UNIT_SHIFT;
      let units: number;
      if (this.words[index >> 2] === RING_PAD) {
        units = this.#unitCount - (head & this.#unitMask);
        index = 0;
        units += ((this.words[0] as number) + 7) >> UNIT_SHIFT;
      } else {
        units = ((this.words[index >> 2] as number) + 7) >> UNIT_SHIFT;
      }
      // Loses only against a reader that has just taken these records.
      if (Atomics.compareExchange(control, CURSOR_HEAD, head, (head + units) | 0) === head) {
        this.#headSeen = (head + units) | 0;
        return index;
      }
    }
  }
}

/**
 * What a `take()` is doing, in memory that outlives its thread: the copy is finished before the receipt is
 * written, and the receipt before the ring is freed. So a successor that finds one asks the ring whether
 * its head has passed `ringEnd`: if so the copy is the only one left, if not it is worth nothing.
 *
 * Where `dropOldest` moves the head too, it may have passed without a take; the event is then both in the
 * copy and with whoever dropped it. That takes a thread that dies between two instructions.
 */
export class TakeReceipt {
  readonly #words: Int32Array;

  /** @param words Three words of shared memory. */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  write(ringEnd: number, copyEnd: number): void {
    this.#words[1] = ringEnd;
    this.#words[2] = copyEnd;
    Atomics.store(this.#words, 0, 1);
  }

  clear(): void {
    Atomics.store(this.#words, 0, 0);
  }

  get isOpen(): boolean {
    return Atomics.load(this.#words, 0) !== 0;
  }
  get ringEnd(): number {
    return this.#words[1] as number;
  }
  /** Index behind the copy in the target. */
  get copyEnd(): number {
    return this.#words[2] as number;
  }
}

/** The reading end. One thread at a time. */
export class RingReader {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly capacityBytes: number;
  readonly #control: Int32Array;
  readonly #unitMask: number;
  readonly #unitCount: number;
  #head: number;
  #cursor: number;
  /** Before the last `next()`. */
  #previous: number;
  #tailSeen: number;

  constructor(memory: RingMemory) {
    this.bytes = new Uint8Array(memory.data);
    this.words = new Int32Array(memory.data);
    this.capacityBytes = memory.data.byteLength;
    this.#control = new Int32Array(memory.control);
    this.#unitCount = this.capacityBytes >> UNIT_SHIFT;
    this.#unitMask = this.#unitCount - 1;
    this.#head = Atomics.load(this.#control, CURSOR_HEAD);
    this.#cursor = this.#head;
    this.#previous = this.#head;
    this.#tailSeen = this.#head;
  }

  /**
   * Steps to the next record without freeing it. Only for rings whose writer never drops the oldest.
   *
   * @returns Byte index of the record (its length is `words[index >> 2]`), or -1 when there is none.
   */
  next(): number {
    if (this.#cursor === this.#tailSeen) {
      this.#tailSeen = Atomics.load(this.#control, CURSOR_TAIL);
      if (this.#cursor === this.#tailSeen) return -1;
    }
    this.#previous = this.#cursor;
    let at = this.#cursor & this.#unitMask;
    if (this.words[at << 1] === RING_PAD) {
      this.#cursor = (this.#cursor + this.#unitCount - at) | 0;
      at = 0;
    }
    const length = this.words[at << 1] as number;
    this.#cursor = (this.#cursor + ((length + 7) >> UNIT_SHIFT)) | 0;
    return at << UNIT_SHIFT;
  }

  /** Frees every record stepped over by `next()`. A writer waiting for room sees it here. */
  release(): void {
    this.releaseWithin(0, 0);
  }

  /**
   * The same, with a note for whoever reads on, be it this thread or its successor: that much of the
   * record that is now the first has been dealt with already.
   */
  releaseWithin(progressBytes: number, progressCount: number): void {
    this.#control[PROGRESS_BYTES] = progressBytes;
    this.#control[NOTE_PROGRESS_COUNT] = progressCount;
    if (this.#cursor === this.#head) return;
    this.#head = this.#cursor;
    Atomics.store(this.#control, CURSOR_HEAD, this.#cursor);
  }

  /** Takes the last `next()` back: `release()` will keep that record. Once after each `next()`. */
  stepBack(): void {
    this.#cursor = this.#previous;
  }

  /** Forgets what `next()` stepped over since the last `release()`: it will be met again. */
  rewind(): void {
    this.#cursor = this.#head;
  }

  /**
   * Moves as many whole records as fit into `target` and frees them, safe against `dropOldest`.
   *
   * Records keep their layout and their padding to 8 bytes; ring-end padding is left out, so the
   * result is one contiguous run of records.
   *
   * @param target Where to copy; `at` must be a multiple of 8.
   * @param bytesMax Most bytes to copy. A first record larger than that is not taken.
   * @param receipt Where to note what is about to happen, before it does: see `TakeReceipt`. The caller
   *   clears it when it has noted the bytes as its own.
   * @returns Bytes copied, 0 when the ring is empty.
   */
  take(target: Uint8Array, at: number, bytesMax: number, receipt?: TakeReceipt): number {
    const control = this.#control;
    for (;;) {
      const head = Atomics.load(control, CURSOR_HEAD);
      const tail = Atomics.load(control, CURSOR_TAIL);
      let cursor = head;
      let copied = 0;
      let raced = false;
      // At most two pieces: up to the end of the ring, and from its start.
      while (cursor !== tail) {
        const from = cursor & this.#unitMask;
        if (this.words[from << 1] === RING_PAD) {
          cursor = (cursor + this.#unitCount - from) | 0;
          continue;
        }
        let to = from;
        let end = cursor;
        while (end !== tail && to < this.#unitCount) {
          const length = this.words[to << 1] as number;
          if (length === RING_PAD) break;
          const units = (length + 7) >> UNIT_SHIFT;
          // A record that is being overwritten after dropOldest() may show any length here.
          if (length < 4 || to + units > this.#unitCount || ((tail - end) | 0) < units) {
            raced = true;
            break;
          }
          if (copied + ((to + units - from) << UNIT_SHIFT) > bytesMax) break;
          to += units;
          end = (end + units) | 0;
        }
        if (raced || to === from) break;
        target.set(this.bytes.subarray(from << UNIT_SHIFT, to << UNIT_SHIFT), at + copied);
        copied += (to - from) << UNIT_SHIFT;
        cursor = end;
        const stopped = to < this.#unitCount && end !== tail && this.words[to << 1] !== RING_PAD;
        if (stopped) break;
      }
      if (!raced && cursor === head) return 0;
      if (receipt !== undefined && !raced) receipt.write(cursor, at + copied);
      // Succeeds only if nothing taken was dropped meanwhile: then the copy is whole.
      if (!raced && Atomics.compareExchange(control, CURSOR_HEAD, head, cursor) === head) {
        this.#head = cursor;
        this.#cursor = cursor;
        return copied;
      }
      if (raced && Atomics.load(control, CURSOR_HEAD) === head) {
        throw new RangeError("Ring holds a record with an impossible length");
      }
    }
  }

  /** Whether the head has moved past what a receipt speaks of: the take happened. Before the first `take()`. */
  hasPassed(receipt: TakeReceipt): boolean {
    return ((Atomics.load(this.#control, CURSOR_HEAD) - receipt.ringEnd) | 0) >= 0;
  }

  /**
   * How much of the first record had been dealt with when `releaseWithin()` was called last. Lies in the
   * ring, so that a successor of the reading thread goes on at the same place.
   */
  get progressBytes(): number {
    return this.#control[PROGRESS_BYTES] as number;
  }
  get progressCount(): number {
    return this.#control[NOTE_PROGRESS_COUNT] as number;
  }

  /** Whether a record is waiting. */
  isEmpty(): boolean {
    return Atomics.load(this.#control, CURSOR_HEAD) === Atomics.load(this.#control, CURSOR_TAIL);
  }

  /** Bytes published and not freed. */
  depthBytes(): number {
    return depthOf(this.#control);
  }
}
