/** A dispatcher on test rings, its sources and lanes played by the test. */
import { PRESSURE_RATIOS_DEFAULT } from "../../src/dispatch/pressure.ts";
import { Dispatcher } from "../../src/dispatch/dispatcher.ts";
import type { DispatchShard, DispatchWorkerOptions, Overflow } from "../../src/dispatch/options.ts";
import type { RouteLane, RouteOptions, RouteTopic } from "../../src/dispatch/route.ts";
import { createTopicRegistry } from "../../src/dispatch/topic-registry.ts";
import { type DecodedEvent, decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import { frameLength } from "../../src/event/ext.ts";
import {
  ACKS_NONE,
  packConnection,
  packOrigin,
  RUN_CONNECTION,
  RUN_COUNT,
  RUN_HAS_IDS,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_RECEIVED_LO,
  RUN_SEQ_LO,
} from "../../src/event/run.ts";
import { createShardState } from "../../src/log/shard-state.ts";
import { createCounters } from "../../src/metrics/counters.ts";
import { DEAD_LETTER_COUNTERS, DISPATCH_COUNTERS } from "../../src/metrics/layout.ts";
import { type Completion, CompletionReader, createCompletions } from "../../src/queue/completions.ts";
import { createControl } from "../../src/queue/control.ts";
import { createDoorbell } from "../../src/queue/doorbell.ts";
import { align8, createRing, type RingMemory, RingReader, RingWriter } from "../../src/queue/ring.ts";

export const RECEIVED_US = 1_700_000_000_000_000 % 0x1_0000_0000;

export interface RunOptions {
  readonly acks?: number;
  readonly slot?: number;
  readonly firstSeq?: number;
  readonly source?: number;
  readonly hasIds?: boolean;
}

/** Writes a run of events as a source does. @returns `false` when the ring is full. */
export function offerRun(
  writer: RingWriter,
  events: readonly OutgoingEvent[],
  options: RunOptions = {},
): boolean {
  const frames = Buffer.concat(events.map(encodeFrame));
  const at = writer.reserve(RUN_HEADER_BYTES + frames.length);
  if (at < 0) return false;
  const word = at >> 2;
  writer.words.fill(0, word + 1, word + RUN_HEADER_BYTES / 4);
  writer.words[word + RUN_COUNT] = events.length;
  writer.words[word + RUN_RECEIVED_LO] = RECEIVED_US;
  writer.words[word + RUN_CONNECTION] = packConnection(options.slot ?? 0, 7);
  const flags = options.hasIds ?? events.some((event) => event.id !== undefined) ? RUN_HAS_IDS : 0;
  writer.words[word + RUN_ORIGIN] = packOrigin(options.source ?? 0, 0, options.acks ?? ACKS_NONE, flags);
  writer.words[word + RUN_SEQ_LO] = options.firstSeq ?? 1;
  writer.bytes.set(frames, at + RUN_HEADER_BYTES);
  writer.publish();
  return true;
}

export interface TakenRun {
  readonly slot: number;
  readonly source: number;
  readonly firstSeq: number;
  readonly events: DecodedEvent[];
}

/** Takes everything out of a ring, as a lane does. */
export function takeRuns(memory: RingMemory, bytesMax = 1 << 20): TakenRun[] {
  const reader = new RingReader(memory);
  const hand = new Uint8Array(bytesMax);
  const words = new Int32Array(hand.buffer);
  const end = reader.take(hand, 0, bytesMax);
  const runs: TakenRun[] = [];
  for (let at = 0; at < end;) {
    const length = words[at >> 2] as number;
    const events: DecodedEvent[] = [];
    let frame = at + RUN_HEADER_BYTES;
    while (frame < at + length) {
      const event = decodeFrame(hand, frame);
      events.push({ ...event, payload: event.payload.slice() });
      frame += frameLength(hand, frame);
    }
    if (events.length !== words[(at >> 2) + RUN_COUNT]) throw new Error("Run count and frames differ");
    runs.push({
      slot: (words[(at >> 2) + RUN_CONNECTION] as number) & 0xffff,
      source: (words[(at >> 2) + RUN_ORIGIN] as number) & 0xff,
      firstSeq: words[(at >> 2) + RUN_SEQ_LO] as number,
      events,
    });
    at += align8(length);
  }
  return runs;
}

/** Payloads of all events in a ring, in order. */
export function takePayloads(memory: RingMemory): string[] {
  return takeRuns(memory).flatMap((run) => run.events.map((event) => Buffer.from(event.payload).toString()));
}

/** Verdicts that have arrived. */
export function takeVerdicts(reader: CompletionReader): Completion[] {
  const verdicts: Completion[] = [];
  while (reader.next()) verdicts.push({ ...reader.current });
  reader.release();
  return verdicts;
}

export interface LaneSpec {
  readonly name: string;
  readonly priorities: readonly number[];
  readonly topics?: readonly string[];
  readonly shardCount?: number;
  readonly overflow?: Overflow;
  readonly queueBytes?: number;
  readonly parkingBytes?: number;
}

export const LANES: readonly LaneSpec[] = [
  { name: "realtime", priorities: [3, 4], overflow: "drop_old" },
  { name: "transactional", priorities: [1, 2], overflow: "block" },
  { name: "batch", priorities: [0], overflow: "drop_new" },
];

export function routeLanes(lanes: readonly LaneSpec[]): RouteLane[] {
  let firstShard = 0;
  return lanes.map(({ name, priorities, topics = [], shardCount = 1 }) => {
    const lane = { name, priorities, topics, firstShard, shardCount };
    firstShard += shardCount;
    return lane;
  });
}

export interface Rig {
  readonly options: DispatchWorkerOptions;
  readonly dispatcher: Dispatcher;
  readonly sources: readonly RingWriter[];
  readonly verdicts: readonly CompletionReader[];
  readonly blocked: readonly Int32Array[];
  readonly problems: string[];
  /** Counters by shard. */
  readonly counters: readonly Float64Array[];
  readonly deadLetterCounters: Float64Array;
}

export interface RigOptions {
  readonly lanes?: readonly LaneSpec[];
  readonly topics?: readonly RouteTopic[];
  readonly sourceCount?: number;
  readonly sourceBytes?: number;
  readonly deadLetterBytes?: number;
  readonly topicsMax?: number;
}

export function createRig(rig: RigOptions = {}): Rig {
  const { lanes = LANES, topics = [], sourceCount = 1, sourceBytes = 1 << 16 } = rig;
  const routed = routeLanes(lanes);
  const shards = lanes.flatMap((lane, laneIndex): DispatchShard[] =>
    Array.from({ length: lane.shardCount ?? 1 }, (_, shard) => ({
      info: {
        index: (routed[laneIndex]?.firstShard ?? 0) + shard,
        lane: lane.name,
        shard,
        directory: "",
        state: createShardState(),
      },
      ring: createRing(lane.queueBytes ?? 1 << 16),
      parking: createRing(lane.parkingBytes ?? 1 << 16),
      laneDoorbell: createDoorbell(),
      overflow: lane.overflow ?? "block",
      counters: createCounters(DISPATCH_COUNTERS),
    }))
  );
  const routes: RouteOptions = { lanes: routed, topics };
  const options: DispatchWorkerOptions = {
    control: createControl(),
    doorbell: createDoorbell(),
    wait: "block",
    sources: Array.from({ length: sourceCount }, () => ({
      ring: createRing(sourceBytes),
      completions: createCompletions(1024),
      doorbell: createDoorbell(),
      control: createControl(),
      blocked: new SharedArrayBuffer(64 * 4),
    })),
    shards,
    pressure: PRESSURE_RATIOS_DEFAULT,
    deadLetters: {
      ring: createRing(rig.deadLetterBytes ?? 1 << 17),
      doorbell: createDoorbell(),
      counters: createCounters(DEAD_LETTER_COUNTERS),
    },
    routes,
    topics: createTopicRegistry({ topicsMax: rig.topicsMax ?? 64, nameBytesMax: 4096 }),
  };
  return openRig(options);
}

/** A dispatcher (the first, or a successor) over the same memory. */
export function openRig(options: DispatchWorkerOptions): Rig {
  const problems: string[] = [];
  return {
    options,
    problems,
    dispatcher: new Dispatcher(options, {
      nowUs: () => 5_000_000,
      report: (problem) => problems.push(problem),
    }),
    sources: options.sources.map((source) => new RingWriter(source.ring)),
    verdicts: options.sources.map((source) => new CompletionReader(source.completions)),
    blocked: options.sources.map((source) => new Int32Array(source.blocked)),
    counters: options.shards.map((shard) => new Float64Array(shard.counters)),
    deadLetterCounters: new Float64Array(options.deadLetters.counters),
  };
}
