/**
 * From a topic's bytes to its routing decisions, without a string: an open-addressing index over the
 * topic registry. Dispatcher thread only.
 *
 * A topic gets its number the first time it is seen. When the registry is full, further topics share
 * the number `registry.topicsMax`: their decisions are made anew each time.
 */
import { TOPIC_BYTES_MAX } from "../event/frame.ts";
import { hashBytes } from "./hash.ts";
import { DECISION_LOWERED, decisionLane, DECISIONS, NOT_LOWERED, type RouteTable } from "./route.ts";
import type { TopicRegistry } from "./topic-registry.ts";

// A decision here also knows the shard: shard (from bit 11) | lane (8 bits) | priority (3 bits).
const LANE_SHIFT = 3;
const SHARD_SHIFT = 11;
const LANE_MASK = 0xff;

export function priorityOf(decision: number): number {
  return decision & 7;
}

/** Index into `RouteTable.lanes`. */
export function laneOf(decision: number): number {
  return (decision >> LANE_SHIFT) & LANE_MASK;
}

/** Index into the engine's list of shards, by the hash of the topic. */
export function shardOf(decision: number): number {
  return decision >> SHARD_SHIFT;
}

export class TopicCache {
  /** `DECISIONS` entries a topic, by own priority; the one at `DECISION_LOWERED` may be `NOT_LOWERED`. */
  readonly decisions: Int32Array;
  readonly #registry: TopicRegistry;
  readonly #hashes: Int32Array;
  /** Topic number + 1 by hash; 0 is free. At most half full. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #name = Buffer.alloc(TOPIC_BYTES_MAX);
  #routes: RouteTable;

  constructor(registry: TopicRegistry, routes: RouteTable) {
    this.#registry = registry;
    this.#routes = routes;
    this.decisions = new Int32Array((registry.topicsMax + 1) * DECISIONS);
    this.#hashes = new Int32Array(registry.topicsMax);
    const slotCount = 2 ** Math.ceil(Math.log2(registry.topicsMax * 2));
    this.#slots = new Int32Array(slotCount);
    this.#mask = slotCount - 1;
    // A restarted dispatcher meets the topics of its predecessor.
    for (let topic = 0; topic < registry.count; topic++) {
      const at = registry.nameAt[topic] as number;
      this.#index(topic, hashBytes(registry.names, at, registry.nameLength[topic] as number));
    }
    this.setRoutes(routes);
  }

  /** Decides anew for every known topic. */
  setRoutes(routes: RouteTable): void {
    this.#routes = routes;
    for (let topic = 0; topic < this.#registry.count; topic++) {
      this.#decide(topic, this.#registry.nameOf(topic), this.#hashes[topic] as number);
    }
  }

  /** Number of the topic `bytes[at..at+length)`; a new one is entered. */
  find(bytes: Uint8Array, at: number, length: number): number {
    const registry = this.#registry;
    const { names, nameAt, nameLength } = registry;
    const hashes = this.#hashes;
    const slots = this.#slots;
    const mask = this.#mask;
    const hash = hashBytes(bytes, at, length) | 0;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const topic = (slots[slot] as number) - 1;
      if (topic < 0) return this.#enter(bytes, at, length, hash);
      if (hashes[topic] !== hash || nameLength[topic] !== length) continue;
      const name = nameAt[topic] as number;
      let same = 0;
      while (same < length && names[name + same] === bytes[at + same]) same++;
      if (same === length) return topic;
    }
  }

  #enter(bytes: Uint8Array, at: number, length: number, hash: number): number {
    const registry = this.#registry;
    const added = registry.add(bytes, at, length, 0);
    const topic = added < 0 ? registry.topicsMax : added;
    if (added >= 0) this.#index(topic, hash);
    for (let index = 0; index < length; index++) this.#name[index] = bytes[at + index] as number;
    this.#decide(topic, this.#name.toString("utf8", 0, length), hash);
    return topic;
  }

  #index(topic: number, hash: number): void {
    this.#hashes[topic] = hash;
    let slot = hash & this.#mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = topic + 1;
  }

  #decide(topic: number, name: string, hash: number): void {
    const { decisions } = this;
    const { lanes } = this.#routes;
    const first = topic * DECISIONS;
    this.#routes.decide(name, decisions, first);
    for (let at = first; at <= first + DECISION_LOWERED; at++) {
      const decision = decisions[at] as number;
      if (decision === NOT_LOWERED) continue;
      const lane = lanes[decisionLane(decision)];
      if (lane === undefined) throw new RangeError(`Decision ${decision} names no lane`);
      const shard = lane.firstShard + ((hash >>> 0) % lane.shardCount);
      decisions[at] = (shard << SHARD_SHIFT) | decision;
    }
  }
}
