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

interface Rules {
  /** -1: the table says nothing. */
  readonly priority: number;
  readonly lane: number;
}

const NO_RULES: Rules = { priority: -1, lane: -1 };

export class RouteTable {
  readonly lanes: readonly RouteLane[];
  readonly #laneOfPriority: readonly number[];
  readonly #exact = new Map<string, Rules>();
  readonly #matcher: TopicMatcher;
  readonly #patternRules: readonly Rules[];

  /** @throws {EscError} `CONFIG_INVALID` when a priority has no lane or two, or a name or pattern is unknown. */
  constructor(options: RouteOptions) {
    this.lanes = options.lanes;
    this.#laneOfPriority = lanesOfPriorities(options.lanes);
    const laneTopics = options.lanes.flatMap((lane) =>
      lane.topics.map((pattern) => ({ pattern, lane: lane.name }))
    );
    const patterns: string[] = [];
    const rules: Rules[] = [];
    for (const topic of [...options.topics, ...laneTopics] satisfies RouteTopic[]) {
      const problem = patternProblem(topic.pattern);
      if (problem !== undefined) throw new EscError("CONFIG_INVALID", problem);
      const rule = rulesOf(topic, options.lanes);
      if (isPattern(topic.pattern)) {
        patterns.push(topic.pattern);
        rules.push(rule);
      } else {
        this.#exact.set(topic.pattern, merged(this.#exact.get(topic.pattern), rule));
      }
    }
    this.#matcher = compilePatterns(patterns);
    this.#patternRules = rules;
  }

  /**
   * Decides for every own priority a topic's events can have.
   *
   * @param target Receives `DECISIONS` entries from `at` on: see `decisionPriority` and `decisionLane`.
   */
  decide(topic: string, target: Int32Array, at: number): void {
    const rules = this.#rulesOf(topic);
    for (let own = 0; own < PRIORITIES; own++) {
      const priority = Math.max(own, rules.priority);
      target[at + own] = this.#decision(priority, rules.lane);
    }
    // Only where a lower priority means another lane: elsewhere the event would only lose its rank.
    const lowered = this.#decision(PRIORITY_MEDIUM, rules.lane);
    const high = this.#decision(PRIORITY_HIGH, rules.lane);
    target[at + DECISION_LOWERED] = decisionLane(lowered) === decisionLane(high) ? NOT_LOWERED : lowered;
  }

  #decision(priority: number, laneOfTopic: number): number {
    const lane = laneOfTopic >= 0 ? laneOfTopic : (this.#laneOfPriority[priority] as number);
    return (lane << 3) | priority;
  }

  /** Priority and lane may come from different lines: the first that names each. */
  #rulesOf(topic: string): Rules {
    const exact = this.#exact.get(topic) ?? NO_RULES;
    if (exact.priority >= 0 && exact.lane >= 0) return exact;
    const index = this.#matcher.firstMatchOf(topic);
    return index < 0 ? exact : merged(exact, this.#patternRules[index] as Rules);
  }
}

/** Whether a pattern has wildcards; without, it is the one topic it names. */
function isPattern(pattern: string): boolean {
  return pattern.split(/[./]/).some((token) => token === "*" || token === ">");
}

function merged(first: Rules | undefined, second: Rules): Rules {
  if (first === undefined) return second;
  return {
    priority: first.priority >= 0 ? first.priority : second.priority,
    lane: first.lane >= 0 ? first.lane : second.lane,
  };
}

function rulesOf(topic: RouteTopic, lanes: readonly RouteLane[]): Rules {
  const lane = topic.lane === undefined ? -1 : lanes.findIndex((candidate) => candidate.name === topic.lane);
  if (topic.lane !== undefined && lane < 0) {
    throw new EscError(
      "CONFIG_INVALID",
      `Topic "${topic.pattern}" names lane "${topic.lane}", which does not exist`,
    );
  }
  const priority = topic.priority ?? -1;
  if (!Number.isInteger(priority) || priority < -1 || priority > PRIORITY_CRITICAL) {
    throw new EscError(
      "CONFIG_INVALID",
      `Topic "${topic.pattern}" has priority ${priority}: it must be 0 to 4`,
    );
  }
  return { priority, lane };
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
