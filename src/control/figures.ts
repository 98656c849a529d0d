/**
 * What the counters of all shards say about one interval: rates and queues, not totals since start.
 *
 *     sample() several times → close() → Figures → sample() …
 *
 * A queue counts with what stood in it all the time: the least of all samples. One that is deep and moves is work,
 * not trouble, so it counts only while an event that enters it would wait longer than `max_latency_ms`.
 * Pure: clock and counters come in.
 */

/** Limits that figures are measured by: `control.thresholds`. */
export interface FigureLimits {
  /** Events that may wait in a queue. */
  readonly maxQueueDepth: number;
  readonly maxLatencyMs: number;
  /** A load counts as fitting again below this share of what the shard has shown it can do. */
  readonly recoveryFactor: number;
}

/** One shard's counters since start, and its queue now. */
export interface ShardReading {
  /** `lane/shard`. */
  readonly name: string;
  /** Its lane holds producers back when it is full: nothing is lost there. */
  readonly blocks: boolean;
  /** Events that the lane worker has taken out of the queue. */
  readonly taken: number;
  /** Events lost to an overflow policy or a failed log. */
  readonly dropped: number;
  /** Events that the control plane has taken out: BATCH ones, and in an emergency others. */
  readonly shed: number;
  readonly emergency: number;
  /** Waiting now, spilled ones included. */
  readonly depthEvents: number;
  readonly depthBytes: number;
  /** Of the depth: what did not fit into the queue. */
  readonly spilledBytes: number;
  readonly capacityBytes: number;
}

export interface Reading {
  /** A clock that never goes back. */
  readonly nowMs: number;
  readonly shards: readonly ShardReading[];
  /** Datagrams refused because a lane was full, since start. */
  readonly refused: number;
}

/** One interval. */
export interface Figures {
  /** Events that came to the lanes, lost ones included. */
  readonly events: number;
  /** Of them, percent lost. What the control plane itself took out is not among the lost. */
  readonly dropPercent: number;
  /** The worst queue, percent of what may wait in it. */
  readonly queuePercent: number;
  /** Its name; "" where none counts. */
  readonly queue: string;
  /** From reception until stored, 99 % of the events; milliseconds. */
  readonly latencyMs: number;
  /** What was shed would not fit in again: BATCH events, and in an emergency others. */
  readonly isShedNeeded: boolean;
  readonly isEmergencyNeeded: boolean;
}

/** A queue over this counts as full up to here unless it has spilled over. */
const UNSPILLED_PERCENT_MAX = 150;
/** A lane that holds producers back and moves does all it should: it counts below this, which is not critical. */
const MOVING_PERCENT_MAX = 99;
/** A shard that loses this share of its events is at its limit. */
const SATURATED_SHARE = 0.01;
/** After so many intervals in which only the shed load speaks for shedding, it is tried without. */
const PROBE_INTERVALS = 30;

/** The least that stood in a queue since the interval began. */
interface Standing {
  events: number;
  bytes: number;
}

export class FigureWindow {
  #limits: FigureLimits;
  #first: Reading | undefined;
  #standing: Standing[] = [];
  /** Events a second that a shard took when it was at its limit; 0: it never was. */
  readonly #capacity: Map<string, number>;
  readonly #mayForget: boolean;
  #neededCount = 0;

  /** @param learntFrom Another window over the same shards: what one learns of them both know. */
  constructor(limits: FigureLimits, learntFrom?: FigureWindow) {
    this.#limits = limits;
    this.#mayForget = learntFrom === undefined;
    this.#capacity = learntFrom === undefined ? new Map() : learntFrom.#capacity;
  }

  set limits(limits: FigureLimits) {
    this.#limits = limits;
  }

  /** Forgets the interval that has begun, and all that was learnt. */
  reset(): void {
    this.restart();
    this.#capacity.clear();
    this.#neededCount = 0;
  }

