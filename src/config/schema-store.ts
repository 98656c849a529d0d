/** Keys of what is kept for queries: `store` and `cache`. */
import {
  choice,
  count,
  duration,
  flag,
  optionalDuration,
  optionalText,
  requiredText,
  size,
  text,
} from "./leaves.ts";
import { list, section } from "./shapes.ts";

export const storeSection = section("Events kept in a database for queries, each exactly once", {
  backend: choice("Kind of database", ["sqlite", "postgres"], "sqlite", { postgresql: "postgres" }),
  topics: list(
    "Patterns of the topics that are stored; without one, nothing is",
    requiredText("A topic or pattern, such as orders.>"),
  ).prefault([]),
  path: optionalText({ description: "SQLite file", default: "store.db in data.dir" }),
  url: optionalText({
    description: "PostgreSQL server; with sslmode=require in it, over TLS",
    examples: ["postgres://esc:${ESC_STORE_PASSWORD}@db.example:5432/events"],
  }),
  tls_ca: optionalText("File of certificates that the PostgreSQL server is checked against"),
  replicas: list("URLs of read replicas, asked in turns", requiredText("URL of a replica")).prefault([]),
  max_replica_lag: duration("A replica that is further behind is not asked", "100ms", { min: 1 }),
  replica_check_interval: duration("Time between two looks at the replicas", "50ms", { min: 10 }),
  pool_size: count("Connections for queries to each PostgreSQL server", 20, 1, 1000),
  connect_timeout: duration("Time for a new connection", "2s", { min: 10 }),
  idle_timeout: duration("Time after which an unused connection is closed", "30s", { min: 1000 }),
  query_timeout: duration("Time for one query or one commit", "5s", { min: 500 }),
  start: choice("Where a log begins that was never stored", ["earliest", "latest"], "earliest"),
  batch_events: count("Most events in one commit", 5000, 1, 1_000_000),
  batch_bytes: size("Most bytes of events in one commit; a larger one goes alone", "4MiB", 1024, 2 ** 28),
  flush_interval: duration("Longest wait of an event for others before it is committed", "100ms"),
  retention: optionalDuration(
    "Age after which stored events, window results and alerts are deleted",
    "none",
    { min: 60_000 },
  ),
  auto_migrate: flag(
    "Bring the schema up to date at start; without it, esc migrate up must have done so",
    true,
  ),
  migrations: optionalText("Folder with migrations of your own"),
});

export const cacheSection = section("Answers and last values kept at hand", {
  redis: optionalText({
    description: "Redis server; without one, each server caches in its own memory",
    examples: ["redis://127.0.0.1:6379/0", "rediss://:${REDIS_PASSWORD}@cache.example:6380"],
  }),
  key_prefix: text("Beginning of all keys in Redis", "esc:"),
  ttl: duration("Time for which an answer is good", "1h", { min: 1 }),
  max_keys: count("Most keys in a server's own memory", 100_000, 1, 100_000_000),
  max_bytes: size("Most bytes of values in a server's own memory", "64MiB", 1024),
  channel: text("Redis channel that stored results are published on", "analytics-updates"),
});
