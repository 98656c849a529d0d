/**
 * The dispatcher alone, in one thread: from a source ring to the lanes' rings, frames of 64 bytes in runs of
 * 64 KiB, as a busy connection sends them. Every frame is found again in the lane rings.
 */
import { PRESSURE_RATIOS_DEFAULT } from "../src/dispatch/pressure.ts";
import { Dispatcher } from "../src/dispatch/dispatcher.ts";
import type { DispatchWorkerOptions } from "../src/dispatch/options.ts";
import type { RouteTopic } from "../src/dispatch/route.ts";
import { createTopicRegistry } from "../src/dispatch/topic-registry.ts";
import { encodeFrame } from "../src/event/encode.ts";
import { RUN_BYTES_MAX, RUN_CONNECTION, RUN_COUNT, RUN_HEADER_BYTES, RUN_ORIGIN } from "../src/event/run.ts";
import { createShardState } from "../src/log/shard-state.ts";
import { createCounters } from "../src/metrics/counters.ts";
import { DEAD_LETTER_COUNTERS, DISPATCH_COUNTERS } from "../src/metrics/layout.ts";
import { createCompletions } from "../src/queue/completions.ts";
import { createControl } from "../src/queue/control.ts";
import { createDoorbell } from "../src/queue/doorbell.ts";
import { align8, createRing, RingReader, RingWriter } from "../src/queue/ring.ts";
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";

const FRAME_BYTES = 64;
const RUNS = 3;
const PASSES = 100;

interface Scenario {
  readonly name: string;
  /** Topic of the frame with this number. */
  readonly topic: (index: number) => string;
  readonly priority: (index: number) => number;
  readonly shardCount: number;
  readonly topics: readonly RouteTopic[];
}

// A fixed order without a pattern: numbers from a multiplicative generator.
const scattered = (index: number, bound: number) => Math.imul(index + 1, 0x9e3779b1) % bound >>> 0;
const number = (index: number) => String(index).padStart(5, "0");

const SCENARIOS: readonly Scenario[] = [
  {
    name: "one topic, one shard",
    topic: () => "market.btc-usd",
    priority: () => 2,
    shardCount: 1,
    topics: [],
  },
  {
    name: "one topic, every event raised",
    topic: () => "market.btc-usd",
    priority: () => 1,
    shardCount: 1,
    topics: [{ pattern: "market.*", priority: 4 }],
  },
  {
    name: "1,000 topics at random, one shard",
    topic: (index) => `market.${number(scattered(index, 1000))}`,
    priority: () => 2,
    shardCount: 1,
    topics: [],
  },
  {
    name: "1,000 topics at random, 2 shards",
    topic: (index) => `market.${number(scattered(index, 1000))}`,
    priority: () => 2,
    shardCount: 2,
    topics: [],
  },
  {
    name: "1,000 topics at random, 4 shards",
    topic: (index) => `market.${number(scattered(index, 1000))}`,
    priority: () => 2,
    shardCount: 4,
    topics: [],
  },
  {
    name: "lane changes with every event",
    topic: () => "market.btc-usd",
    priority: (index) => [0, 2, 4][index % 3] ?? 0,
    shardCount: 1,
    topics: [],
  },
];

export const dispatch: Benchmark = {
  summary: "dispatcher: topic to lane and shard, and the copy",
  open: (options) => SCENARIOS.map((scenario) => dispatched(scenario, scaled(PASSES, options))),
};

/** Runs of frames, ready to be put into a ring. */
function makeRuns(scenario: Scenario): { frames: Uint8Array; count: number }[] {
  const count = Math.floor(RUN_BYTES_MAX / FRAME_BYTES);
  return Array.from({ length: RUNS }, (_, run) => {
    const frames = Array.from({ length: count }, (_, index) => {
      const topic = scenario.topic(run * count + index);
      const payload = "x".repeat(FRAME_BYTES - 7 - topic.length);
      return encodeFrame({ topic, priority: scenario.priority(run * count + index), payload });
    });
    return { frames: Buffer.concat(frames), count };
  });
}

