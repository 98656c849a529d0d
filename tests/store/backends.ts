/** Every implementation of the store, opened the same way, with a look at what is in it. */
import { Database } from "bun:sqlite";
import { MemoryStore } from "../../src/store/memory.ts";
import { PostgresRunner } from "../../src/store/postgres-runner.ts";
import { PostgresStore } from "../../src/store/postgres.ts";
import { StoreReader } from "../../src/store/reader.ts";
import { SqliteRunner } from "../../src/store/sqlite-runner.ts";
import { SqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { T0_US } from "./rows.ts";

/** What is stored, in a form that can be compared. */
export interface Content {
  /** `logId:offset topic priority receivedUs timeUs id key headers payload(base64)`, in the order of offsets. */
  readonly events: readonly string[];
  readonly lastValues: readonly string[];
  readonly windows: readonly string[];
  readonly alerts: readonly string[];
}

export interface Backend {
  /** A connection of its own to the same data. */
  open(): Promise<Store>;
  content(): Promise<Content>;
  /** Removes everything. */
  remove(): Promise<void>;
}

export interface BackendKind {
  readonly name: "memory" | "sqlite" | "postgres";
  /** Why it cannot be tested here. */
  readonly missing: string | undefined;
  create(): Promise<Backend>;
}

export const POSTGRES_TEST = { connectTimeoutMs: 2000, idleTimeoutMs: 30_000, deadlineMs: 5000 };
const ORIGIN = "test-origin";
const nowUs = () => T0_US;

export const BACKENDS: readonly BackendKind[] = [
  { name: "memory", missing: undefined, create: memoryBackend },
  { name: "sqlite", missing: undefined, create: sqliteBackend },
  { name: "postgres", missing: POSTGRES_MISSING, create: postgresBackend },
];

async function memoryBackend(): Promise<Backend> {
  const store = new MemoryStore(ORIGIN);
  return {
    open: async () => store,
    content: async () => ({
      events: store.events.map((row) => text(row)).sort(byPlace),
      lastValues: [...store.lastValues.values()].map((row) => text(row)).sort(),
      windows: [...store.windows.values()].map((
        { name, key, startUs, endUs, count, sum, min, max, result },
      ) => JSON.stringify([name, key, startUs, endUs, count, sum, min, max, result])).sort(),
      alerts: [...store.alerts.values()].map((alert) =>
        JSON.stringify([
          alert.id,
          alert.rule,
          alert.severity,
          alert.raisedUs,
          alert.topic,
          alert.key,
          alert.message,
          alert.context,
        ])
      ).sort(),
    }),
    remove: async () => {},
  };
}

async function sqliteBackend(): Promise<Backend> {
  const folder = new TemporaryFolder("store");
  const path = folder.path("data", "store.db");
  return {
    open: () => SqliteStore.open({ path, origin: ORIGIN, nowUs, autoMigrate: true }),
    content: async () => {
      // Through SQL of its own, not through the reader under test.
      const database = new Database(path, { readonly: true });
      try {
        return contentOf((sql) => database.query<Record<string, unknown>, []>(sql).all());
      } finally {
        database.close();
      }
    },
    remove: async () => folder.remove(),
  };
}

async function postgresBackend(): Promise<Backend> {
  const server = await PostgresServer.start();
  return {
    open: () =>
      PostgresStore.open({
        postgres: { ...POSTGRES_TEST, url: server.url },
        origin: ORIGIN,
        nowUs,
        autoMigrate: true,
      }),
    content: async () =>
      contentOf((sql) => {
        const rows = server.sql(`SELECT coalesce(json_agg(q), '[]') FROM (${sql}) q`);
        return JSON.parse(rows).map((row: Record<string, unknown>) => ({
          ...row,
          ...(typeof row["payload"] === "string"
            ? { payload: Buffer.from(row["payload"].slice(2), "hex") }
            : {}),
        }));
      }),
    remove: () => server.remove(),
  };
}

function contentOf(query: (sql: string) => Record<string, unknown>[]): Content {
  const eventText = (row: Record<string, unknown>) =>
    text({
      logId: Number(row["log_id"]),
      offset: Number(row["log_offset"]),
      topic: String(row["topic"]),
      priority: Number(row["priority"]),
      receivedUs: Number(row["received_us"]),
      timeUs: row["time_us"] as number | null,
      id: row["message_id"] as string | null,
      key: row["event_key"] as string | null,
      headers: row["headers"] as string | null,
      payload: row["payload"] as Uint8Array,
    });
  return {
    events: query("SELECT * FROM events").map(eventText).sort(byPlace),
    lastValues: query("SELECT * FROM last_values").map(eventText).sort(),
    windows: query("SELECT * FROM window_results").map((row) => JSON.stringify(Object.values(row))).sort(),
    alerts: query("SELECT * FROM alerts").map((row) => JSON.stringify(Object.values(row))).sort(),
  };
}

function text(row: {
  logId: number;
  offset: number;
  topic: string;
  priority: number;
  receivedUs: number;
  timeUs: number | null;
  id: string | null;
  key: string | null;
  headers: string | null;
  payload: Uint8Array;
}): string {
  const { logId, offset, topic, priority, receivedUs, timeUs, id, key, headers, payload } = row;
  const rest = [
    topic,
    priority,
    receivedUs,
    timeUs,
    id,
    key,
    headers,
    Buffer.from(payload).toString("base64"),
  ];
  return `${logId}:${offset} ${JSON.stringify(rest)}`;
}

function byPlace(a: string, b: string): number {
  const [logA = 0, offsetA = 0] = a.split(" ", 1)[0]?.split(":").map(Number) ?? [];
  const [logB = 0, offsetB = 0] = b.split(" ", 1)[0]?.split(":").map(Number) ?? [];
  return logA - logB || offsetA - offsetB;
}

/** A reader of a SQLite file. */
export function sqliteReader(path: string): StoreReader {
  return new StoreReader(new SqliteRunner(path));
}

/** A reader of a PostgreSQL server, with replicas. */
export function postgresRunner(url: string, replicas: readonly string[] = []): PostgresRunner {
  return new PostgresRunner({
    primary: { ...POSTGRES_TEST, url, slots: 20 },
    replicas,
    maxLagMs: 100,
    checkIntervalMs: 50,
  });
}
