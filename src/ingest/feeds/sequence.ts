/**
 * The venues' rules that tell whether a book update follows the one before: pure functions over update ids.
 *
 *     apply    it follows                ignore   it is old or a repeat, silently
 *     gap      something before it is missing: the book is wrong until a new snapshot
 *
 * `join` judges the first update after a snapshot, `next` all others; `lastId` is the snapshot's or the last
 * applied update's id.
 */
import type { MarketMessage } from "../../market/message.ts";

export type SequenceVerdict = "apply" | "ignore" | "gap";

/** The ids of one update; what `MarketMessage` and the join buffer have in common. */
export type UpdateIds = Pick<MarketMessage, "firstId" | "lastId" | "previousId">;

export interface SequenceRule {
  /** A `rest` snapshot is asked for and may be older than the updates; a `stream` one comes in their order. */
  readonly snapshot: "rest" | "stream";
  /** Whether a lost update shows in the ids of the next one. */
  readonly showsGaps: boolean;
  join(update: UpdateIds, snapshotId: number): SequenceVerdict;
  next(update: UpdateIds, last: UpdateIds): SequenceVerdict;
  /** Whether a snapshot is new enough for the first buffered update. Default: `join` decides. */
  covers?(snapshotId: number, firstBuffered: UpdateIds): boolean;
}

/** Binance spot: `U` ≤ local + 1 ≤ `u`, before and after the join. */
function followsRange(update: UpdateIds, lastId: number): SequenceVerdict {
  if (update.lastId <= lastId) return "ignore";
  return update.firstId > lastId + 1 ? "gap" : "apply";
}

const range: SequenceRule = {
  snapshot: "rest",
  showsGaps: true,
  join: followsRange,
  next: (update, last) => followsRange(update, last.lastId),
};

/** Binance futures: `pu` names the update before; at the join the snapshot's id lies within the update. */
const previous: SequenceRule = {
  snapshot: "rest",
  showsGaps: true,
  join(update, snapshotId) {
    if (update.previousId === snapshotId) return "apply";
    if (update.lastId < snapshotId) return "ignore";
    return update.firstId <= snapshotId ? "apply" : "gap";
  },
  next(update, last) {
    if (update.previousId === last.lastId) return "apply";
    return update.lastId <= last.lastId ? "ignore" : "gap";
  },
};

/**
 * OKX: `prevSeqId` names the update before. Ids may fall (reset after maintenance), so "old" cannot be told from
 * "after a reset": only an exact repeat of the last update is ignored. Messages of before the field existed pass.
 */
const chained: SequenceRule = {
  snapshot: "stream",
  showsGaps: true,
  join: (update, snapshotId) => follows(update, snapshotId),
  next(update, last) {
    if (update.lastId === last.lastId && update.previousId === last.previousId) return "ignore";
    return follows(update, last.lastId);
  },
};

function follows(update: UpdateIds, lastId: number): SequenceVerdict {
  return Number.isNaN(update.previousId) || update.previousId === lastId ? "apply" : "gap";
}

/** Bybit: each id is the one before plus 1. */
const contiguous: SequenceRule = {
  snapshot: "stream",
  showsGaps: true,
  join: (update, snapshotId) => followsByOne(update.lastId, snapshotId),
  next: (update, last) => followsByOne(update.lastId, last.lastId),
};

function followsByOne(id: number, lastId: number): SequenceVerdict {
  if (id <= lastId) return "ignore";
  return id === lastId + 1 ? "apply" : "gap";
}

/** Bitstamp: times as ids. Old ones can be told, missing ones cannot. */
const increasing: SequenceRule = {
  snapshot: "rest",
  showsGaps: false,
  join: (update, snapshotId) => (update.lastId <= snapshotId ? "ignore" : "apply"),
  // Two updates of one microsecond both count: only what is older is surely a repeat.
  next: (update, last) => (update.lastId < last.lastId ? "ignore" : "apply"),
  covers: (snapshotId, firstBuffered) => firstBuffered.lastId <= snapshotId,
};

/** Coinbase, Kraken: the venue promises delivery, or a checksum tells. */
const none: SequenceRule = {
  snapshot: "stream",
  showsGaps: false,
  join: () => "apply",
  next: () => "apply",
};

/** The rules by the name a mapping or a venue's table uses. */
export const SEQUENCE_RULES = { none, range, previous, chained, contiguous, increasing } as const;
export type SequenceRuleName = keyof typeof SEQUENCE_RULES;

/** How many ids an update that is a gap leaves out; at least 1, as far as the ids tell. */
export function missingCount(update: UpdateIds, lastId: number): number {
  const first = Number.isNaN(update.firstId) ? update.lastId : update.firstId;
  return Math.max(1, first - lastId - 1) || 1;
}
