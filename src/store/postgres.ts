/**
 * The store in PostgreSQL: events by binary COPY into partitions by day, everything of a commit in one
 * transaction on one connection.
 *
 * A commit first moves the positions, which locks their rows: a second consumer of the same name waits there
 * and then finds that it is late. After any error the connection is given up, so nothing of a broken
 * transaction can follow.
 */
import { finished } from "node:stream/promises";
import { EscError } from "../errors.ts";
import { CopyBinary } from "./copy-binary.ts";
import { type EventRows, lastOfTopics } from "./event-rows.ts";
import { type Migration, ownMigrations, prepareSchema } from "./migrations.ts";
import { PostgresMigrations } from "./postgres-migrations.ts";
import { type PostgresOptions, PostgresPool, type Session } from "./postgres-pool.ts";
import type {
  Checkpoint,
  CommitResult,
  Effects,
  LogPlace,
  LogPosition,
  Store,
  StoredAlert,
  WindowResult,
} from "./store.ts";
import { settleWindows } from "./window-rows.ts";

export interface PostgresStoreOptions {
  readonly postgres: Omit<PostgresOptions, "slots">;
  /** Names the data directory whose logs are read. */
  readonly origin: string;
  readonly nowUs: () => number;
  /** Bring the schema up to date when opening; otherwise refuse an old one. */
  readonly autoMigrate: boolean;
  /** The user's migrations. */
  readonly migrations?: readonly Migration[];
}

const DAY_US = 86_400_000_000;
/** Thrown inside a transaction to leave nothing of it. */
const CONFLICT = Symbol("conflict");

export class PostgresStore implements Store {
  readonly #options: PostgresStoreOptions;
  readonly #pool: PostgresPool;
  readonly #copy = new CopyBinary();
  /** Days whose partitions are known to be there. */
  readonly #days = new Set<number>();

  private constructor(options: PostgresStoreOptions) {
    this.#options = options;
    // One connection: a consumer commits one batch after the other.
    this.#pool = new PostgresPool({ ...options.postgres, slots: 1 });
  }

  /** Connects and brings the schema up to date. @throws {EscError} STORE_UNAVAILABLE, TIMEOUT, STORE_SCHEMA. */
  static async open(options: PostgresStoreOptions): Promise<PostgresStore> {
    const migrations = new PostgresMigrations(options.postgres);
    try {
      const known = [...ownMigrations("postgres"), ...(options.migrations ?? [])];
      await prepareSchema(migrations, known, { auto: options.autoMigrate });
    } finally {
      await migrations.close();
    }
    return new PostgresStore(options);
  }

  /** For metrics. */
  get pool(): PostgresPool {
    return this.#pool;
  }

