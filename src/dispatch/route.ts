/**
 * Which priority and which shard an event gets: by its topic, its own priority and its key.
 *
 * Pure: the table is built once from options and asked once for each new topic; the dispatcher keeps the
 * answers. The table only raises: effective priority = max(own, table). The lane is the one named for the
 * topic, else the one that serves the effective priority. The shard is the hash of the key, else of the
 * topic, modulo the shards of the lane.
 */
import { EscError } from "../errors.ts";
import { PRIORITY_CRITICAL, PRIORITY_HIGH, PRIORITY_MEDIUM } from "../event/frame.ts";
import { compilePatterns, patternProblem, type TopicMatcher } from "../event/topic.ts";

/** A lane, as far as routing goes. */
export interface RouteLane {
  readonly name: string;
  /** Priorities that go to this lane unless a topic says otherwise. */
  readonly priorities: readonly number[];
  /** Topics and patterns that go to this lane whatever their priority. */
  readonly topics: readonly string[];
  /** Index of its first shard in the engine's list, and how many it has. */
  readonly firstShard: number;
  readonly shardCount: number;
}

/** One line of the topic table. */
export interface RouteTopic {
  /** Topic or pattern (`*` one token, `>` the rest). */
  readonly pattern: string;
  /** Lowest priority its events have: the table only raises. */
  readonly priority?: number;
  /** Name of the lane its events go to. */
  readonly lane?: string;
}

export interface RouteOptions {
  readonly lanes: readonly RouteLane[];
  /** An exact topic wins over patterns; of several patterns that match, the first in this order. */
  readonly topics: readonly RouteTopic[];
}

/** Own priorities of an event: the first entries of a topic's decisions. */
const PRIORITIES = PRIORITY_CRITICAL + 1;
/** Where the decision for an event lies that pressure has lowered from HIGH to MEDIUM. */
export const DECISION_LOWERED = PRIORITIES;
/** Decisions of one topic: one for each own priority, then the lowered one; padded to a power of two. */
export const DECISIONS = 8;
/** In place of the lowered decision: this topic's events stay as they are under pressure. */
export const NOT_LOWERED = -1;

/** Effective priority of a decision. */
export function decisionPriority(decision: number): number {
  return decision & 7;
}

/** Lane of a decision: index into `RouteOptions.lanes`. */
export function decisionLane(decision: number): number {
  return decision >> 3;
}

export class RouteTable {
  readonly lanes: readonly RouteLane[];
  readonly #laneOfPriority: readonly number[];
  readonly #priorities: Rules;
  readonly #lanes: Rules;

  /** @throws {EscError} `CONFIG_INVALID` when a priority has no lane or two, or a name or pattern is wrong. */
  constructor(options: RouteOptions) {
    this.lanes = options.lanes;
    this.#laneOfPriority = lanesOfPriorities(options.lanes);
    const priorities: Rule[] = [];
    const lanes: Rule[] = [];
    for (const { pattern, priority, lane } of options.topics) {
      if (priority !== undefined) priorities.push({ pattern, value: checkedPriority(pattern, priority) });
      if (lane !== undefined) lanes.push({ pattern, value: laneIndex(pattern, lane, options.lanes) });
    }
    options.lanes.forEach((lane, value) => {
      for (const pattern of lane.topics) lanes.push({ pattern, value });
    });
    this.#priorities = new Rules(priorities);
    this.#lanes = new Rules(lanes);
  }

  /**
   * Decides for every own priority a topic's events can have.
   *
   * @param target Receives `DECISIONS` entries from `at` on: see `decisionPriority` and `decisionLane`.
   */
  decide(topic: string, target: Int32Array, at: number): void {
    const raised = this.#priorities.find(topic);
    const lane = this.#lanes.find(topic);
    for (let own = 0; own < PRIORITIES; own++) {
      target[at + own] = this.#decision(Math.max(own, raised), lane);
    }
    // Only where a lower priority means another lane: elsewhere the event would only lose its rank.
    const lowered = this.#decision(PRIORITY_MEDIUM, lane);
    const high = this.#decision(PRIORITY_HIGH, lane);
    target[at + DECISION_LOWERED] = decisionLane(lowered) === decisionLane(high) ? NOT_LOWERED : lowered;
  }

  #decision(priority: number, laneOfTopic: number): number {
    const lane = laneOfTopic >= 0 ? laneOfTopic : (this.#laneOfPriority[priority] as number);
    return (lane << 3) | priority;
  }
}

interface Rule {
  readonly pattern: string;
  readonly value: number;
}

/** What the first line that matches a topic says; an exact topic goes before patterns. */
class Rules {
  readonly #exact = new Map<string, number>();
  readonly #matcher: TopicMatcher;
  readonly #values: readonly number[];

  constructor(rules: readonly Rule[]) {
    for (const { pattern } of rules) {
      const problem = patternProblem(pattern);
      if (problem !== undefined) throw new EscError("CONFIG_INVALID", problem);
    }
    for (const { pattern, value } of rules.filter((rule) => !isPattern(rule.pattern)).reverse()) {
      this.#exact.set(pattern, value);
    }
    const patterns = rules.filter((rule) => isPattern(rule.pattern));
    this.#matcher = compilePatterns(patterns.map((rule) => rule.pattern));
    this.#values = patterns.map((rule) => rule.value);
  }

  /** -1: no line matches. */
  find(topic: string): number {
    return this.#exact.get(topic) ?? this.#values[this.#matcher.firstMatchOf(topic)] ?? -1;
  }
}

/** Whether a pattern has wildcards; without, it is the one topic it names. */
function isPattern(pattern: string): boolean {
  return pattern.split(/[./]/).some((token) => token === "*" || token === ">");
}

function checkedPriority(pattern: string, priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_CRITICAL) return priority;
  throw new EscError("CONFIG_INVALID", `Topic "${pattern}" has priority ${priority}: it must be 0 to 4`);
}

function laneIndex(pattern: string, lane: string, lanes: readonly RouteLane[]): number {
  const index = lanes.findIndex((candidate) => candidate.name === lane);
  if (index >= 0) return index;
  throw new EscError("CONFIG_INVALID", `Topic "${pattern}" names lane "${lane}", which does not exist`);
}

function lanesOfPriorities(lanes: readonly RouteLane[]): readonly number[] {
  return Array.from({ length: PRIORITIES }, (_, priority) => {
    const found = lanes.flatMap((lane, index) => (lane.priorities.includes(priority) ? [index] : []));
    const [lane] = found;
    if (lane === undefined || found.length > 1) {
      throw new EscError(
        "CONFIG_INVALID",
        `Priority ${priority} is served by ${found.length} lanes: it needs one`,
      );
    }
    return lane;
  });
}
