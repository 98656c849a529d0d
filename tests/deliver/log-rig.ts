/** Real logs of several shards in a temporary folder, written the way lane workers write them. */
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import {
  RUN_COUNT,
  RUN_HEADER_BYTES,
  RUN_LENGTH,
  RUN_RECEIVED_HI,
  RUN_RECEIVED_LO,
} from "../../src/event/run.ts";
import { LOG_BATCH_HEADER_BYTES } from "../../src/log/format.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { createShardState, type ShardInfo, ShardState } from "../../src/log/shard-state.ts";
import { LogWriter } from "../../src/log/writer.ts";

/** Consecutive events of one producer, received at one moment. */
export interface TestRun {
  readonly receivedUs: number;
  readonly events: readonly OutgoingEvent[];
}

export interface TestShard {
  readonly info: ShardInfo;
  readonly state: ShardState;
  readonly writer: LogWriter;
}

export class LogRig {
  readonly shards: readonly TestShard[];

  /** @param lanes Name → number of shards; `dlq` belongs last. @param segmentBytes Small ones make many files. */
  constructor(directory: string, lanes: Readonly<Record<string, number>>, segmentBytes = 1 << 20) {
    const names = Object.entries(lanes).flatMap(([lane, count]) =>
      Array.from({ length: count }, (_, shard) => ({ lane, shard }))
    );
    this.shards = names.map(({ lane, shard }, index) => {
      const info = {
        index,
        lane,
        shard,
        directory: `${directory}/log/${lane}/${shard}`,
        state: createShardState(),
      };
      const options = { ...LOG_OPTIONS_DEFAULT, segmentBytes, minFreeBytes: 0 };
      const report = () => {};
      return {
        info,
        state: new ShardState(info.state),
        writer: LogWriter.open(nodeFiles, info.directory, options, report),
      };
    });
  }

  get infos(): readonly ShardInfo[] {
    return this.shards.map((shard) => shard.info);
  }

  /** Appends one batch and makes it visible. @returns Offset of its first event. */
  append(shardIndex: number, runs: readonly TestRun[]): number {
    const { writer, state } = this.at(shardIndex);
    const body = encodeRuns(runs);
    const bytes = new Uint8Array(LOG_BATCH_HEADER_BYTES + body.length);
    bytes.set(body, LOG_BATCH_HEADER_BYTES);
    const times = runs.map((run) => run.receivedUs);
    const count = runs.reduce((sum, run) => sum + run.events.length, 0);
    const offset = writer.append(bytes, 0, body.length, count, Math.min(...times), Math.max(...times), 0);
    state.nextOffset = writer.nextOffset;
    state.durableOffset = writer.nextOffset;
    state.logBytes = writer.bytes;
    state.visibleOffset = writer.nextOffset;
    return offset;
  }

  at(shardIndex: number): TestShard {
    const shard = this.shards[shardIndex];
    if (!shard) throw new RangeError(`There is no shard ${shardIndex}`);
    return shard;
  }

  close(): void {
    for (const shard of this.shards) shard.writer.close();
  }
}

/** Run records as they lie in a batch. */
export function encodeRuns(runs: readonly TestRun[]): Uint8Array {
  const records = runs.map((run) => {
    const frames = Buffer.concat(run.events.map((event) => encodeFrame(event)));
    const length = RUN_HEADER_BYTES + frames.length;
    const record = new Uint8Array((length + 7) & ~7);
    record.set(frames, RUN_HEADER_BYTES);
    const words = new Int32Array(record.buffer);
    words[RUN_LENGTH] = length;
    words[RUN_COUNT] = run.events.length;
    words[RUN_RECEIVED_LO] = run.receivedUs % 2 ** 32;
    words[RUN_RECEIVED_HI] = Math.floor(run.receivedUs / 2 ** 32);
    return record;
  });
  return Buffer.concat(records);
}
