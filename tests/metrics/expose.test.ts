import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { DROP_REASONS, LISTENERS, REJECT_REASONS } from "../../src/event/frame.ts";
import { createShardState, ShardState } from "../../src/log/shard-state.ts";
import { count, createCounters, openCounters } from "../../src/metrics/counters.ts";
import { exposeMetrics } from "../../src/metrics/expose.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import {
  createShardLatencies,
  createSourceLatencies,
  openSourceLatency,
  SHARD_APPEND,
  SOURCE_DELIVER,
} from "../../src/metrics/latency.ts";
import {
  DEAD_LETTER_COUNTERS,
  DEAD_LETTERS,
  DEAD_LETTERS_LOST,
  DISPATCH_COUNTERS,
  DISPATCH_DROPPED,
  LANE_ACCEPTED,
  LANE_COUNTERS,
  LANE_DROPPED,
  LANE_DUPLICATES,
  LANE_DURABLE,
  SOURCE_COUNTERS,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
} from "../../src/metrics/layout.ts";
import { readProcessUsage } from "../../src/metrics/process-usage.ts";
import { Exposition } from "../../src/metrics/prometheus.ts";
import { type Meters, takeSnapshot, total } from "../../src/metrics/snapshot.ts";
import { createHand, createIntent } from "../../src/process/hand.ts";
import { createRing, RingWriter } from "../../src/queue/ring.ts";
import { parseExposition } from "./exposition.ts";

const SHARDS = [["realtime", 0], ["tx", 0], ["tx", 1], ["dlq", 0]] as const;

function meters(): Meters {
  return {
    sources: [0, 1].map(() => ({
      ring: createRing(4096),
      counters: createCounters(SOURCE_COUNTERS),
      latencies: createSourceLatencies(SHARDS.length),
    })),
    shards: SHARDS.map(([lane, shard], index) => ({
      info: { index, lane, shard, directory: "", state: createShardState() },
      queue: createRing(4096),
      parking: createRing(4096),
      hand: createHand(64),
      intent: createIntent(),
      dispatch: createCounters(DISPATCH_COUNTERS),
      lane: createCounters(LANE_COUNTERS),
      latencies: createShardLatencies(),
    })),
    deadLetters: [createCounters(DEAD_LETTER_COUNTERS)],
  };
}

const at = <T>(list: readonly T[], index: number): T => {
  const value = list[index];
  if (value === undefined) throw new RangeError(`Nothing at ${index}`);
  return value;
};

test("takeSnapshot() adds up all threads, and keeps the dead-letter lane apart", () => {
  const all = meters();
  const source = (index: number) => openCounters(at(all.sources, index).counters);
  const lane = (index: number) => openCounters(at(all.shards, index).lane);
  count(source(0), SOURCE_RECEIVED + LISTENERS.indexOf("tcp"), 10);
  count(source(1), SOURCE_RECEIVED + LISTENERS.indexOf("tcp"), 5);
  count(source(1), SOURCE_RECEIVED + LISTENERS.indexOf("http"), 2);
  count(source(0), SOURCE_REJECTED + REJECT_REASONS.indexOf("bad_crc"), 3);
  count(lane(1), LANE_ACCEPTED, 4);
  count(lane(2), LANE_ACCEPTED, 6);
  count(lane(2), LANE_DURABLE, 5);
  count(lane(2), LANE_DROPPED + DROP_REASONS.indexOf("log_failed"), 1);
  count(lane(2), LANE_DUPLICATES, 1);
  count(openCounters(at(all.shards, 1).dispatch), DISPATCH_DROPPED + DROP_REASONS.indexOf("queue_full"), 3);
  count(lane(3), LANE_ACCEPTED, 4);
  const letters = openCounters(at(all.deadLetters, 0));
  count(letters, DEAD_LETTERS + DROP_REASONS.indexOf("queue_full"), 3);
  count(letters, DEAD_LETTERS_LOST, 1);
  new Histogram(at(all.shards, 1).latencies, SHARD_APPEND).record(100, 1);
  new Histogram(at(all.shards, 2).latencies, SHARD_APPEND).record(300, 1);
  openSourceLatency(at(all.sources, 1).latencies, 2, SOURCE_DELIVER).record(50, 7);
  const state = new ShardState(at(all.shards, 2).info.state);
  state.nextOffset = 5;
  const ring = new RingWriter(at(all.shards, 2).queue);
  ring.reserve(100);
  ring.publish();

  const snapshot = takeSnapshot(all);
  expect(snapshot.received[LISTENERS.indexOf("tcp")]).toBe(15);
  expect(total(snapshot.received)).toBe(17);
  expect(snapshot.rejected[REJECT_REASONS.indexOf("bad_crc")]).toBe(3);
  expect(snapshot.lanes.map((each) => each.name)).toEqual(["realtime", "tx"]);
  const tx = at(snapshot.lanes, 1);
  // Dropped by the dispatcher: accepted and dropped in one step.
  expect([tx.accepted, tx.durable, tx.duplicates, total(tx.dropped)]).toEqual([13, 5, 1, 4]);
  expect(tx.shards.map((shard) => shard.depthBytes)).toEqual([0, 104]);
  expect(tx.shards.map((shard) => shard.nextOffset)).toEqual([0, 5]);
  expect([tx.latencies.append.count, tx.latencies.append.maxUs, tx.deliver.count]).toEqual([2, 300, 7]);
  expect(snapshot.dlq?.accepted).toBe(4);
  expect([total(snapshot.deadLetters), snapshot.deadLettersLost]).toEqual([3, 1]);
});

