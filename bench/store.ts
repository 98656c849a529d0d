/**
 * How fast the stores take events, and how fast they answer.
 *
 *     bun bench/store.ts [--rows 200000] [--questions 2000]
 *
 * Writing: batches of 5,000 events of 100 bytes, each batch one transaction with its position, against the
 * limit of the same server: one plain COPY of the same rows into the same table, and unnest instead of COPY.
 * Every figure is checked first: the store must hold exactly the rows. Reading: latencies of the questions
 * that docs/stores.md documents. Each is done three times; least, median and greatest are printed.
 */
import { cpus } from "node:os";
import { finished } from "node:stream/promises";
import postgres from "postgres";
import { encodeFrame } from "../src/event/encode.ts";
import { CopyBinary } from "../src/store/copy-binary.ts";
import { eventRow, EventRows } from "../src/store/event-rows.ts";
import { PostgresRunner } from "../src/store/postgres-runner.ts";
import { PostgresStore } from "../src/store/postgres.ts";
import { StoreReader } from "../src/store/reader.ts";
import { SqliteRunner } from "../src/store/sqlite-runner.ts";
import { SqliteStore } from "../src/store/sqlite.ts";
import type { Store } from "../src/store/store.ts";
import { POSTGRES_MISSING, PostgresServer } from "../tests/support/postgres.ts";
import { TemporaryFolder } from "../tests/support/temp.ts";

const ROWS = argument("rows", 200_000);
const QUESTIONS = argument("questions", 2_000);
const BATCH = 5_000;
const ROUNDS = 3;
const KEYS = 10_000;
const T0_US = 1_767_323_045_000_000;
const POSTGRES = { connectTimeoutMs: 2000, idleTimeoutMs: 30_000, deadlineMs: 60_000 };
const nowUs = () => Date.now() * 1000;