  /** Forgets the interval that has begun: the next `sample()` begins another. */
  restart(): void {
    this.#first = undefined;
  }

  /** Looks at the queues once more; the first time, the interval begins. */
  sample(reading: Reading): void {
    if (this.#first === undefined) {
      this.#first = reading;
      this.#standing = reading.shards.map(({ depthEvents: events, depthBytes: bytes }) => ({
        events,
        bytes,
      }));
      return;
    }
    for (const [index, { depthEvents, depthBytes }] of reading.shards.entries()) {
      const standing = this.#standing[index];
      if (standing === undefined) continue;
      standing.events = Math.min(standing.events, depthEvents);
      standing.bytes = Math.min(standing.bytes, depthBytes);
    }
  }

  /**
   * Ends the interval with a last look; the next begins there.
   *
   * @param latencyMs 99 % of the interval's events were stored within.
   * @returns `undefined` where none had begun.
   */
  close(reading: Reading, latencyMs: number): Figures | undefined {
    this.sample(reading);
    const first = this.#first;
    if (first === undefined || reading.nowMs <= first.nowMs) return undefined;
    const seconds = (reading.nowMs - first.nowMs) / 1000;
    let events = reading.refused - first.refused;
    let lost = events;
    let queuePercent = 0;
    let queue = "";
    let isShedNeeded = false;
    let isEmergencyNeeded = false;
    for (const [index, shard] of reading.shards.entries()) {
      const before = first.shards[index];
      const standing = this.#standing[index];
      if (before === undefined || standing === undefined) continue;
      const taken = shard.taken - before.taken;
      const dropped = shard.dropped - before.dropped;
      const shed = shard.shed - before.shed;
      const emergency = shard.emergency - before.emergency;
      const came = taken + dropped + shed + emergency;
      events += came;
      lost += dropped;
      const percent = this.#percentOf(shard, standing, taken / seconds);
      if (percent > queuePercent) {
        queuePercent = percent;
        queue = shard.name;
      }
      const { name } = shard;
      if (dropped > came * SATURATED_SHARE || percent >= 100) this.#capacity.set(name, taken / seconds);
      const capacity = this.#capacity.get(name) ?? 0;
      const isTooMuch = capacity > 0 && came / seconds > capacity * this.#limits.recoveryFactor;
      if (isTooMuch && shed > 0) isShedNeeded = true;
      if (isTooMuch && emergency > 0) isEmergencyNeeded = true;
    }
    this.#first = undefined;
    this.sample(reading);
    this.#probe(isShedNeeded || isEmergencyNeeded);
    return {
      events,
      dropPercent: events > 0 ? (lost / events) * 100 : 0,
      queuePercent,
      queue,
      latencyMs,
      isShedNeeded,
      isEmergencyNeeded,
    };
  }

  #percentOf(shard: ShardReading, standing: Standing, takenPerSecond: number): number {
    const { maxQueueDepth, maxLatencyMs } = this.#limits;
    const { capacityBytes, spilledBytes, blocks } = shard;
    if (standing.bytes === 0) return 0;
    const waitMs = takenPerSecond === 0 ? Infinity : (standing.events / takenPerSecond) * 1000;
    if (waitMs <= maxLatencyMs) return 0;
    let percent = Math.max(standing.events / maxQueueDepth, standing.bytes / capacityBytes) * 100;
    if (spilledBytes === 0) percent = Math.min(percent, UNSPILLED_PERCENT_MAX);
    return blocks && takenPerSecond > 0 ? Math.min(percent, MOVING_PERCENT_MAX) : percent;
  }

  /** What a shard could do when it was at its limit may not be true for ever. */
  #probe(isNeeded: boolean): void {
    this.#neededCount = isNeeded ? this.#neededCount + 1 : 0;
    if (!this.#mayForget || this.#neededCount < PROBE_INTERVALS) return;
    this.#capacity.clear();
    this.#neededCount = 0;
  }
}