test("exposeMetrics() has every metric of SPEC section 8, in strict exposition format", () => {
  const all = meters();
  new Histogram(at(all.shards, 1).latencies, SHARD_APPEND).record(120, 3);
  const page = exposeMetrics(takeSnapshot(all), {
    pipelineState: "PAUSED",
    alerts: [],
    version: '1"\\\n',
    usage: readProcessUsage(new Map([[process.pid, "main"]])),
  });
  const families = parseExposition(page);
  const labelsOf = (name: string) => Object.keys(at(families.get(name)?.samples ?? [], 0).labels).toSorted();
  expect(labelsOf("esc_events_received_total")).toEqual(["listener"]);
  for (const name of ["accepted", "durable", "processed", "duplicate"]) {
    expect(labelsOf(`esc_events_${name}_total`)).toEqual(["lane"]);
  }
  expect(labelsOf("esc_events_dropped_total")).toEqual(["lane", "reason"]);
  expect(labelsOf("esc_events_rejected_total")).toEqual(["reason"]);
  expect(labelsOf("esc_dlq_events_total")).toEqual(["reason"]);
  for (const name of ["esc_lane_depth", "esc_lane_capacity", "esc_log_bytes"]) {
    expect(labelsOf(name)).toEqual(["lane", "shard"]);
  }
  expect(labelsOf("esc_latency_seconds")).toEqual(["lane", "le", "stage"]);
  const stages = new Set(
    families.get("esc_latency_seconds")?.samples.map((sample) => sample.labels["stage"]),
  );
  expect([...stages]).toEqual(["queue", "append", "process", "ack", "deliver"]);
  expect(families.get("esc_log_fsync_seconds")?.type).toBe("histogram");
  expect(labelsOf("esc_connections")).toEqual(["listener"]);
  expect(labelsOf("esc_subscribers")).toEqual([]);
  expect(families.get("esc_pipeline_state")?.samples).toEqual([{
    name: "esc_pipeline_state",
    labels: {},
    value: 1,
  }]);
  expect(families.has("esc_alerts_total")).toBe(true);
  expect(families.get("esc_build_info")?.samples[0]?.labels).toEqual({ version: '1"\\\n' });
  expect(families.get("process_resident_memory_bytes")?.samples[0]?.value).toBeGreaterThan(1_000_000);
  const threads = families.get("esc_thread_cpu_seconds_total")?.samples.map((sample) =>
    sample.labels["thread"]
  );
  expect(threads).toContain("main");
});

test("Exposition escapes label values and help, and writes special numbers", () => {
  const page = new Exposition().family("x", "gauge", "back\\slash\nline").sample(Infinity, { a: 'q"\\\n' })
    .sample(NaN);
  expect(page.toString()).toBe(
    '# HELP x back\\\\slash\\nline\n# TYPE x gauge\nx{a="q\\"\\\\\\n"} +Inf\nx NaN\n',
  );
});

const promtool = spawnSync("promtool", ["--version"]).status === 0;

test.skipIf(!promtool)(
  "promtool finds nothing to complain about (skipped where promtool is not installed)",
  () => {
    const page = exposeMetrics(takeSnapshot(meters()), {
      pipelineState: "RUNNING",
      alerts: [],
      version: "1",
      usage: readProcessUsage(new Map()),
    });
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input: page });
    expect([status, String(stderr)]).toEqual([0, ""]);
  },
);
