/** Keys that decide where an event goes: `router`, `topics`, `topics_file`, `lanes`. */
import * as z from "zod";
import { PRIORITY_NAMES } from "../event/frame.ts";
import { RING_BYTES_MAX, RING_BYTES_MIN } from "../queue/ring.ts";
import {
  choice,
  count,
  decimal,
  duration,
  optionalCount,
  optionalDuration,
  optionalSize,
  optionalText,
  priority,
  requiredText,
  size,
  text,
} from "./leaves.ts";
import { byShape, list, mapProblem, section } from "./shapes.ts";

export const SHARDS_MAX = 64;

export const routerSection = section("How the dispatcher chooses", {
  shards: count(
    "Shards of the lane transactional, unless lanes.transactional.shards is set",
    1,
    1,
    SHARDS_MAX,
  ),
  strategy: text(
    { description: "Always by priority to a lane, by hash of key or topic to a shard", "x-effect": "none" },
    "hash_modulo",
  ),
  buffer_size: count(
    { description: "The original's queue capacity in events; see lanes.*.queue_bytes", "x-effect": "none" },
    16384,
    1,
    2 ** 30,
  ),
  pressure_high: decimal("Share of a lane queue from which HIGH events travel as MEDIUM", 0.732, 0, 1),
  pressure_critical: decimal("Share of a lane queue from which pressure is critical", 0.854, 0, 1),
});

export const topicsSection = z.record(
  z.string(),
  byShape("A priority, the name of a lane, or both", {
    text: requiredText("A priority (name or 0 to 4), or the name of a lane"),
    map: section("What matching events get", {
      priority: priority("Raises lower priorities to this one").optional(),
      lane: optionalText("Lane they go to whatever their priority"),
    }),
  }),
  { error: mapProblem },
).meta({
  description:
    "Topic pattern -> priority, lane, or {priority, lane}; priorities are only raised, never lowered",
  examples: [{ "sensor/*": "HIGH", "audit.>": { lane: "transactional" } }],
});

export const topicsFileKey = optionalText(
  "File with lines topic:PRIORITY, relative to this file; topics above take precedence",
);

/** What sets one lane apart from another by default. */
export interface LaneDefaults {
  readonly priorities: readonly number[];
  readonly overflow: "block" | "drop_old" | "drop_new";
  readonly durability: "fsync" | "interval" | "none";
  /** Where the number of shards comes from when the lane does not set it; one otherwise. */
  readonly shards?: "router.shards";
}

/** The lanes that exist without being named in the file. */
export const DEFAULT_LANES = {
  realtime: { priorities: [3, 4], overflow: "drop_old", durability: "interval" },
  transactional: { priorities: [1, 2], overflow: "block", durability: "fsync", shards: "router.shards" },
  batch: { priorities: [0], overflow: "drop_new", durability: "interval" },
} as const satisfies Readonly<Record<string, LaneDefaults>>;

const SHARDS = "Shards, a thread and a log each; order holds within a shard";
const OTHER_LANE: LaneDefaults = { priorities: [], overflow: "block", durability: "fsync" };

function laneSection(description: string, defaults: LaneDefaults) {
  return section(description, {
    priorities: list({
      description: "Priorities that come here, by name or number",
      default: defaults.priorities.map((number) => PRIORITY_NAMES[number]),
    }, priority("A priority")).optional(),
    topics: list("Topic patterns that come here whatever their priority", requiredText("A pattern")).prefault(
      [],
    ),
    shards: optionalCount(
      defaults.shards === "router.shards"
        ? `${SHARDS}; default: router.shards`
        : { description: SHARDS, default: 1 },
      1,
      SHARDS_MAX,
    ),
    queue_bytes: size(
      "Queue of each shard, rounded up to a power of two; holds four frames at least",
      "4MiB",
      RING_BYTES_MIN,
      RING_BYTES_MAX,
    ),
    overflow: choice(
      "When full: block holds the producer; drop_old and drop_new move events to the DLQ",
      ["block", "drop_old", "drop_new"],
      defaults.overflow,
    ),
    durability: choice(
      "fsync: before an event counts as durable; interval: every sync_interval; none: never",
      ["fsync", "interval", "none"],
      defaults.durability,
    ),
    sync_interval: duration("Time between fsyncs with durability interval", "100ms", { min: 1, max: 60_000 }),
    retention: section("What the log keeps", {
      max_age: optionalDuration("Events older than this are deleted, by whole segments", "7d", { min: 1000 }),
      max_bytes: optionalSize("Size of each shard's log; the oldest segments go first", "10GiB", 65_536),
    }).prefault({}),
    wait: choice(
      "Idle worker: block sleeps, yield sleeps after a short spin, spin burns a core",
      ["block", "yield", "spin"],
      "block",
    ),
  });
}

/** Schema of each default lane: its own defaults show in the JSON Schema. */
export const defaultLaneSchemas = {
  realtime: laneSection("Priorities HIGH and CRITICAL", DEFAULT_LANES.realtime),
  transactional: laneSection("Priorities LOW and MEDIUM", DEFAULT_LANES.transactional),
  batch: laneSection("Priority BATCH", DEFAULT_LANES.batch),
};

/** A lane as the schema leaves it. */
export type LaneInput = z.output<typeof defaultLaneSchemas.realtime>;

export const lanesSection = z.object({
  realtime: defaultLaneSchemas.realtime.optional(),
  transactional: defaultLaneSchemas.transactional.optional(),
  batch: defaultLaneSchemas.batch.optional(),
}, { error: mapProblem }).catchall(laneSection("A lane of your own", OTHER_LANE)).meta({
  description: "Lanes: name -> queue, threads, log and policies",
});
