/**
 * Walks the frames of a run and says for how many in a row the same shard is the answer.
 *
 *     sorter.openRun(bytes, view, from, end, receivedUs);
 *     while (sorter.next()) use(sorter.shard, sorter.count, sorter.at);
 *
 * The hot loop of the dispatcher: per event a few loads, and for a topic that is not that of the event
 * before, one hash. Raised and lowered priorities are written into the frame here.
 */
import { crc32 } from "../event/crc.ts";
import { findTag } from "../event/ext.ts";
import {
  FRAME_PREFIX_BYTES,
  HEAD_CRC,
  HEAD_EXT,
  HEAD_PRIORITY,
  PRIORITY_HIGH,
  TAG_KEY,
} from "../event/frame.ts";
import { count } from "../metrics/counters.ts";
import { DISPATCH_DOWNGRADED, DISPATCH_UPGRADED } from "../metrics/layout.ts";
import { hashBytes } from "./hash.ts";
import { PRESSURE_NORMAL } from "./pressure.ts";
import { DECISION_LOWERED, DECISIONS, NOT_LOWERED, type RouteTable } from "./route.ts";
import { laneOf, priorityOf, shardOf, TopicCache } from "./topic-cache.ts";
import type { TopicRegistry } from "./topic-registry.ts";

const TOPIC_AT = FRAME_PREFIX_BYTES + 3;
const NO_TOPIC = -1;

/** What the sorter looks at and writes for a shard. */
export interface SortedShard {
  /** `PRESSURE_…` of its queue. */
  readonly pressure: number;
  /** DISPATCH_COUNTERS. */
  readonly counters: Float64Array;
}

export class Sorter {
  /** Where the events found so far go: index of the shard. */
  shard = 0;
  /** Events in a row found by the last `next()`. */
  count = 0;
  /** Index behind the last of them. */
  at = 0;
  readonly #registry: TopicRegistry;
  readonly #cache: TopicCache;
  readonly #shards: readonly SortedShard[];
  #routes: RouteTable;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #end = 0;
  #groupAt = 0;
  #receivedUs = 0;
  // The topic of the event before: its number, and where its bytes lie in this run.
  #topic = NO_TOPIC;
  #topicAt = 0;
  #topicLength = 0;

  constructor(registry: TopicRegistry, routes: RouteTable, shards: readonly SortedShard[]) {
    this.#registry = registry;
    this.#routes = routes;
    this.#cache = new TopicCache(registry, routes);
    this.#shards = shards;
  }

  setRoutes(routes: RouteTable): void {
    this.#routes = routes;
    this.#cache.setRoutes(routes);
  }

  /** @param view The memory of `bytes`, index for index. @param from First frame. @param end Behind the last. */
  openRun(bytes: Uint8Array, view: DataView, from: number, end: number, receivedUs: number): void {
    this.#bytes = bytes;
    this.#view = view;
    this.at = from;
    this.#end = end;
    this.#receivedUs = receivedUs;
    this.#topic = NO_TOPIC;
    this.#topicLength = 0;
  }

