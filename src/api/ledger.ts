/**
 * The conservation ledger: where every event went that was received since start.
 *
 *     received      = rejected + unrouted + Σ lanes.received
 *     lane.received = stored + duplicates + dropped before it was stored + in flight
 *     stored        = appended to the log
 *
 * `unrouted` and `in_flight` are counted in the rings and hands where the events lie, so the sums can be wrong, and
 * that is what the ledger is for. Counters and rings of several threads cannot be read at one moment. But they can be
 * read in the order in which events move:
 *
 *     received → source rings → parking → lane rings → hands → stored, duplicates, dropped
 *
 * An event that was received when the reading began is met at least once, where it lies or further down, unless it is
 * lost: so `received` less all that is met later never exceeds what was lost, however fast events go by. Likewise
 * what is finished first and received later tells what was counted twice. At rest both are exact. A thread that has to
 * wait for its processor between taking an event and noting it makes a difference for that long; what is lost stays
 * lost. So under load only what all readings of some seconds agree upon is called an imbalance. Main thread; costs
 * the other threads nothing.
 */
import { DROP_REASONS, LISTENERS, REJECT_REASONS } from "../event/frame.ts";
import { RUN_COUNT } from "../event/run.ts";
import { ShardState } from "../log/shard-state.ts";
import { openCounters } from "../metrics/counters.ts";
import {
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  LANE_ACCEPTED,
  LANE_DROPPED,
  LANE_DUPLICATES,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
} from "../metrics/layout.ts";
import { type Meters, type ShardMeters, total } from "../metrics/snapshot.ts";
import { eventsInHand } from "../process/hand-census.ts";
import { sumRing } from "../queue/ring-census.ts";

/** Two readings less apart do not confirm each other. */
const APART_MS_MIN = 50;
/** Under load, readings over this long have to agree: longer than a thread waits for its processor. */
const CONFIRM_MS = 3000;
const DLQ_LANE = "dlq";
/** Reasons for which an event is dropped before it is put into a queue. */
const NEVER_QUEUED = (["queue_full", "shed", "emergency_drop"] as const).map((name) =>
  DROP_REASONS.indexOf(name)
);
const LOG_FAILED = DROP_REASONS.indexOf("log_failed");

export interface LaneLedger {
  readonly lane: string;
  /** Given to it by the dispatcher. */
  received: number;
  /** Written to the log, as the lane worker counts it; and by how much the log has grown. */
  stored: number;
  appended: number;
  duplicates: number;
  /** By reason; events that died after they were stored are not among them. */
  readonly dropped: Record<string, number>;
  /** Counted in its queues and in the hands of its workers. */
  in_flight: number;
}

export interface LedgerReading {
  readonly received: number;
  readonly rejected: number;
  /** Counted in the rings before the lanes: read, and not yet given to a lane. */
  readonly unrouted: number;
  readonly lanes: readonly LaneLedger[];
  /** Whether nothing has moved since the reading before and nothing waits: then every number is exact. */
  readonly is_settled: boolean;
  /** Events lost or counted twice: at rest exact, under load what the readings of some seconds agree upon. */
  readonly imbalance: number;
}

/** What one reading shows for certain. */
interface Difference {
  readonly atMs: number;
  readonly lost: number;
  readonly doubled: number;
}

export class Ledger {
  readonly #meters: Meters;
  readonly #nowMs: () => number;
  #last = "";
  /** The first is as old as it has to be; the last is the newest. */
  readonly #differences: Difference[] = [];
  #imbalance = 0;

  /** @param nowMs A clock that never goes back. */
  constructor(meters: Meters, nowMs: () => number = () => performance.now()) {
    this.#meters = meters;
    this.#nowMs = nowMs;
  }

  read(): LedgerReading {
    const shards = this.#meters.shards.filter(({ info }) => info.lane !== DLQ_LANE);
    const finishedFirst = total(shards.map(finishedBy));
    const { received, rejected } = this.#sources();
    // From here on with the stream.
    const unrouted = this.#unrouted(shards);
    const lanes = queuedByLane(shards);
    const unequal = total(shards.map((shard) => addShard(laneOf(lanes, shard), shard)));
    const inFlight = total(lanes.map((lane) => lane.in_flight));
    const finished = total(shards.map(finishedBy));
    const toStore = received - rejected;
    const difference = {
      atMs: this.#nowMs(),
      // Not a number, when a ring did not keep still: nothing can be said then.
      lost: Math.max(0, toStore - unrouted - inFlight - finished) || 0,
      doubled: Math.max(0, finishedFirst - toStore) + unequal,
    };
    const isEmpty = unrouted === 0 && inFlight === 0;
    const isSettled = this.#confirm(difference, JSON.stringify([received, rejected, lanes]), isEmpty);
    return {
      received,
      rejected,
      unrouted: unrouted || 0,
      lanes: lanes.map((lane) => ({ ...lane, in_flight: lane.in_flight || 0 })),
      is_settled: isSettled,
      imbalance: this.#imbalance,
    };
  }

