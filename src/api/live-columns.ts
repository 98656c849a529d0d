/**
 * What the live history measures once a second: one number a column, each column described by itself, so
 * that a saved history can be read without this server.
 */
import { LISTENERS } from "../event/frame.ts";
import { IntervalLatency } from "../metrics/interval.ts";
import type { LatencyStage } from "../metrics/latency.ts";
import { type Counts, histogramsOf, type LaneCounts, takeCounts, total } from "../metrics/snapshot.ts";
import type { EngineView } from "./engine-view.ts";

/** A counter only grows: its differences are of interest. A gauge is what it is now. */
export interface LiveColumn {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly unit: "events" | "bytes" | "us" | "ms" | "s" | "count";
  /** Absent: of the whole server. */
  readonly lane?: string;
}

const REMOTE = new Set(["tcp", "http", "ws", "grpc"].map((name) => LISTENERS.findIndex((it) => it === name)));

/** The first column of every row. */
const TIME: LiveColumn = { name: "time", kind: "gauge", unit: "ms" };

const SERVER: readonly [LiveColumn, (counts: Counts) => number][] = [
  [{ name: "received", kind: "counter", unit: "events" }, (counts) => total(counts.received)],
  [{ name: "received_bytes", kind: "counter", unit: "bytes" }, (counts) => total(counts.receivedBytes)],
  [{ name: "rejected", kind: "counter", unit: "events" }, (counts) => total(counts.rejected)],
  [{ name: "delivered", kind: "counter", unit: "events" }, (counts) => counts.delivered],
  [{ name: "dead_letters", kind: "counter", unit: "events" }, (counts) => counts.dlq?.accepted ?? 0],
  [
    { name: "connections", kind: "gauge", unit: "count" },
    (counts) => total(counts.connections.filter(isRemote)),
  ],
  [{ name: "connections_paused", kind: "gauge", unit: "count" }, (counts) => counts.pausedConnections],
  [{ name: "subscribers", kind: "gauge", unit: "count" }, (counts) => counts.subscribers],
  [
    { name: "slow_subscribers", kind: "gauge", unit: "count" },
    (counts) => total(counts.slowSubscribers),
  ],
  [{ name: "log_bytes", kind: "gauge", unit: "bytes" }, ({ lanes, dlq }) => logBytes(lanes, dlq)],
  [{ name: "resident_bytes", kind: "gauge", unit: "bytes" }, () => process.memoryUsage.rss()],
  [{ name: "cpu", kind: "counter", unit: "s" }, cpuSeconds],
];

const LANE: readonly [Omit<LiveColumn, "lane">, (lane: LaneCounts) => number][] = [
  [{ name: "accepted", kind: "counter", unit: "events" }, (lane) => lane.accepted],
  [{ name: "durable", kind: "counter", unit: "events" }, (lane) => lane.durable],
  [{ name: "processed", kind: "counter", unit: "events" }, (lane) => lane.processed],
  [{ name: "dropped", kind: "counter", unit: "events" }, (lane) => total(lane.dropped)],
  [{ name: "duplicates", kind: "counter", unit: "events" }, (lane) => lane.duplicates],
  [{ name: "depth", kind: "gauge", unit: "bytes" }, (lane) => total(lane.shards.map((s) => s.depthBytes))],
  [
    { name: "capacity", kind: "gauge", unit: "bytes" },
    (lane) => total(lane.shards.map((s) => s.capacityBytes)),
  ],
  [
    { name: "not_durable", kind: "gauge", unit: "events" },
    (lane) => total(lane.shards.map((s) => s.nextOffset - s.durableOffset)),
  ],
];

const PERCENTS = [50, 99, 99.9];
const PERCENT_NAMES = ["p50", "p99", "p999"];
const STAGES: readonly LatencyStage[] = ["queue", "append", "process", "ack", "deliver"];

/** Reads one row after the other. Main thread. */
export class LiveColumns {
  readonly columns: readonly LiveColumn[];
  readonly #engine: EngineView;
  readonly #latencies: readonly IntervalLatency[];

  constructor(engine: EngineView) {
    this.#engine = engine;
    const { lanes } = takeCounts(engine.meters);
    this.columns = [
      TIME,
      ...SERVER.map(([column]) => column),
      ...lanes.flatMap(({ name: lane }) => [
        ...LANE.map(([column]) => ({ ...column, lane })),
        ...STAGES.flatMap((stage) =>
          PERCENT_NAMES.map((
            name,
          ) => ({ name: `${stage}_${name}`, kind: "gauge", unit: "us", lane } as const))
        ),
      ]),
    ];
    this.#latencies = lanes.flatMap(({ name }) =>
      STAGES.map((stage) => new IntervalLatency(histogramsOf(name, stage, engine.meters)))
    );
  }

  /**
   * Writes what is true now. A latency of which nothing was recorded since the last row is NaN.
   *
   * @param row As long as `columns`.
   * @param nowMs Milliseconds since the Unix epoch.
   */
  read(row: Float64Array, nowMs: number): Counts {
    const counts = takeCounts(this.#engine.meters);
    let at = 0;
    row[at++] = nowMs;
    for (const [, value] of SERVER) row[at++] = value(counts);
    let next = 0;
    for (const lane of counts.lanes) {
      for (const [, value] of LANE) row[at++] = value(lane);
      for (let stage = 0; stage < STAGES.length; stage++) {
        const values = this.#latencies[next++]?.read(PERCENTS) ?? [];
        for (let i = 0; i < PERCENTS.length; i++) row[at++] = values[i] ?? NaN;
      }
    }
    return counts;
  }
}

/** What others have opened; datagrams, files and our own sources count as connections, too. */
function isRemote(_count: number, listener: number): boolean {
  return REMOTE.has(listener);
}

function logBytes(lanes: readonly LaneCounts[], dlq: LaneCounts | undefined): number {
  return total([...lanes, ...(dlq ? [dlq] : [])].flatMap((lane) => lane.shards.map((s) => s.logBytes)));
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
