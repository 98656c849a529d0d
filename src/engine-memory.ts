/**
 * Everything the threads of one engine share, allocated once by main and handed to each thread.
 *
 * It outlives every worker: a thread that is restarted gets the same memory and goes on. Pages that
 * are never touched cost nothing, so limits are generous.
 */
import { createRateTable } from "./auth/rate.ts";
import type { Config, LaneConfig } from "./config/config.ts";
import type { DataLayout } from "./data-directory.ts";
import { shardDirectory } from "./data-directory.ts";
import { createTopicRegistry } from "./dispatch/topic-registry.ts";
import { FRAME_PREFIX_BYTES } from "./event/frame.ts";
import { RUN_BYTES_MAX, RUN_HEADER_BYTES } from "./event/run.ts";
import { createShardState } from "./log/shard-state.ts";
import type { ShardInfo } from "./log/shard-state.ts";
import { createCounters } from "./metrics/counters.ts";
import { createHistograms } from "./metrics/histogram.ts";
import { createShardLatencies, createSourceLatencies } from "./metrics/latency.ts";
import { DEAD_LETTER_COUNTERS, DISPATCH_COUNTERS, LANE_COUNTERS, SOURCE_COUNTERS } from "./metrics/layout.ts";
import { createHand, createIntent } from "./process/hand.ts";
import { createCompletions } from "./queue/completions.ts";
import type { CompletionMemory } from "./queue/completions.ts";
import { createControl } from "./queue/control.ts";
import { createDoorbell } from "./queue/doorbell.ts";
import { align8, createRing, RING_BYTES_MAX } from "./queue/ring.ts";
import type { RingMemory } from "./queue/ring.ts";
import { sinkCounters } from "./store/sink-counters.ts";
import { tallyLength } from "./process/tally.ts";

/** Name of the lane that holds dead letters; its log is `log/dlq/0`. */
export const DEAD_LETTER_LANE = "dlq";

/** Verdicts that may be under way from one thread to one source: 32 bytes each. */
const COMPLETION_SLOTS = 8192;
/** Dead letters under way from the dispatcher: a run grows by their headers, and half of it is for bursts. */
const DEAD_LETTER_QUEUE_BYTES = 8 * 1024 * 1024;
/** For whom no verdict is ever meant. */
const COMPLETION_SLOTS_MIN = 2;
/** Connections beyond `maxConnections` that a source may have: listeners, files, connections being closed. */
const SLOTS_SPARE = 1024;
/** Connections of main: one a publishing HTTP request or WebSocket. */
const SLOTS_MAIN = 8192;
const SLOTS_MAX = 65536;

/** What steers and wakes one thread. */
export interface ThreadMemory {
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
}

export interface SourceMemory extends ThreadMemory {
  readonly index: number;
  readonly ring: RingMemory;
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  readonly blocked: SharedArrayBuffer;
  readonly fromDispatcher: CompletionMemory;
  /** One a lane thread, in their order. */
  readonly fromLanes: readonly CompletionMemory[];
}

export interface ShardMemory {
  readonly info: ShardInfo;
  readonly lane: LaneConfig | undefined;
  /** The dispatcher's ring into the shard; for the dead-letter shard, that of its dead letters. */
  readonly ring: RingMemory;
  readonly parking: RingMemory;
  readonly hand: SharedArrayBuffer;
  readonly intent: SharedArrayBuffer;
  readonly laneCounters: SharedArrayBuffer;
  readonly dispatchCounters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  /** Index of the lane thread that hosts it. */
  readonly thread: number;
}

export interface LaneThreadMemory extends ThreadMemory {
  readonly name: string;
}

/** Memory of the sink: it hears of news as a source thread does, and never gets a verdict. */
export interface SinkMemory extends ThreadMemory {
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  /** One a lane thread, in their order. */
  readonly fromLanes: readonly CompletionMemory[];
}

/** A thread's ring into the dead-letter shard, and the counters of its dead letters. */
export interface LetterMemory {
  readonly deadLetterRing: RingMemory;
  readonly deadLetterCounters: SharedArrayBuffer;
}

/** Memory of the processor: a source like any other, and what it counts. */
export interface ProcessorMemory extends SourceMemory, LetterMemory {
  /** One double a shard: events processed since start; behind them one a shard: where the processor is. */
  readonly processed: SharedArrayBuffer;
  /** Block of shard latencies for each shard. */
  readonly shardLatencies: readonly SharedArrayBuffer[];
  /** What its rules and windows count. */
  readonly tally: SharedArrayBuffer;
}

export interface EngineMemory {
  /** Ingest workers, main, the processor and the feeds where there are such. */
  readonly sources: readonly SourceMemory[];
  readonly main: SourceMemory;
  /** Main's way into the dead-letter shard: events that no member of a group could deal with. */
  readonly groupLetters: LetterMemory;
  /** Present when rules, windows or handlers are configured. */
  readonly processor?: ProcessorMemory;
  /** The feed thread's end; present when feeds are configured. */
  readonly feeds?: SourceMemory;
  readonly dispatcher: ThreadMemory;
  readonly laneThreads: readonly LaneThreadMemory[];
  /** Present when topics are to be stored. */
  readonly sink?: SinkMemory;
  /** Every shard in the order of its index; the dead-letter one is the last. */
  readonly shards: readonly ShardMemory[];
  readonly deadLetterCounters: SharedArrayBuffer;
  readonly topics: SharedArrayBuffer;
  /** How much each identity has sent: `createRateTable()`. */
  readonly rates: SharedArrayBuffer;
}