function dispatched(scenario: Scenario, passes: number): Case {
  const options = dispatchOptions(scenario);
  const dispatcher = new Dispatcher(options, {
    nowUs: () => 0,
    report: (problem) => {
      throw new Error(problem);
    },
  });
  const [source] = options.sources;
  if (source === undefined) throw new Error("No source");
  const writer = new RingWriter(source.ring);
  const lanes = options.shards.map((shard) => new RingReader(shard.ring));
  const runs = makeRuns(scenario);
  const hand = new Uint8Array(1 << 20);
  const words = new Int32Array(hand.buffer);
  return {
    name: scenario.name,
    round: () => {
      let ns = 0;
      let sent = 0;
      let found = 0;
      for (let pass = 0; pass < passes; pass++) {
        for (const { frames, count } of runs) {
          writeRun(writer, frames, count);
          sent += count;
        }
        const startedNs = threadNs();
        while (dispatcher.turn());
        ns += threadNs() - startedNs;
        for (const lane of lanes) found += countFrames(lane, hand, words);
      }
      if (found !== sent) throw new Error(`${found} frames arrived of ${sent}`);
      return { operations: sent, ns };
    },
  };
}

function writeRun(writer: RingWriter, frames: Uint8Array, count: number): void {
  const at = writer.reserve(RUN_HEADER_BYTES + frames.length);
  if (at < 0) throw new Error("The source ring is full");
  const word = at >> 2;
  writer.words.fill(0, word + 1, word + RUN_HEADER_BYTES / 4);
  writer.words[word + RUN_COUNT] = count;
  writer.words[word + RUN_CONNECTION] = 1;
  writer.words[word + RUN_ORIGIN] = 0;
  writer.bytes.set(frames, at + RUN_HEADER_BYTES);
  writer.publish();
}

/** Takes what has arrived, and counts the frames in it. */
function countFrames(lane: RingReader, hand: Uint8Array, words: Int32Array): number {
  let found = 0;
  for (let end = lane.take(hand, 0, hand.length); end > 0; end = lane.take(hand, 0, hand.length)) {
    for (let at = 0; at < end; at += align8(words[at >> 2] ?? 0)) {
      const bytes = (words[at >> 2] ?? 0) - RUN_HEADER_BYTES;
      if (bytes !== (words[(at >> 2) + RUN_COUNT] ?? 0) * FRAME_BYTES) {
        throw new Error("A run and its frames differ");
      }
      found += bytes / FRAME_BYTES;
    }
  }
  return found;
}

/** A dispatcher with one source and three lanes; the second has `shardCount` shards. */
export function dispatchOptions(
  { shardCount, topics }: Pick<Scenario, "shardCount" | "topics">,
): DispatchWorkerOptions {
  const lanes = [
    { name: "realtime", priorities: [3, 4], topics: [], firstShard: 0, shardCount: 1 },
    { name: "transactional", priorities: [1, 2], topics: [], firstShard: 1, shardCount },
    { name: "batch", priorities: [0], topics: [], firstShard: 1 + shardCount, shardCount: 1 },
  ];
  return {
    control: createControl(),
    doorbell: createDoorbell(),
    wait: "block",
    sources: [{
      ring: createRing(1 << 22),
      completions: createCompletions(1024),
      doorbell: createDoorbell(),
      control: createControl(),
      blocked: new SharedArrayBuffer(64),
    }],
    shards: Array.from({ length: 2 + shardCount }, (_, index) => ({
      info: { index, lane: "lane", shard: index, directory: "", state: createShardState() },
      ring: createRing(1 << 22),
      parking: createRing(1 << 20),
      laneDoorbell: createDoorbell(),
      overflow: "block",
      counters: createCounters(DISPATCH_COUNTERS),
    })),
    pressure: PRESSURE_RATIOS_DEFAULT,
    deadLetters: {
      ring: createRing(1 << 20),
      doorbell: createDoorbell(),
      counters: createCounters(DEAD_LETTER_COUNTERS),
    },
    routes: { lanes, topics },
    topics: createTopicRegistry(),
  };
}
