/**
 * Questions to the store, typed against its tables and the same for both databases.
 *
 * kysely builds them and is used for nothing else: a query is text with parameters, and `SqlRunner` runs it
 * where and how it sees fit (deadline, replica, retry). Pages are cut by key, not by number, so the hundredth
 * page costs what the first does.
 */
import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { StoreSchema } from "./schema.ts";

export type Builder = Kysely<StoreSchema>;

/** Order of time, or newest first. */
export type Order = "asc" | "desc";

/** A builder of queries that cannot run them. */
export function queryBuilder(kind: "sqlite" | "postgres"): Builder {
  return new Kysely<StoreSchema>({
    dialect: kind === "sqlite"
      ? {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      }
      : {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
  });
}

/** Place of a row in the order of events: what a cursor remembers. */
export type EventPlace = readonly [receivedUs: number, logId: number, offset: number];

export interface EventFilter {
  /** Exact topics; absent: all. */
  readonly topics?: readonly string[];
  readonly key?: string;
  /** Received at or after, and before; microseconds since the Unix epoch. */
  readonly fromUs?: number;
  readonly toUs?: number;
  readonly order: Order;
  readonly after?: EventPlace;
  readonly limit: number;
}

/** Events in the order of their reception. */
export function selectEvents(builder: Builder, filter: EventFilter) {
  const { topics, key, fromUs, toUs, order, after, limit } = filter;
  let query = builder.selectFrom("events").innerJoin("logs", "logs.id", "events.log_id").select([
    "logs.origin",
    "logs.lane",
    "logs.shard",
    "events.log_id",
    "events.log_offset",
    "events.topic",
    "events.priority",
    "events.received_us",
    "events.time_us",
    "events.message_id",
    "events.event_key",
    "events.headers",
    "events.payload",
  ]);
  const [topic] = topics ?? [];
  // One topic as a comparison: the index then gives the order, too.
  if (topics?.length === 1 && topic !== undefined) query = query.where("events.topic", "=", topic);
  else if (topics !== undefined) query = query.where("events.topic", "in", padded(topics));
  if (key !== undefined) query = query.where("events.event_key", "=", key);
  if (fromUs !== undefined) query = query.where("events.received_us", ">=", fromUs);
  if (toUs !== undefined) query = query.where("events.received_us", "<", toUs);
  if (after !== undefined) {
    query = query.where((expression) =>
      expression(
        expression.refTuple("events.received_us", "events.log_id", "events.log_offset"),
        order === "asc" ? ">" : "<",
        expression.tuple(...after),
      )
    );
  }
  return query.orderBy("events.received_us", order).orderBy("events.log_id", order)
    .orderBy("events.log_offset", order).limit(limit).compile();
}

/**
 * Repeats the last one up to a power of two: databases prepare each text once, and a list of every possible
 * length would be a thousand texts.
 */
function padded(topics: readonly string[]): readonly string[] {
  const last = topics.at(-1);
  if (last === undefined) return topics;
  const length = 2 ** Math.ceil(Math.log2(topics.length));
  return [...topics, ...new Array<string>(length - topics.length).fill(last)];
}

/** Topics that have a last value, from `from` and below `to` in the order of bytes. */
export function selectTopics(builder: Builder, from: string, to: string | undefined, limit: number) {
  let query = builder.selectFrom("last_values").select("topic").where("topic", ">=", from);
  if (to !== undefined) query = query.where("topic", "<", to);
  return query.orderBy("topic").limit(limit).compile();
}

/** Last values of these topics. */
export function selectLastValues(builder: Builder, topics: readonly string[]) {
  return builder.selectFrom("last_values").innerJoin("logs", "logs.id", "last_values.log_id").select([
    "logs.origin",
    "logs.lane",
    "logs.shard",
    "last_values.log_id",
    "last_values.log_offset",
    "last_values.topic",
    "last_values.priority",
    "last_values.received_us",
    "last_values.time_us",
    "last_values.message_id",
    "last_values.event_key",
    "last_values.headers",
    "last_values.payload",
  ]).where("last_values.topic", "in", padded(topics)).orderBy("last_values.topic").compile();
}

export interface WindowFilter {
  readonly name: string;
  readonly key?: string;
  /** Windows that start at or after, and before; microseconds since the Unix epoch. */
  readonly fromUs?: number;
  readonly toUs?: number;
  readonly order: Order;
  readonly after?: readonly [startUs: number, key: string];
  readonly limit: number;
}

/** Results of a window in the order of their start. */
export function selectWindows(builder: Builder, filter: WindowFilter) {
  const { order, after, limit } = filter;
  let query = windowsWhere(builder, filter).selectAll();
  if (after !== undefined) {
    query = query.where((expression) =>
      expression(
        expression.refTuple("start_us", "window_key"),
        order === "asc" ? ">" : "<",
        expression.tuple(...after),
      )
    );
  }
  return query.orderBy("start_us", order).orderBy("window_key", order).limit(limit).compile();
}

/** Results put together over steps of time: how many events, their sum, least and greatest. */
export function selectWindowSteps(
  builder: Builder,
  filter: Omit<WindowFilter, "after"> & { readonly stepUs: number },
) {
  const { stepUs, order, limit } = filter;
  return windowsWhere(builder, filter)
    .select(({ eb, fn, ref, lit, parens }) => [
      eb(ref("start_us"), "-", parens(eb(ref("start_us"), "%", lit(stepUs)))).as("step_us"),
      fn.sum<number>("event_count").as("event_count"),
      fn.sum<number | null>("sum_value").as("sum_value"),
      fn.min("min_value").as("min_value"),
      fn.max("max_value").as("max_value"),
      fn.countAll<number>().as("windows"),
    ])
    .groupBy("step_us").orderBy("step_us", order).limit(limit).compile();
}

function windowsWhere(builder: Builder, filter: Omit<WindowFilter, "after" | "order" | "limit">) {
  const { name, key, fromUs, toUs } = filter;
  let query = builder.selectFrom("window_results").where("name", "=", name);
  if (key !== undefined) query = query.where("window_key", "=", key);
  if (fromUs !== undefined) query = query.where("start_us", ">=", fromUs);
  if (toUs !== undefined) query = query.where("start_us", "<", toUs);
  return query;
}

export interface AlertFilter {
  readonly rule?: string;
  readonly severity?: string;
  readonly fromUs?: number;
  readonly toUs?: number;
  readonly order: Order;
  readonly after?: readonly [raisedUs: number, id: string];
  readonly limit: number;
}

/** Alerts in the order in which they were raised. */
export function selectAlerts(builder: Builder, filter: AlertFilter) {
  const { rule, severity, fromUs, toUs, order, after, limit } = filter;
  let query = builder.selectFrom("alerts").selectAll();
  if (rule !== undefined) query = query.where("rule", "=", rule);
  if (severity !== undefined) query = query.where("severity", "=", severity);
  if (fromUs !== undefined) query = query.where("raised_us", ">=", fromUs);
  if (toUs !== undefined) query = query.where("raised_us", "<", toUs);
  if (after !== undefined) {
    query = query.where((expression) =>
      expression(
        expression.refTuple("raised_us", "id"),
        order === "asc" ? ">" : "<",
        expression.tuple(...after),
      )
    );
  }
  return query.orderBy("raised_us", order).orderBy("id", order).limit(limit).compile();
}

/** What a compiled query gives back, a row. */
export type RowOf<Query> = Query extends CompiledQuery<infer Row> ? Row : never;
export type EventResult = RowOf<ReturnType<typeof selectEvents>>;
