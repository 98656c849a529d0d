/** Config and shared memory → what the processor's thread is started with. */
import type { Config } from "./config/config.ts";
import type { DataLayout } from "./data-directory.ts";
import { handlerOptions, type HandlersMessage } from "./engine-handlers.ts";
import type { EngineMemory, ProcessorMemory, SourceMemory } from "./engine-memory.ts";
import { storeOptions } from "./engine-store.ts";
import { PRIORITY_CRITICAL } from "./event/frame.ts";
import type { AlertMessage } from "./process/alerts/alert.ts";
import type { ProcessingOptions } from "./process/processing.ts";
import type { ProcessorSpec } from "./process/processor.ts";
import type { DeskOptions } from "./process/handlers/user/desk.ts";
import type { ShardInfo } from "./log/shard-state.ts";
import type { LogMessage } from "./logging/logger.ts";
import type { TallyNames } from "./process/tally.ts";
import type { StoreOptions } from "./store/options.ts";

export interface ProcessorWorkerOptions {
  /** Its end towards the dispatcher. */
  readonly source: SourceMemory;
  readonly dispatcherDoorbell: SharedArrayBuffer;
  readonly shardCount: number;
  readonly letters: {
    readonly ring: ProcessorMemory["deadLetterRing"];
    readonly counters: SharedArrayBuffer;
    readonly doorbell: SharedArrayBuffer;
  };
  readonly processing: ProcessingOptions;
  readonly spec: ProcessorSpec;
  readonly tally: SharedArrayBuffer;
  /** Handlers of the user's; absent: there are none. */
  readonly handlers: DeskOptions | undefined;
  readonly store: StoreOptions;
}

/** Main → processor: catch up, publish everything, and say so. */
export type ProcessorCommand = { readonly type: "settle" };

/** Processor → main. */
export type ProcessorMessage = AlertMessage | LogMessage | HandlersMessage | { readonly type: "settled" };

/** What the processor's tally counts, in its order. */
export function tallyNames({ processing }: Config): TallyNames {
  return {
    rules: processing.rules.map(({ name }) => name),
    windows: processing.windows.map(({ name }) => name),
  };
}

export function processorOptions(
  processor: ProcessorMemory,
  config: Config,
  memory: EngineMemory,
  layout: DataLayout,
): ProcessorWorkerOptions {
  const { processing } = config;
  const shards = memory.shards.flatMap(({ info, lane }): ShardInfo[] => lane === undefined ? [] : [info]);
  const letterThread = memory.shards[memory.shards.length - 1]?.thread ?? 0;
  const letterDoorbell = memory.laneThreads[letterThread]?.doorbell;
  if (letterDoorbell === undefined) throw new RangeError(`There is no lane thread ${letterThread}`);
  return {
    source: processor,
    dispatcherDoorbell: memory.dispatcher.doorbell,
    shardCount: memory.shards.length,
    letters: {
      ring: processor.deadLetterRing,
      counters: processor.deadLetterCounters,
      doorbell: letterDoorbell,
    },
    processing: {
      shards,
      processed: processor.processed,
      latencies: processor.shardLatencies,
      checkpointIntervalMs: processing.checkpointIntervalMs,
      start: processing.start,
      ...(config.store.retentionMs === null ? {} : { retentionMs: config.store.retentionMs }),
      isCritical: shards.map(({ lane }) =>
        config.lanes.some(({ name, priorities }) => name === lane && priorities.includes(PRIORITY_CRITICAL))
      ),
    },
    spec: {
      rules: processing.rules,
      windows: processing.windows,
      handlers: processing.handlers,
      alerts: processing.alerts,
      retry: processing.retry,
      maxFrameBytes: config.ingestion.maxFrameBytes,
    },
    tally: processor.tally,
    handlers: handlerOptions(config),
    store: storeOptions(config.store, layout),
  };
}
