/** What a subscription keeps of each shard it reads. */
import type { TopicMatcher } from "../event/topic.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { ShardCursor } from "./cursor.ts";
import { eventsHeader } from "./events-frame.ts";
import { InFlight } from "./in-flight.ts";
import { type From, type Positions, shardKey, type SubscriptionRequest } from "./request.ts";
import type { ShardTails } from "./tail.ts";

/** Lane of the dead-letter log: read only by those who ask for it. */
export const DLQ_LANE = "dlq";

/** confirmedOffset ≤ sentOffset ≤ cursor.position ≤ visible offset */
export interface ShardFeed {
  readonly key: string;
  readonly lane: string;
  readonly shard: number;
  /** Of the shard in `ShardTails`. */
  readonly index: number;
  readonly cursor: ShardCursor;
  readonly inFlight: InFlight;
  /** Offset after the last event sent, and up to where the subscriber has confirmed. */
  sentOffset: number;
  confirmedOffset: number;
  /** Beginning of its EVENTS frames. */
  readonly header: Uint8Array;
  readonly latency: Histogram;
  /** Whether this call of `fill()` or `next()` met the end of the shard. */
  isAtEnd: boolean;
  /** Whether the subscriber had everything before: what comes next is live. */
  isLive: boolean;
}

/** What the feeds of a subscription are made from. */
export interface FeedOptions {
  readonly tails: ShardTails;
  readonly patterns: TopicMatcher;
  /** Delivery latency, one a shard, in the order of the shards. */
  readonly latencies: readonly Histogram[];
  /** Stored position of the durable consumer; wins over the request's `from`. */
  readonly stored: Positions | undefined;
}

/** Feeds of all shards that the request asks for, each at its starting point. */
export function openFeeds(request: SubscriptionRequest, options: FeedOptions): readonly ShardFeed[] {
  const { tails, patterns, latencies, stored } = options;
  const isWanted = (lane: string) => request.lanes ? request.lanes.includes(lane) : lane !== DLQ_LANE;
  return tails.shards.filter((info) => isWanted(info.lane)).map((info) => {
    const key = shardKey(info.lane, info.shard);
    const wanted = stored
      ? stored[key] ?? tails.firstOffset(info.index)
      : startOffset(request.from, key, info.index, tails);
    // A position past the end belongs to a log that is gone: what comes next is new to its reader.
    const position = Math.min(wanted, tails.visibleOffset(info.index));
    return {
      key,
      lane: info.lane,
      shard: info.shard,
      index: info.index,
      cursor: new ShardCursor(tails, info.index, patterns, position),
      inFlight: new InFlight(),
      sentOffset: position,
      confirmedOffset: position,
      header: eventsHeader(request.id, info.lane, info.shard),
      latency: latencies[info.index] as Histogram,
      isAtEnd: false,
      isLive: false,
    };
  });
}

function startOffset(from: From, key: string, shardIndex: number, tails: ShardTails): number {
  if (from === "latest") return tails.visibleOffset(shardIndex);
  if (from === "earliest") return tails.firstOffset(shardIndex);
  if ("timeUs" in from) return tails.offsetAtTime(shardIndex, from.timeUs);
  return from.offsets[key] ?? startOffset(from.others ?? "latest", key, shardIndex, tails);
}
