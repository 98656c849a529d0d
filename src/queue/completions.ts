/**
 * Verdicts on their way back: "events firstSeq .. firstSeq+count-1 of this connection are done".
 *
 * A ring of fixed 32-byte slots from one thread that decides (dispatcher: accepted; lane worker:
 * durable) to one source thread, which merges the intervals of each connection into cumulative
 * acknowledgements. Only runs that asked for an answer produce one.
 *
 *     u32 connection | u32 status << 24 | count (24 bits) | u64 firstSeq | u64 offset | u32 shard | u32 detail
 *
 * head ≤ tail ≤ head + slots. Full means the source is slow: the sender waits (the source never
 * waits for the sender, so this cannot deadlock).
 */

export interface CompletionMemory {
  readonly control: SharedArrayBuffer;
  readonly slots: SharedArrayBuffer;
}

/** Accepted or durable, as the run asked. */
export const STATUS_OK = 0;
/** The message id was seen before: stored once already, at `offset`. */
export const STATUS_DUPLICATE = 1;
/** Refused by an overflow policy; `detail` indexes DROP_REASONS. */
export const STATUS_DROPPED = 2;
/** The log could not be written or synced; `detail` is a log failure code. */
export const STATUS_FAILED = 3;

/** Most events one completion can speak of. */
export const COMPLETION_COUNT_MAX = 0xffffff;

const HEAD = 0;
const TAIL = 32;
const SLOT_WORDS = 8;

/** One verdict, reused by the reader: read it before the next `next()`. */
export interface Completion {
  connection: number;
  status: number;
  count: number;
  firstSeq: number;
  /** Log offset of the first event, or -1 when it has none (accepted only, dropped, failed). */
  offset: number;
  /** Index of the shard in the engine's shard list. */
  shard: number;
  detail: number;
}

/** @param slotCount A power of two. */
export function createCompletions(slotCount: number): CompletionMemory {
  if (!Number.isInteger(slotCount) || slotCount < 2 || (slotCount & (slotCount - 1)) !== 0) {
    throw new RangeError(`Completion slots ${slotCount} is not a power of two`);
  }
  return {
    control: new SharedArrayBuffer(256),
    slots: new SharedArrayBuffer(slotCount * SLOT_WORDS * 4),
  };
}

/** The deciding end. */
export class CompletionWriter {
  readonly #control: Int32Array;
  readonly #words: Uint32Array;
  readonly #mask: number;
  readonly #slotCount: number;
  #reserved: number;
  #published: number;
  #headSeen: number;

  constructor(memory: CompletionMemory) {
    this.#control = new Int32Array(memory.control);
    this.#words = new Uint32Array(memory.slots);
    this.#slotCount = this.#words.length / SLOT_WORDS;
    this.#mask = this.#slotCount - 1;
    this.#published = Atomics.load(this.#control, TAIL);
    this.#reserved = this.#published;
    this.#headSeen = Atomics.load(this.#control, HEAD);
  }

  /**
   * Writes one verdict; visible after `publish()`.
   *
   * @returns `false` when the ring is full: publish, ring the source's doorbell and try again.
   */
  offer(
    connection: number,
    status: number,
    count: number,
    firstSeq: number,
    offset: number,
    shard: number,
    detail: number,
  ): boolean {
    if (((this.#reserved - this.#headSeen) | 0) >= this.#slotCount) {
      this.#headSeen = Atomics.load(this.#control, HEAD);
      if (((this.#reserved - this.#headSeen) | 0) >= this.#slotCount) return false;
    }
    const words = this.#words;
    const at = (this.#reserved & this.#mask) * SLOT_WORDS;
    words[at] = connection;
    words[at + 1] = (status << 24) | count;
    words[at + 2] = firstSeq >>> 0;
    words[at + 3] = (firstSeq / 4294967296) >>> 0;
    // Offset + 1, so that "none" (-1) is 0 and stays unsigned.
    const stored = offset + 1;
    words[at + 4] = stored >>> 0;
    words[at + 5] = (stored / 4294967296) >>> 0;
    words[at + 6] = shard;
    words[at + 7] = detail;
    this.#reserved = (this.#reserved + 1) | 0;
    return true;
  }

  /** Makes all offered verdicts visible. @returns Whether there were any. */
  publish(): boolean {
    if (this.#reserved === this.#published) return false;
    this.#published = this.#reserved;
    Atomics.store(this.#control, TAIL, this.#reserved);
    return true;
  }
}

/** The source's end. */
export class CompletionReader {
  /** The verdict `next()` stepped to. */
  readonly current: Completion = {
    connection: 0,
    status: 0,
    count: 0,
    firstSeq: 0,
    offset: -1,
    shard: 0,
    detail: 0,
  };
  readonly #control: Int32Array;
  readonly #words: Uint32Array;
  readonly #mask: number;
  #head: number;
  #tailSeen: number;

  constructor(memory: CompletionMemory) {
    this.#control = new Int32Array(memory.control);
    this.#words = new Uint32Array(memory.slots);
    this.#mask = this.#words.length / SLOT_WORDS - 1;
    this.#head = Atomics.load(this.#control, HEAD);
    this.#tailSeen = this.#head;
  }

  /** Steps to the next verdict and fills `current`. @returns `false` when there is none. */
  next(): boolean {
    if (this.#head === this.#tailSeen) {
      this.#tailSeen = Atomics.load(this.#control, TAIL);
      if (this.#head === this.#tailSeen) return false;
    }
    const words = this.#words;
    const at = (this.#head & this.#mask) * SLOT_WORDS;
    const into = this.current;
    const statusCount = words[at + 1] as number;
    into.connection = words[at] as number;
    into.status = statusCount >>> 24;
    into.count = statusCount & COMPLETION_COUNT_MAX;
    into.firstSeq = (words[at + 3] as number) * 4294967296 + (words[at + 2] as number);
    into.offset = (words[at + 5] as number) * 4294967296 + (words[at + 4] as number) - 1;
    into.shard = words[at + 6] as number;
    into.detail = words[at + 7] as number;
    this.#head = (this.#head + 1) | 0;
    return true;
  }

  /** Frees every verdict stepped over. */
  release(): void {
    Atomics.store(this.#control, HEAD, this.#head);
  }
}
