/**
 * Looks for a message id through the logs, newest events first, a bounded time a request.
 *
 * A log can be read forwards only, so it is taken in stretches, the newest first, each read forwards:
 *
 *     first ≤ … ≤ low ≤ at ≤ end ≤ visible        [at, end) of the stretch that begins at low is left to be read
 *
 * The shards take turns, a stretch each. Where the search stands is a cursor that the client hands back. Main thread.
 */
import type { ShardTails } from "../deliver/tail.ts";
import { findTag } from "../event/ext.ts";
import { TAG_ID } from "../event/frame.ts";
import { EventCursor } from "../log/batch.ts";
import { BATCH_HAS_IDS } from "../log/format.ts";
import type { ShardInfo } from "../log/shard-state.ts";

/** How long one request may read: nobody else is served meanwhile. */
export const SEARCH_MS_MAX = 100;
/** Events of a stretch. */
const STRETCH_EVENTS = 16_384;
/** Shards that a cursor has room for; beyond, a lane has to be named. */
export const SEARCH_SHARDS_MAX = 128;

/** Where the search stands in a shard. */
export interface Place {
  readonly index: number;
  at: number;
  end: number;
}

/** The places of all shards, and whose turn it is. */
export interface Search {
  readonly places: Place[];
  turn: number;
}

/** Begins at the ends of the logs. */
export function beginSearch(tails: ShardTails, shards: readonly ShardInfo[]): Search {
  return {
    turn: 0,
    places: shards.map(({ index }) => stretchBelow(tails, index, tails.visibleOffset(index))),
  };
}

/**
 * Reads on.
 *
 * @param fromUs Events received before are not looked for, as far as the index tells them apart.
 * @param found Stands on an event with the id, during the call.
 * @returns Whether everything was read.
 */
export function continueSearch(
  tails: ShardTails,
  search: Search,
  { id, fromUs }: { readonly id: Uint8Array; readonly fromUs: number },
  found: (cursor: EventCursor, shardIndex: number) => void,
): boolean {
  const deadlineMs = performance.now() + SEARCH_MS_MAX;
  const { places } = search;
  const lowest = places.map(({ index }) => {
    const first = tails.firstOffset(index);
    return fromUs <= 0 ? first : Math.max(first, tails.offsetAtTime(index, fromUs));
  });
  const cursor = new EventCursor();
  const isDone = (place: Place, number: number) =>
    place.at >= place.end && lowOf(place) <= (lowest[number] ?? 0);
  while (!places.every(isDone)) {
    const number = search.turn % places.length;
    const place = places[number] as Place;
    if (!isDone(place, number)) {
      place.at = Math.max(place.at, lowest[number] ?? 0);
      if (!readStretch(tails, place, { id, cursor, deadlineMs }, found)) return false;
      if (lowOf(place) > (lowest[number] ?? 0)) {
        Object.assign(place, stretchBelow(tails, place.index, lowOf(place)));
      }
    }
    search.turn = (number + 1) % places.length;
    if (performance.now() >= deadlineMs) return places.every(isDone);
  }
  return true;
}

/** First offset of the stretch in which a place lies. */
function lowOf({ end }: Place): number {
  return Math.floor(Math.max(0, end - 1) / STRETCH_EVENTS) * STRETCH_EVENTS;
}

function stretchBelow(tails: ShardTails, index: number, end: number): Place {
  return { index, at: Math.max(tails.firstOffset(index), lowOf({ index, at: 0, end })), end };
}

/** @returns Whether it was read to its end. */
function readStretch(
  tails: ShardTails,
  place: Place,
  { id, cursor, deadlineMs }: {
    readonly id: Uint8Array;
    readonly cursor: EventCursor;
    readonly deadlineMs: number;
  },
  found: (cursor: EventCursor, shardIndex: number) => void,
): boolean {
  while (place.at < place.end) {
    const batch = tails.batchAt(place.index, place.at);
    if (batch === undefined || batch.baseOffset >= place.end) break;
    if ((batch.flags & BATCH_HAS_IDS) !== 0) {
      cursor.open(batch, place.at);
      while (cursor.next() && cursor.offset < place.end) {
        if (hasThisId(cursor, id)) found(cursor, place.index);
      }
    }
    place.at = batch.baseOffset + batch.count;
    if (place.at < place.end && performance.now() >= deadlineMs) return false;
  }
  place.at = place.end;
  return true;
}

function hasThisId({ bytes, frameAt }: EventCursor, id: Uint8Array): boolean {
  const tag = findTag(bytes, frameAt, TAG_ID);
  if (tag === undefined || tag.length !== id.length) return false;
  for (let i = 0; i < id.length; i++) {
    if (bytes[tag.start + i] !== id[i]) return false;
  }
  return true;
}

/** Packs a search into a cursor: opaque to clients, readable to us. */
export function encodeSearch({ turn, places }: Search): string {
  const text = [turn, ...places.map(({ index, at, end }) => `${index}:${at}:${end}`)].join(",");
  return Buffer.from(text).toString("base64url");
}

/** @returns `undefined` when the cursor does not come from an earlier answer about these shards. */
export function decodeSearch(cursor: string, shards: readonly ShardInfo[]): Search | undefined {
  const [turn = "", ...parts] = Buffer.from(cursor, "base64url").toString().split(",");
  const places = parts.map((part): Place => {
    const [index = NaN, at = NaN, end = NaN] = part.split(":").map(Number);
    return { index, at, end };
  });
  const isOurs = /^\d{1,4}$/.test(turn) && places.length === shards.length &&
    places.every(({ index, at, end }, n) =>
      index === shards[n]?.index && Number.isSafeInteger(at) && Number.isSafeInteger(end) && at >= 0 &&
      at <= end
    );
  return isOurs ? { turn: Number(turn), places } : undefined;
}