  /** Finds the next events that go to one shard. @returns `false` at the end of the run. */
  next(): boolean {
    const bytes = this.#bytes;
    const view = this.#view;
    const end = this.#end;
    const decisions = this.#cache.decisions;
    let at = this.at;
    this.#groupAt = at;
    let events = 0;
    let eventsOfTopic = 0;
    let groupShard = -1;
    let groupDecision = 0;
    while (at + TOPIC_AT < end) {
      const next = at + FRAME_PREFIX_BYTES + view.getInt32(at);
      if (next > end || next <= at) break;
      const head = bytes[at + FRAME_PREFIX_BYTES] as number;
      const topicLength = view.getUint16(at + FRAME_PREFIX_BYTES + 1);
      if (
        topicLength !== this.#topicLength || !isSame(bytes, view, at + TOPIC_AT, this.#topicAt, topicLength)
      ) {
        if (eventsOfTopic > 0) this.#countTopic(eventsOfTopic, groupDecision);
        eventsOfTopic = 0;
        this.#topic = this.#cache.find(bytes, at + TOPIC_AT, topicLength);
        this.#topicAt = at + TOPIC_AT;
        this.#topicLength = topicLength;
      }
      const own = head & HEAD_PRIORITY;
      let decision = decisions[this.#topic * DECISIONS + own] as number;
      let shard = shardOf(decision);
      if ((head & HEAD_EXT) !== 0) shard = this.#shardByKey(at, decision);
      if (priorityOf(decision) === PRIORITY_HIGH && this.#isPressed(shard)) {
        const lowered = decisions[this.#topic * DECISIONS + DECISION_LOWERED] as number;
        if (lowered !== NOT_LOWERED) {
          decision = lowered;
          shard = (head & HEAD_EXT) === 0 ? shardOf(decision) : this.#shardByKey(at, decision);
        }
      }
      if (shard !== groupShard) {
        if (groupShard >= 0) break;
        groupShard = shard;
      }
      if (priorityOf(decision) !== own) this.#setPriority(at, next, head, priorityOf(decision), shard);
      groupDecision = decision;
      events++;
      eventsOfTopic++;
      at = next;
    }
    if (eventsOfTopic > 0) this.#countTopic(eventsOfTopic, groupDecision);
    this.shard = groupShard;
    this.count = events;
    this.at = at;
    return events > 0;
  }

  /** The events of the last `next()` were not placed: takes them out of the topics' counts again. */
  undo(): void {
    const bytes = this.#bytes;
    const { events } = this.#registry;
    for (let at = this.#groupAt; at < this.at; at += FRAME_PREFIX_BYTES + this.#view.getInt32(at)) {
      const length = this.#view.getUint16(at + FRAME_PREFIX_BYTES + 1);
      const topic = this.#cache.find(bytes, at + TOPIC_AT, length);
      if (topic < this.#registry.topicsMax) events[topic] = (events[topic] as number) - 1;
    }
    this.at = this.#groupAt;
  }

  #countTopic(events: number, decision: number): void {
    const registry = this.#registry;
    const topic = this.#topic;
    if (topic >= registry.topicsMax) return;
    registry.events[topic] = (registry.events[topic] as number) + events;
    registry.receivedUs[topic] = this.#receivedUs;
    registry.lanes[topic] = laneOf(decision);
  }

  #isPressed(shard: number): boolean {
    return (this.#shards[shard] as SortedShard).pressure !== PRESSURE_NORMAL;
  }

  /** Shard of a frame with an extension area: by its key, if it has one. */
  #shardByKey(at: number, decision: number): number {
    const lane = this.#routes.lanes[laneOf(decision)];
    if (lane === undefined || lane.shardCount === 1) return shardOf(decision);
    const key = findTag(this.#bytes, at, TAG_KEY);
    if (key === undefined) return shardOf(decision);
    return lane.firstShard + (hashBytes(this.#bytes, key.start, key.length) % lane.shardCount);
  }

  #setPriority(at: number, next: number, head: number, priority: number, shard: number): void {
    const bytes = this.#bytes;
    bytes[at + FRAME_PREFIX_BYTES] = (head & ~HEAD_PRIORITY) | priority;
    if ((head & HEAD_CRC) !== 0) {
      this.#view.setUint32(next - 4, crc32(bytes, this.#view, at + FRAME_PREFIX_BYTES, next - 4));
    }
    const isRaised = priority > (head & HEAD_PRIORITY);
    count(
      (this.#shards[shard] as SortedShard).counters,
      isRaised ? DISPATCH_UPGRADED : DISPATCH_DOWNGRADED,
      1,
    );
  }
}

/** Whether the topic at `at` is the one at `other`; both in the same memory. */
function isSame(bytes: Uint8Array, view: DataView, at: number, other: number, length: number): boolean {
  let index = 0;
  for (; index + 4 <= length; index += 4) {
    if (view.getInt32(at + index) !== view.getInt32(other + index)) return false;
  }
  for (; index < length; index++) {
    if (bytes[at + index] !== bytes[other + index]) return false;
  }
  return true;
}
