/**
 * The topics seen since start: names, and how many events each had. Written by the dispatcher, read by
 * everybody; append-only, so a reader needs no lock.
 *
 *     header   u32 count | u32 nameBytes | u32 topicsMax | u32 nameBytesMax
 *     columns  f64 events[topicsMax] | f64 receivedUs[topicsMax] | i32 nameAt[] | i32 nameLength[] | i32 lane[]
 *     names    UTF-8, back to back
 *
 * count ≤ topicsMax, nameBytes ≤ nameBytesMax. A topic that does not fit is dispatched like any other but
 * not listed. Pages that nothing was written to cost no memory.
 */

const COUNT = 0;
const NAME_BYTES = 1;
const TOPICS_MAX = 2;
const NAME_BYTES_MAX = 3;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 8 + 8 + 4 + 4 + 4;

export interface TopicRegistryOptions {
  readonly topicsMax: number;
  /** For all names together. */
  readonly nameBytesMax: number;
}

export const TOPIC_REGISTRY_DEFAULT: TopicRegistryOptions = {
  topicsMax: 65_536,
  nameBytesMax: 4 * 1024 * 1024,
};

/** What is known of one topic. */
export interface TopicEntry {
  readonly topic: string;
  /** Index of the lane its last event went to. */
  readonly lane: number;
  /** Events dispatched. */
  readonly events: number;
  /** When the last one was received, microseconds since the Unix epoch. */
  readonly receivedUs: number;
}

/** @param options `topicsMax` even, so that every column is aligned. */
export function createTopicRegistry(
  options: TopicRegistryOptions = TOPIC_REGISTRY_DEFAULT,
): SharedArrayBuffer {
  const { topicsMax, nameBytesMax } = options;
  if (!Number.isInteger(topicsMax) || topicsMax < 2 || topicsMax % 2 !== 0) {
    throw new RangeError(`Topic registry of ${topicsMax} topics: it needs an even number from 2`);
  }
  const memory = new SharedArrayBuffer(HEADER_BYTES + topicsMax * ENTRY_BYTES + nameBytesMax);
  const header = new Int32Array(memory, 0, 4);
  header[TOPICS_MAX] = topicsMax;
  header[NAME_BYTES_MAX] = nameBytesMax;
  return memory;
}

/** One thread's view. Only the dispatcher may `add()` and write the columns. */
export class TopicRegistry {
  readonly topicsMax: number;
  /** Events by topic number. */
  readonly events: Float64Array;
  /** When the last was received. */
  readonly receivedUs: Float64Array;
  /** Lane of the last. */
  readonly lanes: Int32Array;
  readonly names: Uint8Array;
  readonly nameAt: Int32Array;
  readonly nameLength: Int32Array;
  readonly #header: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#header = new Int32Array(memory, 0, 4);
    const topicsMax = this.#header[TOPICS_MAX] as number;
    this.topicsMax = topicsMax;
    let at = HEADER_BYTES;
    this.events = new Float64Array(memory, at, topicsMax);
    at += topicsMax * 8;
    this.receivedUs = new Float64Array(memory, at, topicsMax);
    at += topicsMax * 8;
    this.nameAt = new Int32Array(memory, at, topicsMax);
    at += topicsMax * 4;
    this.nameLength = new Int32Array(memory, at, topicsMax);
    at += topicsMax * 4;
    this.lanes = new Int32Array(memory, at, topicsMax);
    at += topicsMax * 4;
    this.names = new Uint8Array(memory, at, this.#header[NAME_BYTES_MAX]);
  }

  /** Topics listed. */
  get count(): number {
    return Atomics.load(this.#header, COUNT);
  }

  /** Appends a topic. @returns Its number, or -1 when there is no room. Dispatcher only. */
  add(bytes: Uint8Array, at: number, length: number, lane: number): number {
    const number = this.count;
    const nameAt = this.#header[NAME_BYTES] as number;
    if (number === this.topicsMax || nameAt + length > this.names.length) return -1;
    for (let index = 0; index < length; index++) this.names[nameAt + index] = bytes[at + index] as number;
    this.nameAt[number] = nameAt;
    this.nameLength[number] = length;
    this.lanes[number] = lane;
    this.#header[NAME_BYTES] = nameAt + length;
    // Publishes the name: a reader looks only at numbers below the count.
    Atomics.store(this.#header, COUNT, number + 1);
    return number;
  }

  /** Name of a topic. @param number Below `count`. */
  nameOf(number: number): string {
    const at = this.nameAt[number] as number;
    return Buffer.from(this.names.slice(at, at + (this.nameLength[number] as number))).toString();
  }

  /** All topics, in the order in which they were first seen. */
  list(): TopicEntry[] {
    return Array.from({ length: this.count }, (_, number) => ({
      topic: this.nameOf(number),
      lane: this.lanes[number] as number,
      events: this.events[number] as number,
      receivedUs: this.receivedUs[number] as number,
    }));
  }
}
