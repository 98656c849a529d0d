/**
 * Replay: how fast one thread turns the log on disk into EVENTS frames, without the socket.
 *
 * Writes events of 128 bytes to a real log, reads them back through a subscription into memory, and
 * checks that every offset came exactly once before it prints anything.
 *
 *     bun bench/deliver.ts [events]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
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
import { createShardState, ShardState } from "../src/log/shard-state.ts";
import { LogWriter } from "../src/log/writer.ts";
import { createCounters, openCounters } from "../src/metrics/counters.ts";
import { Histogram } from "../src/metrics/histogram.ts";
import { SOURCE_COUNTERS } from "../src/metrics/layout.ts";
import { nowUs } from "../src/system/clock.ts";

const EVENT_BYTES = 128;
const ROUNDS = 5;
const total = Number(process.argv[2] ?? 4_000_000);
const directory = mkdtempSync(join(tmpdir(), "esc-bench-deliver-"));
const state = createShardState();
const info = { index: 0, lane: "batch", shard: 0, directory: join(directory, "0"), state };

/** Runs of `runCount` events over `topicCount` topics that change every `streak` events. */
function write(runCount: number, streak: number): void {
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
  new ShardState(state).visibleOffset = writer.nextOffset;
  writer.close();
}

function replay(topics: readonly string[], share: number): number {
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
  const startNs = Bun.nanoseconds();
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
  const seconds = (Bun.nanoseconds() - startNs) / 1e9;
  tails.close();
  const visible = new ShardState(state).visibleOffset;
  if (events !== visible * share) throw new Error(`Replayed ${events} of ${visible * share} events`);
  return visible / seconds;
}

console.log(
  `deliver: replay of ${total} events of ${EVENT_BYTES} bytes, ${cpus()[0]?.model}, Bun ${Bun.version}`,
);
for (const [runCount, streak] of [[512, 512], [8, 8], [1, 1]] as const) {
  rmSync(info.directory, { recursive: true, force: true });
  write(runCount, streak);
  for (
    const [name, topics, share] of [["everything", [">"], 1], [
      "one of four topics",
      ["bench.t1"],
      0.25,
    ]] as const
  ) {
    const rates = Array.from({ length: ROUNDS }, () => replay(topics, share)).sort((a, b) => a - b);
    const [low, middle, high] = [rates[0], rates[ROUNDS >> 1], rates[ROUNDS - 1]].map((rate) =>
      (rate ?? 0) / 1e6
    );
    console.log(
      `runs of ${String(runCount).padStart(3)}, ${name}: ${middle?.toFixed(1)} M events/s ` +
        `(${low?.toFixed(1)} to ${high?.toFixed(1)}, ${(1000 / (middle ?? 1)).toFixed(0)} ns/event)`,
    );
  }
}
rmSync(directory, { recursive: true, force: true });