  /** Received before rejected: what is refused in between makes the difference smaller, never larger. */
  #sources(): { received: number; rejected: number } {
    let received = 0;
    let rejected = 0;
    const blocks = this.#meters.sources.map(({ counters }) => openCounters(counters));
    for (const counters of blocks) received += sum(counters, SOURCE_RECEIVED, LISTENERS.length);
    for (const counters of blocks) rejected += sum(counters, SOURCE_REJECTED, REJECT_REASONS.length);
    return { received, rejected };
  }

  #unrouted(shards: readonly ShardMeters[]): number {
    let count = 0;
    for (const { ring } of this.#meters.sources) count += sumRing(ring, RUN_COUNT) ?? NaN;
    for (const { parking } of shards) count += sumRing(parking, RUN_COUNT) ?? NaN;
    return count;
  }

  /** @returns Whether nothing has moved since the reading before, and nothing waits. */
  #confirm(difference: Difference, reading: string, isEmpty: boolean): boolean {
    const isUnchanged = reading === this.#last;
    const known = this.#differences;
    const lastMs = known.at(-1)?.atMs ?? -Infinity;
    if (difference.atMs - lastMs < APART_MS_MIN) return false;
    known.push(difference);
    while ((known[1]?.atMs ?? Infinity) <= difference.atMs - CONFIRM_MS) known.shift();
    this.#last = reading;
    const isSettled = isUnchanged && isEmpty;
    const isLongEnough = difference.atMs - (known[0]?.atMs ?? Infinity) >= CONFIRM_MS;
    if (isSettled || isLongEnough) {
      const agreeing = isSettled ? known.slice(-2) : known;
      this.#imbalance = Math.min(...agreeing.map(({ lost }) => lost)) +
        Math.min(...agreeing.map(({ doubled }) => doubled));
    } else if (difference.lost + difference.doubled === 0) this.#imbalance = 0;
    return isSettled;
  }
}

/** The lanes in the order of their shards, with what lies in their queues. */
function queuedByLane(shards: readonly ShardMeters[]): LaneLedger[] {
  const lanes: LaneLedger[] = [];
  for (const shard of shards) laneOf(lanes, shard).in_flight += sumRing(shard.queue, RUN_COUNT) ?? NaN;
  return lanes;
}

function laneOf(lanes: LaneLedger[], { info }: ShardMeters): LaneLedger {
  let lane = lanes.find(({ lane }) => lane === info.lane);
  if (lane === undefined) lanes.push(lane = emptyLane(info.lane));
  return lane;
}

/** Adds what the shard has in hand and what it has counted. @returns By how much its log and its counters differ. */
function addShard(lane: LaneLedger, shard: ShardMeters): number {
  lane.in_flight += eventsInHand(shard.hand, shard.intent) ?? NaN;
  const work = openCounters(shard.lane);
  const dispatch = openCounters(shard.dispatch);
  const state = new ShardState(shard.info.state);
  const storedFirst = at(work, LANE_ACCEPTED) - at(work, LANE_DROPPED + LOG_FAILED);
  const appended = state.nextOffset - state.begunOffset;
  const failed = at(work, LANE_DROPPED + LOG_FAILED);
  const stored = at(work, LANE_ACCEPTED) - failed;
  lane.appended += appended;
  lane.stored += stored;
  lane.duplicates += at(work, LANE_DUPLICATES);
  addDropped(lane, LOG_FAILED, failed);
  for (let reason = 0; reason < DROP_REASONS.length; reason++) {
    addDropped(lane, reason, at(dispatch, DISPATCH_DROPPED + reason));
  }
  // A full queue and the control plane refuse before anything is put in; the other policies take out what was.
  const refused = total(NEVER_QUEUED.map((reason) => at(dispatch, DISPATCH_DROPPED + reason)));
  lane.received += at(dispatch, DISPATCH_ENQUEUED) + refused;
  // Counted before and after, so that a batch that is stored meanwhile makes no difference.
  return Math.max(0, storedFirst - appended) + Math.max(0, appended - stored);
}

/** Events of a shard that are dealt with: stored, duplicates, or dropped before. */
function finishedBy(shard: ShardMeters): number {
  const work = openCounters(shard.lane);
  const dropped = sum(openCounters(shard.dispatch), DISPATCH_DROPPED, DROP_REASONS.length);
  return at(work, LANE_ACCEPTED) + at(work, LANE_DUPLICATES) + dropped;
}

function at(counters: Float64Array, index: number): number {
  return counters[index] as number;
}

function sum(counters: Float64Array, from: number, length: number): number {
  let result = 0;
  for (let index = from; index < from + length; index++) result += at(counters, index);
  return result;
}

function addDropped(lane: LaneLedger, reason: number, count: number): void {
  const name = DROP_REASONS[reason];
  if (name !== undefined && count > 0) lane.dropped[name] = (lane.dropped[name] ?? 0) + count;
}

function emptyLane(lane: string): LaneLedger {
  return { lane, received: 0, stored: 0, appended: 0, duplicates: 0, dropped: {}, in_flight: 0 };
}
