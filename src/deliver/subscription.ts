/**
 * One subscriber's view of all shards it asked for: turns log into EVENTS frames, or events one by one.
 *
 * A subscription holds positions and nothing else: events stay in the log until the subscriber has
 * room for them, so a stalled one costs neither memory nor anybody's time.
 *
 *     confirmed ≤ sent ≤ position ≤ visible offset          for every shard
 *
 * One thread owns it: the one that serves the subscriber's socket.
 */
import { compilePatterns, patternProblem, type TopicMatcher } from "../event/topic.ts";
import { count } from "../metrics/counters.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { SOURCE_DELIVERED } from "../metrics/layout.ts";
import { readU32, SCAN_END, SCAN_FOUND, SCAN_TOO_LARGE } from "./cursor.ts";
import { BLOCK_HEADER_BYTES, EVENTS_BYTES_MAX, writeBlockHeader, writeU32 } from "./events-frame.ts";
import { openFeeds, type ShardFeed } from "./feed.ts";
import { BadRequest, type Positions, shardKey, type SubscriptionRequest } from "./request.ts";
import type { ShardTails } from "./tail.ts";

/** Where deliveries are counted. */
export interface DeliveryMeters {
  /** Counter block of the serving thread. */
  readonly counters: Float64Array;
  /** Latency from reception to delivery, one a shard, in the order of the shards. */
  readonly latencies: readonly Histogram[];
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
}

export interface SubscriptionOptions {
  readonly tails: ShardTails;
  readonly meters: DeliveryMeters;
  /** Stored position of the durable consumer; wins over the request's `from`. */
  readonly stored?: Positions | undefined;
}

/** One event as `next()` shows it; reused: read it before the handler returns. */
export interface EventView {
  /** Memory with the whole frame; trusted bytes. */
  bytes: Uint8Array;
  /** First byte of the frame (its length prefix), and the byte after its last. */
  at: number;
  end: number;
  lane: string;
  shard: number;
  offset: number;
  receivedUs: number;
}

/** How much one call of `next()` may hand out. */
export interface NextLimits {
  readonly countMax: number;
  /** Bytes of frames; one larger event is handed out alone. */
  readonly bytesMax: number;
}

/** Most events of one shard that `next()` hands out before it is another shard's turn. */
const NEXT_TURN_COUNT = 256;

/**
 * Opens a subscription.
 *
 * @returns What is wrong with the request, when its patterns, lanes or shards make no sense.
 */
export function openSubscription(
  request: SubscriptionRequest,
  options: SubscriptionOptions,
): Subscription | BadRequest {
  for (const pattern of request.topics) {
    const problem = patternProblem(pattern);
    if (problem !== undefined) return new BadRequest(problem);
  }
  const { shards } = options.tails;
  for (const lane of request.lanes ?? []) {
    if (!shards.some((info) => info.lane === lane)) return new BadRequest(`Lane "${lane}" does not exist`);
  }
  if (typeof request.from === "object" && "offsets" in request.from) {
    for (const key of Object.keys(request.from.offsets)) {
      const isKnown = shards.some((info) => shardKey(info.lane, info.shard) === key);
      if (!isKnown) return new BadRequest(`Shard "${key}" does not exist`);
    }
  }
  return new Subscription(request, compilePatterns(request.topics), options);
}

