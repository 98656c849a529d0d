/**
 * Replay: how fast one thread turns the log on disk into EVENTS frames, without the socket. Every event must come
 * exactly once.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventsTargetBytesMin } from "../src/deliver/events-frame.ts";
import { BadRequest } from "../src/deliver/request.ts";
import { openSubscription } from "../src/deliver/subscription.ts";
import { ShardTails } from "../src/deliver/tail.ts";
import { encodeFrame } from "../src/event/encode.ts";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_LENGTH } from "../src/event/run.ts";
import { LOG_BATCH_HEADER_BYTES } from "../src/log/format.ts";
import { nodeFiles } from "../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../src/log/segment.ts";
import { createShardState, type ShardInfo, ShardState } from "../src/log/shard-state.ts";
import { LogWriter } from "../src/log/writer.ts";
import { createCounters, openCounters } from "../src/metrics/counters.ts";
import { Histogram } from "../src/metrics/histogram.ts";
import { SOURCE_COUNTERS } from "../src/metrics/layout.ts";
import { nowUs } from "../src/system/clock.ts";
import { type Benchmark, type Case, type Sample, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";

const EVENT_BYTES = 128;
const TOTAL = 2_000_000;
/** Events a run, and events in a row with the same topic. */
const SHAPES = [[512, 512], [8, 8], [1, 1]] as const;
const SUBSCRIPTIONS = [["everything", [">"], 1], ["one of four topics", ["bench.t1"], 0.25]] as const;

export const deliver: Benchmark = {
  summary: "replay from the log into EVENTS frames",
  open: (options) => {
    const root = mkdtempSync(join(tmpdir(), "esc-bench-deliver-"));
    const total = scaled(TOTAL, options);
    return SHAPES.flatMap(([runCount, streak], index) => {
      const state = createShardState();
      const info = { index: 0, lane: "batch", shard: 0, directory: join(root, String(index)), state };
      return SUBSCRIPTIONS.map(([name, topics, share]): Case => ({
        name: `runs of ${runCount}, ${name}`,
        round: () => {
          if (new ShardState(state).visibleOffset === 0) write(info, total, runCount, streak);
          return replay(info, topics, share);
        },
        close: () => rmSync(root, { recursive: true, force: true }),
      }));
    });
  },
};

/** Runs of `runCount` events over `topicCount` topics that change every `streak` events. */
function write(info: ShardInfo, total: number, runCount: number, streak: number): void {
  const options = { ...LOG_OPTIONS_DEFAULT, minFreeBytes: 0 };
  const writer = LogWriter.open(nodeFiles, info.directory, options, () => {});
  const batchRuns = Math.max(1, Math.floor(8192 / runCount));
  const runBytes = RUN_HEADER_BYTES + runCount * EVENT_BYTES;
  const bytes = new Uint8Array(LOG_BATCH_HEADER_BYTES + batchRuns * runBytes);
  const words = new Int32Array(bytes.buffer);
  let event = 0;
  for (let run = 0; run < batchRuns; run++) {
    const at = LOG_BATCH_HEADER_BYTES + run * runBytes;
    words[(at >> 2) + RUN_LENGTH] = runBytes;
    words[(at >> 2) + RUN_COUNT] = runCount;
    for (let index = 0; index < runCount; index++) {
      const topic = `bench.t${Math.floor(event++ / streak) % 4}`;
      const frame = encodeFrame({ topic, payload: new Uint8Array(EVENT_BYTES - 7 - topic.length) });
      bytes.set(frame, at + RUN_HEADER_BYTES + index * EVENT_BYTES);
    }
  }
  const count = batchRuns * runCount;
  for (let written = 0; written < total; written += count) {
    writer.append(bytes, 0, batchRuns * runBytes, count, 1, 1, 0);
  }
  writer.sync();
  new ShardState(info.state).visibleOffset = writer.nextOffset;
  writer.close();
}

function replay(info: ShardInfo, topics: readonly string[], share: number): Sample {
  const tails = new ShardTails([info], (damage) => {
    throw new Error(damage.kind);
  });
  const meters = {
    counters: openCounters(createCounters(SOURCE_COUNTERS)),
    latencies: [Histogram.empty()],
    nowUs,
  };
  const subscription = openSubscription({ id: "b", topics, from: "earliest" }, { tails, meters });
  if (subscription instanceof BadRequest) throw new Error(subscription.message);
  const target = new Uint8Array(eventsTargetBytesMin(1 << 20));
  const view = new DataView(target.buffer);
  let events = 0;
  const startNs = threadNs();
  for (;;) {
    const written = subscription.fill(target, 0, target.length);
    if (written === 0 && !subscription.hasMore) break;
    for (let at = 0; at < written;) {
      const end = at + 4 + view.getUint32(at);
      // Id "b" and lane "batch": the first block is 4 + 2 + 2 + 6 + 2 bytes in.
      for (let block = at + 16; block < end;) {
        events += view.getUint32(block + 8);
        block += 24 + view.getUint32(block + 20);
      }
      at = end;
    }
  }
  const ns = threadNs() - startNs;
  tails.close();
  const visible = new ShardState(info.state).visibleOffset;
  if (events !== visible * share) throw new Error(`Replayed ${events} of ${visible * share} events`);
  return { operations: visible, ns };
}
