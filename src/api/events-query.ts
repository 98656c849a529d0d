/**
 * Reads events for one HTTP request: from several shards at once, in the order of their reception, with
 * a bound on the time and the bytes one request may cost.
 *
 * A request that runs into a bound is answered with what it has (perhaps nothing) and a cursor. Main
 * thread: it reads in one go, so the bounds are also how long nobody else is served.
 */
import { SCAN_END, SCAN_FOUND, ShardCursor } from "../deliver/cursor.ts";
import { BadRequest, type Positions, readPositions, shardKey } from "../deliver/request.ts";
import type { EventView } from "../deliver/subscription.ts";
import type { ShardTails } from "../deliver/tail.ts";
import { frameLength } from "../event/ext.ts";
import type { TopicMatcher } from "../event/topic.ts";
import type { ShardInfo } from "../log/shard-state.ts";

/** How long one request may read. */
export const QUERY_MS_MAX = 100;
/** Bytes of frames in one answer; one larger event is answered alone. */
export const QUERY_BYTES_MAX = 8 * 1024 * 1024;

export interface EventsQuery {
  readonly patterns: TopicMatcher;
  readonly shards: readonly ShardInfo[];
  /** Where to begin, by shard key; a shard without one begins at its oldest event. */
  readonly positions: Positions;
  /** Received before, microseconds since the Unix epoch. */
  readonly toTimeUs?: number | undefined;
  readonly limit: number;
  /** Whether an event that matches the patterns is wanted; it costs against the limits either way. */
  readonly isWanted?: (view: EventView) => boolean;
}

/** One shard's next stretch of events; it stays valid, because the others read through other readers. */
interface Feed {
  readonly info: ShardInfo;
  readonly key: string;
  readonly cursor: ShardCursor;
  readonly endOffset: number;
  /** Place of the next event in the cursor's stretch; `end` when the stretch is used up. */
  at: number;
  offset: number;
  isAtEnd: boolean;
}

/**
 * Hands out events until a limit is reached or there are no more.
 *
 * @param handle Gets a view that is valid during the call.
 * @returns Where to go on, `undefined` at the end.
 */
export function readEvents(
  tails: ShardTails,
  query: EventsQuery,
  handle: (view: EventView) => void,
): Positions | undefined {
  const deadlineMs = performance.now() + QUERY_MS_MAX;
  const feeds = query.shards.map((info) => openFeed(tails, query, info));
  const view: EventView = { bytes: EMPTY, at: 0, end: 0, lane: "", shard: 0, offset: 0, receivedUs: 0 };
  let count = 0;
  let bytes = 0;
  for (let turn = 0;; turn++) {
    // A look at the clock costs as much as an event: now and then is enough.
    if ((turn & 63) === 0 && performance.now() >= deadlineMs) break;
    let isWaiting = false;
    for (const feed of feeds) isWaiting = !advance(feed) || isWaiting;
    // A shard that is still searching might have something older than what the others show.
    if (isWaiting) {
      if (performance.now() >= deadlineMs) break;
      continue;
    }
    const feed = oldest(feeds);
    if (feed === undefined) return undefined;
    show(view, feed);
    const length = view.end - view.at;
    if (count > 0 && bytes + length > QUERY_BYTES_MAX) break;
    if (query.isWanted?.(view) ?? true) {
      if (count === query.limit) break;
      handle(view);
      count++;
      bytes += length;
    }
    feed.at = view.end;
    feed.offset++;
  }
  return Object.fromEntries(feeds.map((feed) => [feed.key, feed.offset]));
}

const EMPTY = new Uint8Array(0);

/** Packs positions into a cursor: opaque to clients, readable to us. */
export function encodeCursor(positions: Positions): string {
  return Buffer.from(JSON.stringify(positions)).toString("base64url");
}

/** @returns What is wrong with the cursor. Its shards must exist. */
export function decodeCursor(cursor: string, shards: readonly ShardInfo[]): Positions | BadRequest {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    return new BadRequest("cursor: it does not come from an earlier answer");
  }
  const positions = readPositions("cursor", json);
  if (positions instanceof BadRequest) return positions;
  const keys = new Set(shards.map((info) => shardKey(info.lane, info.shard)));
  const unknown = Object.keys(positions).find((key) => !keys.has(key));
  return unknown === undefined
    ? positions
    : new BadRequest(`cursor: shard "${unknown}" is not part of this query`);
}

function openFeed(tails: ShardTails, query: EventsQuery, info: ShardInfo): Feed {
  const key = shardKey(info.lane, info.shard);
  const { index } = info;
  const first = tails.firstOffset(index);
  const visible = tails.visibleOffset(index);
  const endOffset = query.toTimeUs === undefined
    ? visible
    : Math.min(visible, tails.offsetAtTime(index, query.toTimeUs));
  const position = Math.max(query.positions[key] ?? first, first);
  const cursor = new ShardCursor(tails, index, query.patterns, position);
  return { info, key, cursor, endOffset, at: 0, offset: position, isAtEnd: position >= endOffset };
}

/** Makes sure that the feed shows its next event, or is at its end. @returns `false` if it needs another turn. */
function advance(feed: Feed): boolean {
  const { cursor } = feed;
  if (feed.isAtEnd || feed.at < cursor.end) return true;
  const result = cursor.scan(Infinity, Infinity);
  if (result === SCAN_FOUND && cursor.baseOffset < feed.endOffset) {
    feed.at = cursor.at;
    feed.offset = cursor.baseOffset;
    return true;
  }
  feed.offset = Math.min(cursor.position, feed.endOffset);
  feed.isAtEnd = result === SCAN_END || feed.offset >= feed.endOffset;
  return feed.isAtEnd;
}

function oldest(feeds: readonly Feed[]): Feed | undefined {
  let found: Feed | undefined;
  for (const feed of feeds) {
    if (feed.isAtEnd || feed.offset >= feed.endOffset) {
      feed.isAtEnd = true;
      continue;
    }
    if (found === undefined || feed.cursor.receivedUs < found.cursor.receivedUs) found = feed;
  }
  return found;
}

function show(view: EventView, feed: Feed): void {
  view.bytes = feed.cursor.bytes;
  view.at = feed.at;
  view.end = feed.at + frameLength(feed.cursor.bytes, feed.at);
  view.lane = feed.info.lane;
  view.shard = feed.info.shard;
  view.offset = feed.offset;
  view.receivedUs = feed.cursor.receivedUs;
}
