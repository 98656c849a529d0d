/** Metrics of the reading side: queries, connections, replicas. */
import type { Exposition } from "../metrics/prometheus.ts";
import type { PostgresPool } from "./postgres-pool.ts";
import type { QueryMeter } from "./query-meter.ts";
import type { ServerState } from "./postgres-runner.ts";
import type { StoreReader } from "./reader.ts";

/** What a runner shows of itself. */
export interface RunnerMeters {
  readonly meter: QueryMeter;
  readonly primary?: PostgresPool;
  readonly replicas?: readonly ServerState[];
}

/** Writes the families; without a reader there was no query yet. */
export function exposeReader(page: Exposition, reader: StoreReader | undefined): void {
  if (reader === undefined) return;
  const { meter, primary, replicas = [] } = reader.meters;
  page.family("esc_store_queries_total", "counter", "Queries to the store").sample(meter.count);
  page.family("esc_store_query_errors_total", "counter", "Queries that failed").sample(meter.errors);
  page.family("esc_store_query_seconds", "histogram", "Duration of one query").histogram(meter.durations);
  if (primary === undefined) return;
  const pools = [
    { place: primary.place, role: "primary", pool: primary },
    ...replicas.map(({ place, pool }) => ({ place, role: "replica", pool })),
  ];
  page.family("esc_store_pool_connections", "gauge", "Connections by state; waiting are callers without one");
  for (const { place, role, pool } of pools) {
    const total = pool.total;
    page.sample(total, { server: place, role, state: "total" });
    page.sample(Math.max(0, total - pool.inUse), { server: place, role, state: "idle" });
    page.sample(pool.waiting, { server: place, role, state: "waiting" });
  }
  page.family("esc_store_pool_slots", "gauge", "Most connections");
  for (const { place, role, pool } of pools) page.sample(pool.slots, { server: place, role });
  page.family("esc_store_pool_retired_total", "counter", "Times all connections were given up");
  for (const { place, role, pool } of pools) page.sample(pool.retired, { server: place, role });
  page.family("esc_store_replica_lag_seconds", "gauge", "Age of the oldest change a replica lacks");
  for (const { place, lagMs } of replicas) page.sample(lagMs / 1000, { server: place });
  page.family("esc_store_replica_usable", "gauge", "1 while a replica is asked");
  for (const { place, isUsable } of replicas) page.sample(Number(isUsable), { server: place });
}
