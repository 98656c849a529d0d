/**
 * What every thread may know about a shard's log: written by its lane worker (one word by main), read by all.
 *
 * first ≤ durable ≤ next, visible ≤ next. 64-bit atomics: a few a batch, so their cost does not show.
 */

/** A shard as every thread knows it; structured-cloneable. */
export interface ShardInfo {
  /** Position in the engine's list of shards; the dead-letter log is the last. */
  readonly index: number;
  readonly lane: string;
  /** Number within the lane, from 0. */
  readonly shard: number;
  /** Folder of its log. */
  readonly directory: string;
  /** Memory of its `ShardState`. */
  readonly state: SharedArrayBuffer;
}

const FIRST = 0;
const NEXT = 1;
const DURABLE = 2;
const VISIBLE = 3;
const BYTES = 4;
const DISPENSABLE = 5;
const BEGUN = 6;
const CORRUPT = 7;
const WORDS = 16;

export function createShardState(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * BigInt64Array.BYTES_PER_ELEMENT);
}

export class ShardState {
  readonly #words: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new BigInt64Array(memory);
  }

  #get(word: number): number {
    return Number(Atomics.load(this.#words, word));
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, BigInt(value));
  }

  /** Oldest offset still kept. */
  get firstOffset(): number {
    return this.#get(FIRST);
  }
  set firstOffset(value: number) {
    this.#set(FIRST, value);
  }

  /** Offset the next event will get. */
  get nextOffset(): number {
    return this.#get(NEXT);
  }
  set nextOffset(value: number) {
    this.#set(NEXT, value);
  }

  /** Every event below is fsynced. */
  get durableOffset(): number {
    return this.#get(DURABLE);
  }
  set durableOffset(value: number) {
    this.#set(DURABLE, value);
  }

  /**
   * Every event below may be read and delivered: the durable ones in a lane with `durability: fsync`,
   * the written ones elsewhere. Readers wait for this.
   */
  get visibleOffset(): number {
    return this.#get(VISIBLE);
  }
  set visibleOffset(value: number) {
    this.#set(VISIBLE, value);
  }

  /**
   * Events below were in the log when this process first opened it, and are none of those it has received. Less
   * than that if the disk lost some of them before they were durable.
   */
  get begunOffset(): number {
    return this.#get(BEGUN);
  }
  set begunOffset(value: number) {
    this.#set(BEGUN, value);
  }

  /** Times that a reader has met a damaged batch. Any thread may count. */
  get corruptCount(): number {
    return this.#get(CORRUPT);
  }
  countCorrupt(): void {
    Atomics.add(this.#words, CORRUPT, 1n);
  }

  /** Bytes of all segments. */
  get logBytes(): number {
    return this.#get(BYTES);
  }
  set logBytes(value: number) {
    this.#set(BYTES, value);
  }

  /**
   * Nobody needs an event below: the lane worker removes whole segments that lie below when it next looks.
   * Written by main only, which knows of all lanes (`log.max_total_bytes`) and of dead letters dealt with.
   */
  get dispensableOffset(): number {
    return this.#get(DISPENSABLE);
  }
  set dispensableOffset(value: number) {
    this.#set(DISPENSABLE, value);
  }
}
