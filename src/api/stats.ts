/** `/api/v1/stats` and `/metrics` from one snapshot. */
import type { z } from "zod";
import { LEVELS, numberOf } from "../control/levels.ts";
import { REJECT_REASONS } from "../event/frame.ts";
import { exposeMetrics } from "../metrics/expose.ts";
import { Exposition } from "../metrics/prometheus.ts";
import type { Ledger } from "./ledger.ts";
import { exposeOperation } from "./operation-metrics.ts";
import { readProcessUsage } from "../metrics/process-usage.ts";
import { type LaneSnapshot, takeSnapshot, total } from "../metrics/snapshot.ts";
import type { EngineView, LaneState } from "./engine-view.ts";
import type { statsSchema } from "./schemas.ts";

export type Stats = z.infer<typeof statsSchema>;

/** Counters since start: monotonic and exact. */
export function readStats(engine: EngineView): Stats {
  const snapshot = takeSnapshot(engine.meters);
  const { lanes, dlq } = snapshot;
  const sum = (count: (lane: LaneSnapshot) => number) => total(lanes.map(count));
  return {
    uptime_s: uptimeSeconds(engine),
    events: {
      received: total(snapshot.received),
      accepted: sum((lane) => lane.accepted),
      durable: sum((lane) => lane.durable),
      processed: sum((lane) => lane.processed),
      dropped: sum((lane) => total(lane.dropped)),
      rejected: total(snapshot.rejected),
      duplicates: sum((lane) => lane.duplicates),
      dlq: dlq?.accepted ?? 0,
    },
    lanes: Object.fromEntries(lanes.map((lane) => [lane.name, laneStats(lane, engine.laneState(lane.name))])),
    rejected: Object.fromEntries(
      REJECT_REASONS.map((reason, index) => [reason, snapshot.rejected[index] ?? 0]),
    ) as Stats["rejected"],
    pipeline: pipelineStats(engine),
  };
}

function laneStats(lane: LaneSnapshot, state: LaneState): Stats["lanes"][string] {
  return {
    depth: total(lane.shards.map((shard) => shard.depthBytes)),
    capacity: total(lane.shards.map((shard) => shard.capacityBytes)),
    shards: lane.shards.map((shard) => ({
      first_offset: shard.firstOffset,
      next_offset: shard.nextOffset,
      durable_offset: shard.durableOffset,
    })),
    state: lane.shards.some((shard) => shard.isFailed) ? "failed" : state,
    p50_us: lane.latencies.append.percentile(50),
    p99_us: lane.latencies.append.percentile(99),
  };
}

/** The pipeline as it is shown everywhere. */
export function pipelineStats(engine: EngineView): Stats["pipeline"] {
  const { state, health, reasons } = engine.pipeline();
  return { state, health, reasons: [...reasons] };
}

/** The Prometheus page. @param ledger Compares with its last reading: the last scrape, as a rule. */
export function readMetrics(engine: EngineView, ledger: Ledger): string {
  const page = exposeMetrics(takeSnapshot(engine.meters), {
    pipelineState: engine.pipeline().state,
    version: engine.version,
    usage: readProcessUsage(engine.threadNames()),
    alerts: engine.alerts.totals.values(),
  });
  const more = new Exposition();
  more.family(
    "esc_ledger_imbalance",
    "gauge",
    "Events lost or counted twice: exact at rest, under load what readings over three seconds agree upon",
  )
    .sample(ledger.read().imbalance);
  more.family(
    "esc_health",
    "gauge",
    `How the engine is doing: ${LEVELS.map((level, i) => `${i} ${level}`).join(", ")}`,
  )
    .sample(numberOf(engine.pipeline().health));
  more.family("esc_sla_late_total", "counter", "Events that took longer than control.sla.max_latency");
  for (const [lane, count] of engine.lateEvents()) more.sample(count, { lane });
  exposeOperation(more, engine);
  engine.store?.expose(more);
  engine.processing?.expose(more);
  return page + more.toString();
}

export function uptimeSeconds(engine: EngineView): number {
  return Math.max(0, Math.round(Date.now() - engine.startedMs) / 1000);
}