export class Subscription {
  readonly id: string;
  /** Name of the durable consumer, if it is one. */
  readonly consumer: string | undefined;
  /**
   * Whether the last `fill()` or `next()` stopped before everything readable was looked at. While this
   * is true call again, after giving others their turn; else wait for the doorbell or a `confirm()`.
   */
  hasMore = false;
  readonly #feeds: readonly ShardFeed[];
  readonly #tails: ShardTails;
  readonly #meters: DeliveryMeters;
  readonly #maxInFlight: number;
  readonly #isTracking: boolean;
  #inFlightCount = 0;
  /** Feed whose turn it is. */
  #turn = 0;
  readonly #view: EventView = {
    bytes: new Uint8Array(0),
    at: 0,
    end: 0,
    lane: "",
    shard: 0,
    offset: 0,
    receivedUs: 0,
  };

  /** Use `openSubscription()`: it checks what this takes for granted. */
  constructor(request: SubscriptionRequest, patterns: TopicMatcher, options: SubscriptionOptions) {
    this.id = request.id;
    this.consumer = request.consumer;
    this.#meters = options.meters;
    this.#maxInFlight = request.maxInFlight ?? Infinity;
    this.#isTracking = request.maxInFlight !== undefined;
    const { tails, meters, stored } = options;
    this.#tails = tails;
    this.#feeds = openFeeds(request, { tails, patterns, latencies: meters.latencies, stored });
  }

  /** Events sent and not confirmed; always 0 without `max_in_flight`. */
  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  /** Offset of the next event, for every shard read: a place to resume from. */
  positions(): Record<string, number> {
    const positions: Record<string, number> = {};
    for (const feed of this.#feeds) positions[feed.key] = feed.cursor.position;
    return positions;
  }

  /** Events of its shards that it has not read yet; some may not match. */
  lag(): number {
    let lag = 0;
    for (const { index, cursor } of this.#feeds) {
      lag += Math.max(0, this.#tails.visibleOffset(index) - cursor.position);
    }
    return lag;
  }

  /**
   * Notes that the subscriber has processed every event below the given offsets.
   *
   * @returns Positions to store for a durable consumer: never past what was read for it, and past events
   *   that did not match wherever nothing before them is unconfirmed.
   */
  confirm(offsets: Positions): Positions | BadRequest {
    for (const key of Object.keys(offsets)) {
      const isKnown = this.#feeds.some((feed) => feed.key === key);
      if (!isKnown) return new BadRequest(`Shard "${key}" is not part of subscription "${this.id}"`);
    }
    const done: Record<string, number> = {};
    for (const feed of this.#feeds) {
      const { cursor, inFlight } = feed;
      const offset = offsets[feed.key];
      if (offset !== undefined) {
        feed.confirmedOffset = Math.max(feed.confirmedOffset, Math.min(offset, cursor.position));
        this.#inFlightCount -= inFlight.count;
        inFlight.confirm(feed.confirmedOffset);
        this.#inFlightCount += inFlight.count;
      }
      if (feed.confirmedOffset >= feed.sentOffset) done[feed.key] = cursor.position;
      else if (offset !== undefined) done[feed.key] = feed.confirmedOffset;
    }
    return done;
  }

  /**
   * Writes complete EVENTS frames into `target`, shard by shard in turns.
   *
   * What was written counts as sent: the caller hands all of it to the socket, in order. Reads at most
   * a bounded stretch of log, so a filter that matches nothing cannot keep the thread.
   *
   * @param at Where to write.
   * @param bytesMax Room from there. With less than `eventsTargetBytesMin()` a large event may have to
   *   wait for a call with more.
   * @returns Bytes written, 0 for nothing now (see `hasMore`).
   */
  fill(target: Uint8Array, at: number, bytesMax: number): number {
    const feeds = this.#feeds;
    for (const feed of feeds) feed.isAtEnd = false;
    const end = at + bytesMax;
    let to = at;
    // Ends when every feed in a row had nothing, or no room.
    for (let quiet = 0; quiet < feeds.length;) {
      const feed = feeds[this.#turn] as ShardFeed;
      const written = this.#fillFrame(feed, target, to, end);
      to += written;
      quiet = written === 0 ? quiet + 1 : 0;
      this.#turn = (this.#turn + 1) % feeds.length;
    }
    this.#noteHasMore();
    return to - at;
  }

  /**
   * Hands out events one by one, for those who do not speak EVENTS frames.
   *
   * @param handle Called for each event; must not throw and must not keep the view or its bytes.
   * @returns Events handed out, 0 for nothing now (see `hasMore`).
   */
  next(handle: (event: EventView) => void, limits: NextLimits): number {
    const feeds = this.#feeds;
    for (const feed of feeds) feed.isAtEnd = false;
    let count = 0;
    let bytesLeft = limits.bytesMax;
    for (let quiet = 0; quiet < feeds.length && count < limits.countMax && bytesLeft > 0;) {
      const feed = feeds[this.#turn] as ShardFeed;
      const { cursor } = feed;
      const countMax = Math.min(limits.countMax - count, NEXT_TURN_COUNT);
      let result = this.#scan(feed, bytesLeft, countMax);
      if (result === SCAN_TOO_LARGE && count === 0) result = this.#scan(feed, Infinity, 1);
      if (result === SCAN_FOUND) {
        count += cursor.count;
        bytesLeft -= cursor.end - cursor.at;
        this.#handOut(feed, handle);
        quiet = 0;
      } else {
        quiet++;
      }
      this.#turn = (this.#turn + 1) % feeds.length;
    }
    this.#noteHasMore();
    return count;
  }

  /** Writes one EVENTS frame of one shard. @returns Its bytes, 0 when there was nothing or no room. */
  #fillFrame(feed: ShardFeed, target: Uint8Array, at: number, end: number): number {
    const { cursor, header } = feed;
    const frameEnd = Math.min(end, at + EVENTS_BYTES_MAX);
    const bodyAt = at + header.length;
    let to = bodyAt;
    for (;;) {
      let result = this.#scan(feed, frameEnd - to - BLOCK_HEADER_BYTES, Infinity);
      if (result === SCAN_TOO_LARGE && to === bodyAt && frameEnd < end) {
        result = this.#scan(feed, end - to - BLOCK_HEADER_BYTES, 1);
      }
      if (result !== SCAN_FOUND) break;
      const frameBytes = cursor.end - cursor.at;
      writeBlockHeader(target, to, cursor.baseOffset, cursor.count, cursor.receivedUs, frameBytes);
      to += BLOCK_HEADER_BYTES;
      copy(cursor.bytes, cursor.at, cursor.end, target, to);
      to += frameBytes;
      if (to >= frameEnd) break;
    }
    if (to === bodyAt) return 0;
    target.set(header, at);
    writeU32(target, at, to - at - 4);
    return to - at;
  }

  /** One scan within the subscription's limits; notes what was found as sent. */
  #scan(feed: ShardFeed, bytesMax: number, countMax: number): number {
    const { cursor } = feed;
    const allowed = Math.min(countMax, this.#maxInFlight - this.#inFlightCount);
    if (allowed <= 0 || bytesMax <= 0) return SCAN_TOO_LARGE;
    const result = cursor.scan(bytesMax, allowed);
    if (result !== SCAN_FOUND) {
      feed.isAtEnd = result === SCAN_END;
      feed.isLive = feed.isAtEnd;
      return result;
    }
    feed.sentOffset = cursor.baseOffset + cursor.count;
    if (this.#isTracking) {
      feed.inFlight.sent(cursor.baseOffset, cursor.count);
      this.#inFlightCount += cursor.count;
    }
    count(this.#meters.counters, SOURCE_DELIVERED, cursor.count);
    // The past that a subscriber catches up with says nothing about how fast delivery is.
    if (feed.isLive) feed.latency.record(this.#meters.nowUs() - cursor.receivedUs, cursor.count);
    return result;
  }

  #handOut(feed: ShardFeed, handle: (event: EventView) => void): void {
    const { cursor } = feed;
    const view = this.#view;
    view.bytes = cursor.bytes;
    view.lane = feed.lane;
    view.shard = feed.shard;
    view.receivedUs = cursor.receivedUs;
    view.offset = cursor.baseOffset;
    for (let at = cursor.at; at < cursor.end; at = view.end) {
      view.at = at;
      view.end = at + 4 + readU32(cursor.bytes, at);
      handle(view);
      view.offset++;
    }
  }

  #noteHasMore(): void {
    this.hasMore = false;
    if (this.#inFlightCount >= this.#maxInFlight) return;
    for (const feed of this.#feeds) {
      if (!feed.isAtEnd && feed.cursor.isBehind()) this.hasMore = true;
    }
  }
}

/** Up to here a loop is faster than the call and the view that `set` needs. */
const LOOP_COPY_BYTES = 64;

function copy(bytes: Uint8Array, at: number, end: number, target: Uint8Array, to: number): void {
  if (end - at > LOOP_COPY_BYTES) {
    target.set(bytes.subarray(at, end), to);
    return;
  }
  for (let i = at; i < end; i++) target[to + i - at] = bytes[i] as number;
}
