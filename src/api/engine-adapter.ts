/**
 * The running engine as the HTTP interface sees it.
 */
import { TopicRegistry } from "../dispatch/topic-registry.ts";
import { type Level, worse } from "../control/levels.ts";
import { DEAD_LETTER_LANE } from "../engine-memory.ts";
import type { EngineMemory, ShardMemory } from "../engine-memory.ts";
import { tallyNames } from "../engine-processor.ts";
import { storeAccess } from "../engine-store.ts";
import type { Engine } from "../engine.ts";
import { openCounters } from "../metrics/counters.ts";
import { PRIORITY_CRITICAL } from "../event/frame.ts";
import { nodeFiles } from "../log/node-files.ts";
import { LANE_FAILED } from "../metrics/layout.ts";
import { STATE_DEAD, STATE_PAUSED, STATE_STARTING, ThreadControl } from "../queue/control.ts";
import { exposeHandlers } from "../process/handlers/user/expose.ts";
import { LetterBox } from "../process/letters.ts";
import { exposeTally } from "../process/tally.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { courseOf } from "./why-course.ts";
import type { EngineView, LaneState, PipelineView, ReloadResult, TopicSummary } from "./engine-view.ts";

/** What the process around the engine contributes. */
export interface ProcessParts {
  /** Effective configuration, secrets replaced. */
  readonly effectiveConfig: () => unknown;
  /** Begins the orderly shutdown of the process. */
  readonly drain: () => void;
  readonly reload: () => Promise<ReloadResult>;
  readonly warn: (message: string) => void;
  readonly setLogLevel: EngineView["setLogLevel"];
}

export function viewEngine(engine: Engine, parts: ProcessParts): EngineView {
  const { memory, config } = engine;
  const { processor } = memory;
  const topics = new TopicRegistry(memory.topics);
  const shards = memory.shards.map((shard) => ({
    shard,
    lane: openCounters(shard.laneCounters),
    control: new ThreadControl(threadOf(engine, shard.thread)),
  }));

  function laneState(name: string): LaneState {
    const states = shards.filter(({ shard }) => shard.info.lane === name).map(({ control }) => control.state);
    if (engine.state === "DRAINING") return "draining";
    if (states.some((state) => state === STATE_DEAD || state === STATE_STARTING)) return "restarting";
    if (states.some((state) => state === STATE_PAUSED)) return "paused";
    return engine.control.standing.holdsProcessing && !hasCritical(name) ? "paused" : "running";
  }

  function notReadyReasons(): string[] {
    const reasons: string[] = [];
    if (engine.state === "DRAINING") reasons.push("shutting down");
    for (const { shard, lane } of shards) {
      if (lane[LANE_FAILED] !== 1) continue;
      const { info } = shard;
      reasons.push(`log of ${info.lane}/${info.shard} cannot be written: durable publishing is stopped`);
    }
    for (const worker of engine.workers) {
      const { state } = worker.control;
      if (state === STATE_DEAD || state === STATE_STARTING) {
        reasons.push(`worker ${worker.name} is being restarted`);
      }
    }
    return reasons;
  }

  function hasCritical(name: string): boolean {
    return config.lanes.some((lane) => lane.name === name && lane.priorities.includes(PRIORITY_CRITICAL));
  }

  /** What the control plane has judged, and what is wrong whatever the rates are. What an operator said goes first. */
  function pipeline(): PipelineView {
    const { state, level, reasons } = engine.control.standing;
    let health: Level = level;
    const all = [...reasons];
    for (const { shard: { info }, lane } of shards) {
      if (lane[LANE_FAILED] !== 1) continue;
      health = worse(health, "CRITICAL");
      all.push(`log of ${info.lane}/${info.shard} cannot be written`);
    }
    if (engine.isDiskLow) {
      health = worse(health, "ELEVATED");
      all.push("less than log.low_free is free on the disk");
    }
    return { state: engine.state === "RUNNING" ? state : engine.state, health, reasons: all };
  }

  return {
    version: engine.version,
    startedMs: engine.startedMs,
    maxFrameBytes: config.ingestion.maxFrameBytes,
    shards: memory.shards.map((shard) => shard.info),
    meters: {
      sources: memory.sources,
      deadLetters: [
        memory.deadLetterCounters,
        memory.groupLetters.deadLetterCounters,
        ...(memory.processor === undefined ? [] : [memory.processor.deadLetterCounters]),
      ],
      shards: memory.shards.map((shard) => ({
        info: shard.info,
        queue: shard.ring,
        parking: shard.parking,
        hand: shard.hand,
        intent: shard.intent,
        dispatch: shard.dispatchCounters,
        lane: shard.laneCounters,
        latencies: shard.latencies,
        ...processorMeters(memory, shard),
      })),
    },
    source: engine.source,
    sourceLatencies: memory.main.latencies,
    doorbell: new Doorbell(memory.main.doorbell),
    control: new ThreadControl(memory.main.control),
    letters: new LetterBox(
      memory.groupLetters.deadLetterRing,
      doorbellOf(memory, memory.shards.length - 1),
      memory.groupLetters.deadLetterCounters,
    ),
    consumers: engine.consumers,
    alerts: engine.alerts,
    store: storeAccess(config, memory, parts.warn),
    processing: processor === undefined ? undefined : {
      windows: tallyNames(config).windows,
      expose: (page) => {
        exposeTally(page, tallyNames(config), processor.tally);
        exposeHandlers(page, engine.handlers);
      },
    },
    market: engine.market,
    course: courseOf(engine),
    pipeline,
    lateEvents: () => engine.control.lateEvents(),
    laneState,
    notReadyReasons,
    workers: () => engine.workers.map(({ name, restartCount }) => ({ name, restarts: restartCount })),
    freeBytes: () => nodeFiles.freeBytes(config.data.dir),
    topics: () => listTopics(topics, (lane) => config.lanes[lane]?.name ?? DEAD_LETTER_LANE),
    effectiveConfig: parts.effectiveConfig,
    threadNames: () => new Map(),
    pause: () => engine.pause(),
    resume: () => engine.resume(),
    drain: parts.drain,
    reload: parts.reload,
    warn: parts.warn,
    setLogLevel: parts.setLogLevel,
  };
}

/** Where a processor counts what was processed; the dead-letter lane has none. */
function processorMeters({ processor }: EngineMemory, { info, lane }: ShardMemory) {
  const latencies = processor?.shardLatencies[info.index];
  if (processor === undefined || lane === undefined || latencies === undefined) return {};
  return { processor: { processed: processor.processed, latencies } };
}

function threadOf(engine: Engine, thread: number): SharedArrayBuffer {
  const memory = engine.memory.laneThreads[thread];
  if (memory === undefined) throw new RangeError(`There is no lane thread ${thread}`);
  return memory.control;
}

/** Of the thread that hosts the shard. */
function doorbellOf(memory: EngineMemory, shard: number): SharedArrayBuffer {
  const doorbell = memory.laneThreads[memory.shards[shard]?.thread ?? -1]?.doorbell;
  if (doorbell === undefined) throw new RangeError(`There is no thread for shard ${shard}`);
  return doorbell;
}

function listTopics(registry: TopicRegistry, laneName: (lane: number) => string): TopicSummary[] {
  return Array.from({ length: registry.count }, (_, number) => ({
    topic: registry.nameOf(number),
    lane: laneName(registry.lanes[number] ?? 0),
    events: registry.events[number] ?? 0,
    receivedUs: registry.receivedUs[number] ?? 0,
  }));
}