  async positions(consumer: string, places: readonly LogPlace[]): Promise<readonly LogPosition[]> {
    const { origin, nowUs } = this.#options;
    const lanes = places.map((place) => place.lane);
    const shards = places.map((place) => place.shard);
    const starts = places.map((place) => place.startOffset);
    return await this.#pool.transaction(async (sql) => {
      await sql`
        INSERT INTO logs (origin, lane, shard)
        SELECT ${origin}, * FROM unnest(${sql.array(lanes, TEXTS)}, ${sql.array(shards, INTEGERS)})
        ON CONFLICT DO NOTHING`;
      await sql`
        INSERT INTO positions
        SELECT ${consumer}, logs.id, place.start, ${nowUs()}
        FROM unnest(${sql.array(lanes, TEXTS)}, ${sql.array(shards, INTEGERS)}, ${sql.array(starts, BIGINTS)})
          AS place (lane, shard, start)
        JOIN logs ON logs.origin = ${origin} AND logs.lane = place.lane AND logs.shard = place.shard
        ON CONFLICT DO NOTHING`;
      const rows = await sql<{ lane: string; shard: number; id: number; next_offset: number }[]>`
        SELECT lane, shard, id, next_offset FROM positions JOIN logs ON logs.id = log_id
        WHERE consumer = ${consumer} AND origin = ${origin}`;
      return places.map(({ lane, shard }) => {
        const row = rows.find((row) => row.lane === lane && row.shard === shard);
        if (row === undefined) {
          throw new EscError("INTERNAL", `The store has no position of ${lane}/${shard}`);
        }
        return { logId: row.id, nextOffset: row.next_offset };
      });
    });
  }

  async commit(effects: Effects): Promise<CommitResult> {
    const { consumer, events, windows, alerts, checkpoints } = effects;
    try {
      if (events !== undefined) await this.#ensurePartitions(events);
      await this.#pool.transaction(async (sql) => {
        await this.#move(sql, effects);
        if (events !== undefined && events.count > 0) {
          await this.#copyEvents(sql, events);
          await writeLastValues(sql, events);
        }
        if (windows !== undefined && windows.length > 0) await writeWindows(sql, windows);
        if (alerts !== undefined && alerts.length > 0) await writeAlerts(sql, alerts);
        for (const checkpoint of checkpoints ?? []) {
          await writeCheckpoint(sql, consumer, checkpoint, this.#options.nowUs());
        }
      });
      return "committed";
    } catch (error) {
      if (error === CONFLICT) return "conflict";
      // A partition may have been dropped by hand.
      this.#days.clear();
      throw error;
    }
  }

  async checkpoint(consumer: string, name: string): Promise<Uint8Array | undefined> {
    const rows = await this.#pool.run((sql) =>
      sql<{ state: Uint8Array }[]>`
        SELECT state FROM checkpoints WHERE consumer = ${consumer} AND name = ${name}`
    );
    return rows[0]?.state;
  }

  /** Drops the partitions of days that ended before. @returns How many. */
  async prune(beforeUs: number): Promise<number> {
    this.#days.clear();
    const rows = await this.#pool.run((sql) =>
      sql<{ dropped: number }[]>`SELECT esc_drop_partitions(${beforeUs}) AS dropped`
    );
    return rows[0]?.dropped ?? 0;
  }

  async pruneResults(windows: readonly string[], beforeUs: number): Promise<number> {
    return await this.#pool.run(async (sql) => {
      const results = await sql`
        DELETE FROM window_results WHERE name = ANY(${
        sql.array([...windows], TEXTS)
      }) AND start_us < ${beforeUs}`;
      const alerts = await sql`DELETE FROM alerts WHERE raised_us < ${beforeUs}`;
      return results.count + alerts.count;
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #move(sql: Session, { consumer, moves }: Effects): Promise<void> {
    const ids = sql.array(moves.map((move) => move.logId), INTEGERS);
    const froms = sql.array(moves.map((move) => move.fromOffset), BIGINTS);
    const nexts = sql.array(moves.map((move) => move.nextOffset), BIGINTS);
    const result = await sql`
      UPDATE positions SET next_offset = move.next, updated_us = ${this.#options.nowUs()}
      FROM unnest(${ids}, ${froms}, ${nexts}) AS move (log_id, start, next)
      WHERE consumer = ${consumer} AND positions.log_id = move.log_id AND next_offset = move.start`;
    if (result.count !== moves.length) throw CONFLICT;
  }

  async #copyEvents(sql: Session, events: EventRows): Promise<void> {
    const target = await sql`COPY events FROM STDIN WITH (FORMAT binary)`.writable();
    target.end(this.#copy.encode(events));
    await finished(target);
  }

  /** Before the transaction: making a partition locks the table. */
  async #ensurePartitions(events: EventRows): Promise<void> {
    const wanted = new Set<number>();
    for (let index = 0; index < events.count; index++) {
      const day = Math.floor((events.receivedUs[index] as number) / DAY_US);
      if (!this.#days.has(day)) wanted.add(day);
    }
    if (wanted.size === 0) return;
    const times = [...wanted].map((day) => day * DAY_US);
    await this.#pool.run((sql) =>
      sql`SELECT esc_ensure_partition(at_us) FROM unnest(${sql.array(times, BIGINTS)}) AS at_us`
    );
    for (const day of wanted) this.#days.add(day);
  }
}

// Types of array parameters (pg_type.oid).
const TEXTS = 1009;
const INTEGERS = 1007;
const BIGINTS = 1016;
const DOUBLES = 1022;
const BYTEAS = 1001;

