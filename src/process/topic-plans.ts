/**
 * What is to be done with the events of a topic, looked up by the topic's bytes: a plan is made when a topic is
 * first seen, so an event costs one hash and one comparison however many rules there are.
 *
 * One thread. plans ≤ topicsMax: when more topics come, all are forgotten and made anew as they return.
 */

/** Topics remembered. */
export const TOPICS_MAX = 65_536;
const SLOTS = TOPICS_MAX * 2;

interface Entry<T> {
  readonly hash: number;
  readonly topic: Uint8Array;
  readonly plan: T;
}

const decoder = new TextDecoder();

export class TopicPlans<T> {
  readonly #make: (topic: string) => T;
  #slots: (Entry<T> | undefined)[] = new Array<Entry<T> | undefined>(SLOTS).fill(undefined);
  #count = 0;
  /** The plan found last: producers repeat themselves. */
  #last: Entry<T> | undefined;

  readonly #topicsMax: number;

  /** @param make Makes the plan of a topic. @param topicsMax Plans kept, at most `TOPICS_MAX`. */
  constructor(make: (topic: string) => T, topicsMax = TOPICS_MAX) {
    this.#make = make;
    this.#topicsMax = topicsMax;
  }

  /** The plan for the topic `bytes[at..at+length)`. */
  find(bytes: Uint8Array, at: number, length: number): T {
    const last = this.#last;
    if (last !== undefined && isSame(last.topic, bytes, at, length)) return last.plan;
    const hash = hashOf(bytes, at, length);
    let slot = hash & (SLOTS - 1);
    for (;;) {
      const entry = this.#slots[slot];
      if (entry === undefined) break;
      if (entry.hash === hash && isSame(entry.topic, bytes, at, length)) {
        this.#last = entry;
        return entry.plan;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
    return this.#add(bytes.slice(at, at + length), hash).plan;
  }

  #add(topic: Uint8Array, hash: number): Entry<T> {
    if (this.#count >= this.#topicsMax) {
      this.#slots.fill(undefined);
      this.#count = 0;
    }
    const entry: Entry<T> = { hash, topic, plan: this.#make(decoder.decode(topic)) };
    let slot = hash & (SLOTS - 1);
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & (SLOTS - 1);
    this.#slots[slot] = entry;
    this.#count++;
    this.#last = entry;
    return entry;
  }
}

function isSame(topic: Uint8Array, bytes: Uint8Array, at: number, length: number): boolean {
  if (topic.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (topic[index] !== bytes[at + index]) return false;
  }
  return true;
}

/** FNV-1a, mixed, so that topics that differ at their end alone spread over the table. */
function hashOf(bytes: Uint8Array, at: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let index = at; index < at + length; index++) {
    hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