/** Allocates the memory of an engine of this shape. */
export function createEngineMemory(config: Config, layout: DataLayout): EngineMemory {
  const frameBytesMax = config.ingestion.maxFrameBytes + FRAME_PREFIX_BYTES;
  const recordBytesMax = RUN_HEADER_BYTES + Math.max(frameBytesMax, RUN_BYTES_MAX);
  const ringBytes = (wanted: number) => ringCapacity(wanted, recordBytesMax);
  // What sources have handed on before they hear that a connection is not to be read: all of it must find a place.
  const underWayBytes = (config.ingestion.workers + 1) * config.ingestion.queueBytes;

  const laneThreads: LaneThreadMemory[] = [];
  const shards: ShardMemory[] = [];
  const addShard = (lane: LaneConfig | undefined, name: string, shard: number, thread: number) => {
    const queueBytes = ringBytes(lane?.queueBytes ?? DEAD_LETTER_QUEUE_BYTES);
    shards.push({
      info: {
        index: shards.length,
        lane: name,
        shard,
        directory: shardDirectory(layout, name, shard),
        state: createShardState(),
      },
      lane,
      ring: createRing(queueBytes),
      parking: createRing(ringBytes(Math.max(queueBytes * 2, underWayBytes))),
      hand: createHand(align8(Math.max(config.log.batchBytes, recordBytesMax))),
      intent: createIntent(),
      laneCounters: createCounters(LANE_COUNTERS),
      dispatchCounters: createCounters(DISPATCH_COUNTERS),
      latencies: createShardLatencies(),
      thread,
    });
  };
  for (const lane of config.lanes) {
    for (let shard = 0; shard < lane.shards; shard++) {
      laneThreads.push({ ...createThread(), name: `lane-${lane.name}-${shard}` });
      addShard(lane, lane.name, shard, laneThreads.length - 1);
    }
  }
  addShard(undefined, DEAD_LETTER_LANE, 0, laneThreads.length - 1);

  const createSource = (index: number, slots: number): SourceMemory => ({
    ...createThread(),
    index,
    ring: createRing(ringBytes(config.ingestion.queueBytes)),
    counters: createCounters(SOURCE_COUNTERS),
    latencies: createSourceLatencies(shards.length),
    blocked: new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT),
    fromDispatcher: createCompletions(COMPLETION_SLOTS),
    fromLanes: laneThreads.map(() => createCompletions(COMPLETION_SLOTS)),
  });
  const createLetters = (): LetterMemory => ({
    deadLetterRing: createRing(ringBytes(0)),
    deadLetterCounters: createCounters(DEAD_LETTER_COUNTERS),
  });
  const { workers, tcp } = config.ingestion;
  const ingestSlots = Math.min(SLOTS_MAX, tcp.maxConnections + SLOTS_SPARE);
  const ingest = Array.from({ length: workers }, (_, index) => createSource(index, ingestSlots));
  const main = createSource(workers, SLOTS_MAIN);
  const processor = isProcessing(config)
    ? {
      ...createSource(workers + 1, 1),
      ...createLetters(),
      processed: createCounters(2 * shards.length),
      shardLatencies: shards.map(() => createShardLatencies()),
      tally: createCounters(tallyLength(config.processing)),
    }
    : undefined;
  const sources = [...ingest, main, ...(processor === undefined ? [] : [processor])];
  const feeds = config.feeds.length === 0 ? undefined : createSource(sources.length, 1);
  return {
    sources: [...sources, ...(feeds === undefined ? [] : [feeds])],
    ...(feeds === undefined ? {} : { feeds }),
    main,
    groupLetters: createLetters(),
    ...(processor === undefined ? {} : { processor }),
    dispatcher: createThread(),
    laneThreads,
    ...(config.store.topics.length === 0 ? {} : { sink: createSink(laneThreads.length, shards.length) }),
    shards,
    deadLetterCounters: createCounters(DEAD_LETTER_COUNTERS),
    topics: createTopicRegistry(),
    rates: createRateTable(),
  };
}

/** Whether anything is to happen to events behind the log. */
function isProcessing({ processing }: Config): boolean {
  return processing.rules.length + processing.windows.length + processing.handlers.length > 0 ||
    processing.handlersFolder !== null;
}

function createSink(laneThreadCount: number, shardCount: number): SinkMemory {
  return {
    ...createThread(),
    counters: createCounters(sinkCounters(shardCount)),
    latencies: createHistograms(1),
    fromLanes: Array.from({ length: laneThreadCount }, () => createCompletions(COMPLETION_SLOTS_MIN)),
  };
}

function createThread(): ThreadMemory {
  return { control: createControl(), doorbell: createDoorbell() };
}

/** A power of two in which a largest record always finds room once the ring is empty. */
function ringCapacity(wantedBytes: number, recordBytesMax: number): number {
  const needed = Math.max(wantedBytes, recordBytesMax * 2);
  return Math.min(RING_BYTES_MAX, 2 ** Math.ceil(Math.log2(needed)));
}
