/** Metrics of what operates the engine rather than of events: readiness, threads, disk, durable consumers. */
import { shardKey } from "../deliver/request.ts";
import { ShardState } from "../log/shard-state.ts";
import type { Exposition } from "../metrics/prometheus.ts";
import type { EngineView } from "./engine-view.ts";

/** Consumers shown, those furthest behind first: their names come from outside. */
const CONSUMERS_MAX = 200;

/** Writes the families. */
export function exposeOperation(page: Exposition, engine: EngineView): void {
  page.family("esc_ready", "gauge", "1 while the server should get traffic, as /readyz says")
    .sample(Number(engine.notReadyReasons().length === 0));
  page.family("esc_worker_restarts_total", "counter", "Times a thread died and was started again");
  for (const { name, restarts } of engine.workers()) page.sample(restarts, { worker: name });
  page.family("esc_disk_free_bytes", "gauge", "Free on the disk of the data directory").sample(
    engine.freeBytes(),
  );
  const lags = consumerLags(engine).sort((a, b) => b.lag - a.lag).slice(0, CONSUMERS_MAX);
  page.family(
    "esc_consumer_lag_events",
    "gauge",
    "Events a durable consumer has not confirmed; some may not match",
  );
  for (const { name, lag } of lags) page.sample(lag, { consumer: name });
}

/** How far each durable consumer is behind the logs it has a position in. */
function consumerLags({ consumers, shards }: EngineView): { name: string; lag: number }[] {
  const visible = shards.map(({ lane, shard, state }) => ({
    key: shardKey(lane, shard),
    offset: new ShardState(state).visibleOffset,
  }));
  return consumers.list().map(({ name, offsets }) => ({
    name,
    lag: visible.reduce((sum, { key, offset }) => sum + Math.max(0, offset - (offsets[key] ?? offset)), 0),
  }));
}
