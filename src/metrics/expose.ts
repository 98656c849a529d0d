/** The `/metrics` page: which metric shows which number of a snapshot. docs/metrics.md explains them. */
import { DROP_REASONS, LISTENERS, REJECT_REASONS } from "../event/frame.ts";
import type { ProcessUsage } from "./process-usage.ts";
import { LIMITS } from "./layout.ts";
import { Exposition } from "./prometheus.ts";
import type { LaneSnapshot, Snapshot } from "./snapshot.ts";

/** Pipeline states in the order of their numbers in `esc_pipeline_state`. */
export const PIPELINE_STATES = ["RUNNING", "PAUSED", "DRAINING", "DROPPING", "EMERGENCY"] as const;
export type PipelineState = (typeof PIPELINE_STATES)[number];

export interface ExposeOptions {
  readonly pipelineState: PipelineState;
  readonly version: string;
  readonly usage: ProcessUsage;
  /** Alerts raised since start. */
  readonly alerts: Iterable<AlertCount>;
}

export interface AlertCount {
  readonly rule: string;
  readonly severity: string;
  readonly count: number;
}

/** The whole page. */
export function exposeMetrics(snapshot: Snapshot, options: ExposeOptions): string {
  const page = new Exposition();
  exposeSources(page, snapshot);
  exposeLanes(page, snapshot);
  exposeLogs(page, snapshot.dlq ? [...snapshot.lanes, snapshot.dlq] : snapshot.lanes);
  page.family("esc_pipeline_state", "gauge", `State of the pipeline: ${numbered(PIPELINE_STATES)}`)
    .sample(PIPELINE_STATES.indexOf(options.pipelineState));
  page.family("esc_alerts_total", "counter", "Alerts raised");
  for (const { rule, severity, count } of options.alerts) page.sample(count, { rule, severity });
  page.family("esc_build_info", "gauge", "Version of esc").sample(1, { version: options.version });
  exposeUsage(page, options.usage);
  return page.toString();
}

function exposeSources(page: Exposition, snapshot: Snapshot): void {
  const byListener = (counts: readonly number[]) => {
    for (const [index, listener] of LISTENERS.entries()) page.sample(counts[index] as number, { listener });
  };
  page.family("esc_events_received_total", "counter", "Event frames read, well formed or not");
  byListener(snapshot.received);
  page.family("esc_received_bytes_total", "counter", "Bytes of event frames read");
  byListener(snapshot.receivedBytes);
  page.family("esc_connections", "gauge", "Connections open now");
  byListener(snapshot.connections);
  page.family("esc_connections_total", "counter", "Connections accepted");
  byListener(snapshot.connectionsTotal);
  page.family("esc_connections_refused_total", "counter", "Connections refused because the limit was reached")
    .sample(snapshot.connectionsRefused);
  page.family("esc_connections_paused", "gauge", "Connections not read now because a lane is full")
    .sample(snapshot.pausedConnections);
  page.family("esc_datagrams_total", "counter", "UDP datagrams read").sample(snapshot.datagrams);
  page.family("esc_events_rejected_total", "counter", "Event frames refused before they reached a lane");
  for (const [index, reason] of REJECT_REASONS.entries()) {
    page.sample(snapshot.rejected[index] as number, { reason });
  }
  page.family("esc_auth_failures_total", "counter", "Clients refused for what they showed of themselves")
    .sample(snapshot.authFailures);
  page.family("esc_limited_total", "counter", "Times a client ran into one of its limits");
  for (const [index, limit] of LIMITS.entries()) page.sample(snapshot.limited[index] as number, { limit });
  page.family("esc_subscribers", "gauge", "Subscriptions served now").sample(snapshot.subscribers);
  page.family("esc_slow_subscribers", "gauge", "Subscribers that take less than comes, and fall behind");
  byListener(snapshot.slowSubscribers);
  page.family("esc_events_delivered_total", "counter", "Events handed to subscribers").sample(
    snapshot.delivered,
  );
}

