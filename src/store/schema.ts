/** The tables, as kysely checks queries against them. The SQL is in migrations/; docs/stores.md explains it. */

/** Of an event in `events` and `last_values`. Times are microseconds since the Unix epoch. */
interface EventColumns {
  log_id: number;
  log_offset: number;
  topic: string;
  priority: number;
  received_us: number;
  time_us: number | null;
  message_id: string | null;
  event_key: string | null;
  headers: string | null;
  payload: Uint8Array;
}

export interface StoreSchema {
  /** Every log that events came from; `origin` names the data directory. */
  logs: { id: number; origin: string; lane: string; shard: number };
  positions: { consumer: string; log_id: number; next_offset: number; updated_us: number };
  events: EventColumns;
  last_values: EventColumns;
  window_results: {
    name: string;
    window_key: string;
    start_us: number;
    end_us: number;
    event_count: number;
    sum_value: number | null;
    min_value: number | null;
    max_value: number | null;
    result: string;
  };
  alerts: {
    id: string;
    rule: string;
    severity: string;
    raised_us: number;
    topic: string;
    event_key: string | null;
    message: string;
    context: string;
  };
  checkpoints: { consumer: string; name: string; state: Uint8Array; updated_us: number };
}

/** Columns of an event in the order in which they are written. */
export const EVENT_COLUMNS = [
  "log_id",
  "log_offset",
  "topic",
  "priority",
  "received_us",
  "time_us",
  "message_id",
  "event_key",
  "headers",
  "payload",
] as const satisfies readonly (keyof EventColumns)[];