function argument(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

/** Events of 20 topics and many keys, a millisecond apart. */
function batch(logId: number, from: number): EventRows {
  const rows = new EventRows(BATCH, 1 << 24);
  for (let offset = from; offset < from + BATCH; offset++) {
    const frame = encodeFrame({
      topic: `orders.${offset % 20}`,
      key: `user${offset * 7919 % KEYS}`,
      payload: `{"order":${String(offset).padStart(9, "0")},"text":"${"x".repeat(70)}"}`,
      priority: 2,
    });
    rows.add(logId, offset, T0_US + offset * 1000, frame, 0);
  }
  return rows;
}

/** Stores `ROWS` rows exactly once. @returns Rows a second. */
async function write(store: Store, lane: string): Promise<number> {
  const [position] = await store.positions("bench", [{ lane, shard: 0, startOffset: 0 }]);
  const logId = position?.logId ?? -1;
  let busyMs = 0;
  for (let from = 0; from < ROWS; from += BATCH) {
    const events = batch(logId, from);
    const startMs = performance.now();
    const moves = [{ logId, fromOffset: from, nextOffset: from + BATCH }];
    const result = await store.commit({ consumer: "bench", moves, events });
    busyMs += performance.now() - startMs;
    if (result !== "committed") throw new Error("a commit was refused");
  }
  return ROWS / busyMs * 1000;
}

async function rounds(work: (round: number) => Promise<number>): Promise<number[]> {
  const figures: number[] = [];
  for (let round = 0; round < ROUNDS; round++) figures.push(await work(round));
  return figures.sort((a, b) => a - b);
}

function show(what: string, figures: readonly number[], unit: string, against?: number): void {
  const median = figures[figures.length >> 1] ?? 0;
  const ratio = against === undefined ? "" : `, ${(median / against).toFixed(2)} of plain COPY`;
  const round = (value: number) => value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(2);
  console.log(
    `${what}: ${round(median)} ${unit} (${round(figures[0] ?? 0)} .. ${round(figures.at(-1) ?? 0)})${ratio}`,
  );
}

/** p95 of each documented question, in milliseconds. */
async function read(name: string, reader: StoreReader): Promise<void> {
  let number = 0;
  const next = () => number++ * 7919;
  const questions: Record<string, () => Promise<unknown>> = {
    "100 newest of a topic": () =>
      reader.events({ topic: `orders.${next() % 20}`, order: "desc", limit: 100 }),
    "20 newest of a key and topic": () =>
      reader.events({
        topic: `orders.${next() % 20}`,
        key: `user${next() % KEYS}`,
        order: "desc",
        limit: 20,
      }),
    "20 newest of a key": () => reader.events({ key: `user${next() % KEYS}`, order: "desc", limit: 20 }),
    "100 from a moment": () =>
      reader.events({ fromUs: T0_US + next() % ROWS * 1000, order: "asc", limit: 100 }),
    "last value of a topic": () => reader.lastValues(`orders.${next() % 20}`),
  };
  for (const [question, ask] of Object.entries(questions)) {
    const figures = await rounds(async () => {
      const times: number[] = [];
      for (let count = 0; count < QUESTIONS; count++) {
        const startMs = performance.now();
        await ask();
        times.push(performance.now() - startMs);
      }
      return times.sort((a, b) => a - b)[Math.floor(QUESTIONS * 0.95)] ?? 0;
    });
    show(`${name}, ${question}, p95`, figures, "ms");
  }
}

async function benchSqlite(): Promise<void> {
  const folder = new TemporaryFolder("bench-store");
  const path = folder.path("store.db");
  const store = await SqliteStore.open({ path, origin: "bench", nowUs, autoMigrate: true });
  const figures = await rounds((round) => write(store, `l${round}`));
  await store.close();
  const reader = new StoreReader(new SqliteRunner(path));
  const { rows } = await reader.select("SELECT count(*) FROM events", 1);
  if (Number(rows[0]?.[0]) !== ROWS * ROUNDS) throw new Error(`SQLite holds ${rows[0]?.[0]} rows`);
  show("SQLite, exactly once", figures, "rows/s");
  await read(`SQLite with ${(ROWS * ROUNDS).toLocaleString("en")} rows`, reader);
  await reader.close();
  folder.remove();
}

async function benchPostgres(): Promise<void> {
  if (POSTGRES_MISSING !== undefined) {
    console.log(`PostgreSQL left out: ${POSTGRES_MISSING}`);
    return;
  }
  const server = await PostgresServer.start({ settings: ["fsync=on", "shared_buffers=512MB"] });
  const store = await PostgresStore.open({
    postgres: { ...POSTGRES, url: server.url },
    origin: "bench",
    nowUs,
    autoMigrate: true,
  });
  // Makes the partitions, so that the plain COPY finds them.
  await write(store, "warm-up");
  server.sql("TRUNCATE events");
  const sql = postgres(server.url, { max: 1 });
  const copy = new CopyBinary();
  const plain = await rounds(async (round) => {
    const files: Buffer[] = [];
    for (let from = 0; from < ROWS; from += BATCH) {
      files.push(Buffer.from(copy.encode(batch(1000 + round, from))));
    }
    const startMs = performance.now();
    for (const file of files) {
      const target = await sql`COPY events FROM STDIN WITH (FORMAT binary)`.writable();
      target.end(file);
      await finished(target);
    }
    return ROWS / (performance.now() - startMs) * 1000;
  });
  const limit = plain[ROUNDS >> 1] ?? 0;
  show("PostgreSQL, plain COPY, already encoded", plain, "rows/s");
  server.sql("TRUNCATE events");
  const unnest = await rounds((round) => writeUnnest(sql, 2000 + round));
  show("PostgreSQL, unnest", unnest, "rows/s", limit);
  await sql.end();
  server.sql("TRUNCATE events");
  const figures = await rounds((round) => write(store, `l${round}`));
  const count = Number(server.sql("SELECT count(*) FROM events"));
  if (count !== ROWS * ROUNDS) throw new Error(`PostgreSQL holds ${count} rows`);
  show("PostgreSQL, exactly once by binary COPY", figures, "rows/s", limit);
  await store.close();
  server.sql("ANALYZE");
  const runner = new PostgresRunner({
    primary: { ...POSTGRES, url: server.url, slots: 20 },
    replicas: [],
    maxLagMs: 100,
    checkIntervalMs: 1000,
  });
  await read(`PostgreSQL with ${count.toLocaleString("en")} rows`, new StoreReader(runner));
  await runner.close();
  await server.remove();
}

async function writeUnnest(sql: postgres.Sql, logId: number): Promise<number> {
  let busyMs = 0;
  for (let from = 0; from < ROWS; from += BATCH) {
    const events = batch(logId, from);
    const startMs = performance.now();
    const rows = Array.from({ length: events.count }, (_, index) => eventRow(events, index));
    await sql`
      INSERT INTO events SELECT * FROM unnest(
        ${sql.array(rows.map((row) => row.logId), 1007)}, ${sql.array(rows.map((row) => row.offset), 1016)},
        ${sql.array(rows.map((row) => row.topic), 1009)}, ${sql.array(rows.map((row) => row.priority), 1005)},
        ${sql.array(rows.map((row) => row.receivedUs), 1016)}, ${
      sql.array(rows.map((row) => row.timeUs), 1016)
    },
        ${sql.array(rows.map((row) => row.id), 1009)}, ${sql.array(rows.map((row) => row.key), 1009)},
        ${sql.array(rows.map((row) => row.headers), 1009)},
        ${sql.array(rows.map((row) => Buffer.from(row.payload)), 1001)})`;
    busyMs += performance.now() - startMs;
  }
  return ROWS / busyMs * 1000;
}

console.log(
  `${ROWS.toLocaleString("en")} rows a round, ${ROUNDS} rounds; ${cpus().length} x ${cpus()[0]?.model}`,
);
await benchSqlite();
await benchPostgres();