function exposeLanes(page: Exposition, snapshot: Snapshot): void {
  const { lanes } = snapshot;
  const each = (name: string, help: string, count: (lane: LaneSnapshot) => number) => {
    page.family(name, "counter", help);
    for (const lane of lanes) page.sample(count(lane), { lane: lane.name });
  };
  each("esc_events_accepted_total", "Events taken into a lane", (lane) => lane.accepted);
  each(
    "esc_events_durable_total",
    "Events in the log and fsynced as their lane promises",
    (lane) => lane.durable,
  );
  each("esc_events_processed_total", "Events processed, effects committed", (lane) => lane.processed);
  each(
    "esc_events_duplicate_total",
    "Events with a message id that was seen before",
    (lane) => lane.duplicates,
  );
  each("esc_events_upgraded_total", "Events raised by the topic table", (lane) => lane.upgraded);
  each(
    "esc_events_downgraded_total",
    "HIGH events sent on as MEDIUM under pressure",
    (lane) => lane.downgraded,
  );
  each("esc_lane_full_total", "Times a full queue was met", (lane) => lane.fullCount);
  page.family("esc_events_dropped_total", "counter", "Accepted events that were not stored in their lane");
  for (const lane of lanes) {
    for (const [index, reason] of DROP_REASONS.entries()) {
      page.sample(lane.dropped[index] as number, { lane: lane.name, reason });
    }
  }
  page.family("esc_dlq_events_total", "counter", "Events handed to the dead-letter log");
  for (const [index, reason] of DROP_REASONS.entries()) {
    page.sample(snapshot.deadLetters[index] as number, { reason });
  }
  page.family("esc_dlq_lost_total", "counter", "Dead letters lost because their ring was full")
    .sample(snapshot.deadLettersLost);
  const stages = "Time from reception to the end of a stage";
  page.family("esc_latency_seconds", "histogram", stages);
  for (const { name, latencies, ack, deliver } of lanes) {
    page.histogram(latencies.queue, { lane: name, stage: "queue" });
    page.histogram(latencies.append, { lane: name, stage: "append" });
    page.histogram(latencies.process, { lane: name, stage: "process" });
    page.histogram(ack, { lane: name, stage: "ack" });
    page.histogram(deliver, { lane: name, stage: "deliver" });
  }
}

function exposeLogs(page: Exposition, lanes: readonly LaneSnapshot[]): void {
  const shards = lanes.flatMap((lane) => lane.shards.map((shard) => ({ lane: lane.name, ...shard })));
  const each = (name: string, help: string, value: (shard: (typeof shards)[number]) => number) => {
    page.family(name, "gauge", help);
    for (const shard of shards) page.sample(value(shard), { lane: shard.lane, shard: shard.shard });
  };
  each("esc_lane_depth", "Bytes waiting in the queue", (shard) => shard.depthBytes);
  each("esc_lane_capacity", "Bytes the queue can hold", (shard) => shard.capacityBytes);
  each("esc_lane_pressure", "Pressure: 0 normal, 1 high, 2 critical", (shard) => shard.pressure);
  each("esc_log_bytes", "Bytes of all segments of the log", (shard) => shard.logBytes);
  each("esc_log_first_offset", "Oldest offset kept", (shard) => shard.firstOffset);
  each("esc_log_next_offset", "Offset the next event gets", (shard) => shard.nextOffset);
  each("esc_log_failed", "1 while the log cannot be written", (shard) => Number(shard.isFailed));
  page.family("esc_log_batches_total", "counter", "Batches appended");
  for (const lane of lanes) page.sample(lane.batches, { lane: lane.name });
  page.family("esc_log_written_bytes_total", "counter", "Bytes appended");
  for (const lane of lanes) page.sample(lane.writtenBytes, { lane: lane.name });
  page.family("esc_log_corrupt_batches_total", "counter", "Damaged batches met while reading");
  for (const lane of lanes) page.sample(lane.corruptBatches, { lane: lane.name });
  page.family("esc_log_fsync_seconds", "histogram", "Duration of one fsync of a log");
  for (const lane of lanes) page.histogram(lane.fsync, { lane: lane.name });
}

function exposeUsage(page: Exposition, usage: ProcessUsage): void {
  page.family("process_cpu_seconds_total", "counter", "User and system CPU time").sample(usage.cpuSeconds);
  page.family("process_resident_memory_bytes", "gauge", "Resident memory").sample(usage.residentBytes);
  page.family("process_start_time_seconds", "gauge", "Start, seconds since the Unix epoch")
    .sample(usage.startTimeSeconds);
  if (usage.openFiles !== undefined) {
    page.family("process_open_fds", "gauge", "Open file descriptors").sample(usage.openFiles);
  }
  page.family("esc_thread_cpu_seconds_total", "counter", "User and system CPU time of one thread");
  for (const thread of usage.threads) {
    page.sample(thread.cpuSeconds, { thread: thread.name, tid: thread.tid });
  }
}

function numbered(names: readonly string[]): string {
  return names.map((name, index) => `${index} ${name}`).join(", ");
}
