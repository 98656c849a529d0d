/** Lanes: the defaults, what the file changes, and who gets which priority. */
import { PRIORITY_NAMES } from "../event/frame.ts";
import { RING_BYTES_MAX } from "../queue/ring.ts";
import type { LaneConfig } from "./config.ts";
import type { Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";
import { DEFAULT_LANES, defaultLaneSchemas, type LaneInput, SHARDS_MAX } from "./schema-lanes.ts";

/** Shards of all lanes together: a thread, a queue and a log each. */
export const SHARDS_TOTAL_MAX = 256;
/** A lane's name is a folder, a metric label and part of a URL. */
const LANE_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** The dead-letter log, and words that mean something else where a lane's name may stand. */
const RESERVED_LANES = ["dlq", "none", "null", "low", "medium", "high", "critical"];

/**
 * All lanes with their defaults filled in.
 *
 * A priority goes to the lane that names it. What no lane names goes to its default lane, unless that
 * lane names others for itself. A default lane that is not in the file and has nothing left is not
 * made: a single lane for all priorities is `lanes: {main: {priorities: [0, 1, 2, 3, 4]}}`.
 */
export function resolveLanes(
  lanes: CheckedFile["lanes"],
  { routerShards, queueBytesMin }: { routerShards: number; queueBytesMin: number },
  report: Report,
): LaneConfig[] {
  const named = Object.entries(lanes).filter((entry): entry is [string, LaneInput] => entry[1] !== undefined);
  for (const [name] of named) {
    if (!LANE_NAME.test(name)) {
      report(["lanes", name], `lane "${name}": a name has 1 to 63 of the characters a-z 0-9 _ -`, "key");
    } else if (RESERVED_LANES.includes(name)) {
      report(["lanes", name], `a lane cannot be named "${name}": the word is reserved`, "key");
    }
  }
  const claims = claimPriorities(named, report);
  const resolved: LaneConfig[] = [];
  for (const [name, defaults] of Object.entries(DEFAULT_LANES)) {
    const input = lanes[name];
    const priorities = input?.priorities === undefined
      ? defaults.priorities.filter((priority) => !claims.has(priority))
      : ascending(input.priorities);
    for (const priority of priorities) claims.set(priority, name);
    if (input === undefined && priorities.length === 0) continue;
    const shards = "shards" in defaults ? routerShards : 1;
    const filled = input ?? defaultLane(name);
    resolved.push(laneConfig(name, filled, { priorities, shards, queueBytesMin }));
  }
  for (const [name, input] of named) {
    if (name in DEFAULT_LANES) continue;
    const priorities = ascending(input.priorities ?? []);
    resolved.push(laneConfig(name, input, { priorities, shards: 1, queueBytesMin }));
  }
  reportGaps(resolved, claims, report);
  return resolved;
}

/** Priorities that lanes name, each with the lane that has it. */
function claimPriorities(named: readonly [string, LaneInput][], report: Report): Map<number, string> {
  const claims = new Map<number, string>();
  for (const [lane, { priorities = [] }] of named) {
    for (const [index, priority] of priorities.entries()) {
      const owner = claims.get(priority);
      if (owner !== undefined) {
        const what = `priority ${PRIORITY_NAMES[priority]}`;
        const message = owner === lane
          ? `lane "${lane}" names ${what} twice`
          : `${what} belongs to lane "${owner}", it cannot go to "${lane}", too`;
        report(["lanes", lane, "priorities", index], message);
      } else claims.set(priority, lane);
    }
  }
  return claims;
}

function reportGaps(lanes: readonly LaneConfig[], claims: ReadonlyMap<number, string>, report: Report): void {
  const missing = PRIORITY_NAMES.filter((_, priority) => !claims.has(priority));
  if (missing.length > 0) report(["lanes"], `no lane takes priority ${missing.join(", ")}`, "key");
  const shards = lanes.reduce((sum, lane) => sum + lane.shards, 0);
  if (shards > SHARDS_TOTAL_MAX) {
    report(["lanes"], `the lanes have ${shards} shards, at most ${SHARDS_TOTAL_MAX} are allowed`, "key");
  }
}

function defaultLane(name: string): LaneInput {
  const schema = name === "realtime"
    ? defaultLaneSchemas.realtime
    : name === "batch"
    ? defaultLaneSchemas.batch
    : defaultLaneSchemas.transactional;
  return schema.parse({});
}

function laneConfig(
  name: string,
  input: LaneInput,
  { priorities, shards, queueBytesMin }: {
    priorities: readonly number[];
    shards: number;
    queueBytesMin: number;
  },
): LaneConfig {
  return {
    name,
    priorities,
    topics: input.topics,
    shards: Math.min(SHARDS_MAX, input.shards ?? shards),
    queueBytes: powerOfTwo(Math.max(input.queue_bytes, queueBytesMin)),
    overflow: input.overflow,
    durability: input.durability,
    syncIntervalMs: input.sync_interval,
    retention: { maxAgeMs: input.retention.max_age, maxBytes: input.retention.max_bytes },
    wait: input.wait,
  };
}

/** The next power of two: rings find their places with a mask. */
export function powerOfTwo(bytes: number): number {
  let rounded = 1;
  while (rounded < bytes && rounded < RING_BYTES_MAX) rounded *= 2;
  return rounded;
}

function ascending(priorities: readonly number[]): number[] {
  return [...new Set(priorities)].sort((a, b) => a - b);
}