async function writeLastValues(sql: Session, events: EventRows): Promise<void> {
  // In one order everywhere: two consumers that update the same topics must not wait for each other in a circle.
  const rows = lastOfTopics(events).sort((a, b) => a.topic < b.topic ? -1 : 1);
  await sql`
    INSERT INTO last_values (log_id, log_offset, topic, priority, received_us, time_us, message_id, event_key,
      headers, payload)
    SELECT * FROM unnest(
      ${sql.array(rows.map((row) => row.logId), INTEGERS)}, ${
    sql.array(rows.map((row) => row.offset), BIGINTS)
  },
      ${sql.array(rows.map((row) => row.topic), TEXTS)}, ${
    sql.array(rows.map((row) => row.priority), INTEGERS)
  },
      ${sql.array(rows.map((row) => row.receivedUs), BIGINTS)},
      ${sql.array(rows.map((row) => row.timeUs), BIGINTS)}, ${sql.array(rows.map((row) => row.id), TEXTS)},
      ${sql.array(rows.map((row) => row.key), TEXTS)}, ${sql.array(rows.map((row) => row.headers), TEXTS)},
      ${sql.array(rows.map((row) => Buffer.from(row.payload)), BYTEAS)})
    ON CONFLICT (topic) DO UPDATE SET log_id = excluded.log_id, log_offset = excluded.log_offset,
      priority = excluded.priority, received_us = excluded.received_us, time_us = excluded.time_us,
      message_id = excluded.message_id, event_key = excluded.event_key, headers = excluded.headers,
      payload = excluded.payload
    WHERE excluded.received_us >= last_values.received_us`;
}

async function writeWindows(sql: Session, windows: readonly WindowResult[]): Promise<void> {
  // A statement may not touch a row twice: of equal windows the last one counts.
  const { withdrawn, rows } = settleWindows(windows);
  if (withdrawn.length > 0) {
    await sql`
      DELETE FROM window_results USING unnest(
        ${sql.array(withdrawn.map((row) => row.name), TEXTS)}, ${
      sql.array(withdrawn.map((row) => row.key), TEXTS)
    },
        ${sql.array(withdrawn.map((row) => row.startUs), BIGINTS)}, ${
      sql.array(withdrawn.map((row) => row.endUs), BIGINTS)
    }) AS gone (name, window_key, start_us, end_us)
      WHERE window_results.name = gone.name AND window_results.window_key = gone.window_key
        AND window_results.start_us = gone.start_us AND window_results.end_us = gone.end_us`;
  }
  await sql`
    INSERT INTO window_results
    SELECT * FROM unnest(
      ${sql.array(rows.map((row) => row.name), TEXTS)}, ${sql.array(rows.map((row) => row.key), TEXTS)},
      ${sql.array(rows.map((row) => row.startUs), BIGINTS)}, ${
    sql.array(rows.map((row) => row.endUs), BIGINTS)
  },
      ${sql.array(rows.map((row) => row.count), BIGINTS)}, ${sql.array(rows.map((row) => row.sum), DOUBLES)},
      ${sql.array(rows.map((row) => row.min), DOUBLES)}, ${sql.array(rows.map((row) => row.max), DOUBLES)},
      ${sql.array(rows.map((row) => row.result), TEXTS)})
    ON CONFLICT (name, window_key, start_us, end_us) DO UPDATE SET event_count = excluded.event_count,
      sum_value = excluded.sum_value, min_value = excluded.min_value, max_value = excluded.max_value,
      result = excluded.result`;
}

async function writeAlerts(sql: Session, alerts: readonly StoredAlert[]): Promise<void> {
  const texts = (value: (alert: StoredAlert) => string | null) => sql.array(alerts.map(value), TEXTS);
  await sql`
    INSERT INTO alerts
    SELECT * FROM unnest(
      ${texts((alert) => alert.id)}, ${texts((alert) => alert.rule)}, ${texts((alert) => alert.severity)},
      ${sql.array(alerts.map((alert) => alert.raisedUs), BIGINTS)}, ${texts((alert) => alert.topic)},
      ${texts((alert) => alert.key)}, ${texts((alert) => alert.message)}, ${texts((alert) => alert.context)})
    ON CONFLICT (id) DO NOTHING`;
}

async function writeCheckpoint(
  sql: Session,
  consumer: string,
  { name, state }: Checkpoint,
  nowUs: number,
): Promise<void> {
  await sql`
    INSERT INTO checkpoints VALUES (${consumer}, ${name}, ${Buffer.from(state)}, ${nowUs})
    ON CONFLICT (consumer, name) DO UPDATE SET state = excluded.state, updated_us = excluded.updated_us`;
}
