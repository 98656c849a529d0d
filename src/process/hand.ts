/**
 * What a lane worker has taken out of its queue and not yet stored, and the notes about it: both in shared
 * memory, so that the worker's successor finishes the batch exactly once.
 *
 *     hand    half 0: 64 bytes for a batch header | run records …      half 1: the same
 *     intent  u32 bodyBytes + half | u32 isPrepared | u32 wasOpened | u32 0 | receipt: 3 words, input
 *             f64 baseOffset | f64 stored | f64 decidedUs
 *
 * The half in use holds the runs as they were taken until the batch is finished; the other takes rewritten
 * copies. Nothing is changed in place, so a thread that ends at any instruction leaves one whole half.
 *
 * A batch is prepared when it is decided that `stored` of its events get the offsets from `baseOffset` on.
 * It is written in one piece, so afterwards
 *
 *     log.nextOffset ≤ baseOffset           it has not reached the log: it is appended now
 *     log.nextOffset ≥ baseOffset + stored  it has: only counters and verdicts are left
 */
import { LOG_BATCH_HEADER_BYTES } from "../log/format.ts";
import { type RingReader, TakeReceipt } from "../queue/ring.ts";

/** Bytes of runs (a multiple of 8) and number of the half in one word: both change at once. */
const BODY = 0;
const HALF_MASK = 1;
const PREPARED = 1;
const OPENED = 2;
const RECEIPT = 4;
const RECEIPT_WORDS = 3;
const RECEIPT_INPUT = 7;
const INTENT_WORDS = 8;
const BASE_OFFSET = 0;
const STORED = 1;
const DECIDED_US = 2;
const INTENT_DOUBLES = 3;
/** By how much a dead letter may outgrow its event: headers with an error text of 1,000 characters. */
const DEAD_LETTER_BYTES = 4096;
/** Looks before a record that does not come is called too large: the writer may be dropping the oldest. */
const TAKES_MAX = 3;

/**
 * Allocates a hand.
 *
 * @param bodyBytes Most bytes of runs in one batch, a multiple of 8 and at least the largest record. Twice as
 *   much is reserved; the second half costs memory only once a batch has to be rewritten. Room by which dead
 *   letters outgrow their events is added.
 */
export function createHand(bodyBytes: number): SharedArrayBuffer {
  if (!Number.isInteger(bodyBytes) || bodyBytes < 64 || bodyBytes % 8 !== 0) {
    throw new RangeError(`Hand of ${bodyBytes} bytes: it needs a multiple of 8 from 64`);
  }
  return new SharedArrayBuffer(2 * (LOG_BATCH_HEADER_BYTES + bodyBytes + DEAD_LETTER_BYTES));
}

export function createIntent(): SharedArrayBuffer {
  return new SharedArrayBuffer(INTENT_WORDS * 4 + INTENT_DOUBLES * 8);
}

/** One thread's view of its hand. */
export class Hand {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Most bytes of runs. */
  readonly bodyBytesMax: number;
  readonly #halfBytes: number;
  readonly #intent: Int32Array;
  readonly #numbers: Float64Array;
  readonly #receipt: TakeReceipt;

  constructor(hand: SharedArrayBuffer, intent: SharedArrayBuffer) {
    this.bytes = new Uint8Array(hand);
    this.words = new Int32Array(hand);
    this.#halfBytes = hand.byteLength / 2;
    this.bodyBytesMax = this.#halfBytes - LOG_BATCH_HEADER_BYTES;
    this.#intent = new Int32Array(intent, 0, INTENT_WORDS);
    this.#numbers = new Float64Array(intent, INTENT_WORDS * 4, INTENT_DOUBLES);
    this.#receipt = new TakeReceipt(this.#intent.subarray(RECEIPT, RECEIPT + RECEIPT_WORDS));
  }

  /** Index of the room for a batch header before the runs in hand. */
  get headerAt(): number {
    return ((this.#intent[BODY] as number) & HALF_MASK) * this.#halfBytes;
  }
  /** Index of the first run. */
  get bodyAt(): number {
    return this.headerAt + LOG_BATCH_HEADER_BYTES;
  }
  get bodyBytes(): number {
    return (this.#intent[BODY] as number) & ~HALF_MASK;
  }
  /** Index of the header's room in the half that is not in use. */
  get otherHeaderAt(): number {
    return this.#halfBytes - this.headerAt;
  }

  /** Whether a log was opened with this hand before: then this thread is a successor. */
  get wasOpened(): boolean {
    return this.#intent[OPENED] !== 0;
  }
  setOpened(): void {
    this.#intent[OPENED] = 1;
  }

  /** Settles a take that the predecessor may not have finished. Before anything is read from the inputs. */
  settle(inputs: readonly RingReader[]): void {
    if (!this.#receipt.isOpen) return;
    const input = inputs[this.#intent[RECEIPT_INPUT] as number];
    if (input?.hasPassed(this.#receipt)) this.#setBodyBytes(this.#receipt.copyEnd - this.bodyAt);
    this.#receipt.clear();
  }

  /**
   * Takes runs from an input, as many as fit. Not while a batch is prepared.
   *
   * @param number Position of the input in the list that `settle()` is given.
   * @returns Bytes taken.
   * @throws {RangeError} If the first record does not fit into an empty hand: it was made too small.
   */
  take(input: RingReader, number: number): number {
    const { bodyBytes } = this;
    const at = this.bodyAt + bodyBytes;
    this.#intent[RECEIPT_INPUT] = number;
    for (let takes = 0; takes < TAKES_MAX; takes++) {
      const taken = input.take(this.bytes, at, this.bodyBytesMax - bodyBytes, this.#receipt);
      if (taken > 0) this.#setBodyBytes(bodyBytes + taken);
      this.#receipt.clear();
      if (taken > 0 || bodyBytes > 0 || input.isEmpty()) return taken;
    }
    throw new RangeError(`A record does not fit into a hand of ${this.bodyBytesMax} bytes`);
  }

  /** Goes over to the other half, which now holds `bodyBytes` of runs. */
  flip(bodyBytes: number): void {
    const half = ~(this.#intent[BODY] as number) & HALF_MASK;
    Atomics.store(this.#intent, BODY, bodyBytes | half);
  }

  #setBodyBytes(bodyBytes: number): void {
    Atomics.store(this.#intent, BODY, bodyBytes | ((this.#intent[BODY] as number) & HALF_MASK));
  }

  get isPrepared(): boolean {
    return this.#intent[PREPARED] !== 0;
  }
  get baseOffset(): number {
    return this.#numbers[BASE_OFFSET] as number;
  }
  get stored(): number {
    return this.#numbers[STORED] as number;
  }
  /** The time by which ids had expired when it was decided which events are duplicates. */
  get decidedUs(): number {
    return this.#numbers[DECIDED_US] as number;
  }

  /** Notes what is about to be appended. */
  prepare(baseOffset: number, stored: number, decidedUs: number): void {
    this.#numbers[BASE_OFFSET] = baseOffset;
    this.#numbers[STORED] = stored;
    this.#numbers[DECIDED_US] = decidedUs;
    Atomics.store(this.#intent, PREPARED, 1);
  }

  /** The append did not happen: the runs stay in hand. */
  unprepare(): void {
    Atomics.store(this.#intent, PREPARED, 0);
  }

  /** The batch is finished. */
  clear(): void {
    // First the bytes: prepared and empty is a batch of nothing, unprepared and full would be stored again.
    this.#setBodyBytes(0);
    Atomics.store(this.#intent, PREPARED, 0);
  }
}
