/**
 * The store in one SQLite file: nothing to install, and the default where topics are to be stored.
 *
 * WAL mode with `synchronous = FULL`: a commit that was answered survives power loss. One connection writes
 * (the sink's thread); any number of readers have their own. Calls are synchronous inside, so the thread
 * that commits blocks for the disk; the hot path never waits for it.
 */
import { Database, type Statement } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { EscError } from "../errors.ts";
import { type EventRow, eventRow, type EventRows, lastOfTopics } from "./event-rows.ts";
import { type Migration, ownMigrations, prepareSchema } from "./migrations.ts";
import { SqliteMigrations } from "./sqlite-migrations.ts";
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

/** How long a writer waits for another process that writes the same file. */
const BUSY_TIMEOUT_MS = 5_000;
/** Pages of indexes that a writer keeps at hand: with the default of 2 MiB most inserts read first. */
const WRITER_CACHE_KIB = 32 * 1024;
/** Pages of 4 KiB in the write-ahead log after which it is worked into the file. */
const CHECKPOINT_PAGES = 8_192;
/** Rows that `prune()` deletes in one transaction, so that commits get their turn. */
const PRUNE_ROWS = 10_000;

export interface SqliteOptions {
  readonly path: string;
  /** Names the data directory whose logs are read. */
  readonly origin: string;
  readonly nowUs: () => number;
  /** Bring the schema up to date when opening; otherwise refuse an old one. */
  readonly autoMigrate: boolean;
  /** The user's migrations. */
  readonly migrations?: readonly Migration[];
}

type EventValues = [
  number,
  number,
  string,
  number,
  number,
  number | null,
  string | null,
  string | null,
  string | null,
  Uint8Array,
];

/** Opens a database file the way every connection of esc does. @throws {EscError} STORE_UNAVAILABLE. */
export function openSqlite(path: string, { readonly }: { readonly: boolean }): Database {
  try {
    if (!readonly) mkdirSync(dirname(path), { recursive: true });
    const database = new Database(path, readonly ? { readonly: true } : { create: true, readwrite: true });
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    if (!readonly) {
      database.run("PRAGMA journal_mode = WAL");
      database.run("PRAGMA synchronous = FULL");
      database.run("PRAGMA foreign_keys = ON");
      database.run(`PRAGMA cache_size = ${-WRITER_CACHE_KIB}`);
      database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
    return database;
  } catch (error) {
    throw unavailable(`open ${path}`, error);
  }
}

export class SqliteStore implements Store {
  readonly #database: Database;
  readonly #options: SqliteOptions;
  readonly #insertEvent: Statement<unknown, EventValues>;
  readonly #upsertLast: Statement<unknown, EventValues>;
  readonly #move: Statement<unknown, [number, number, string, number, number]>;

  private constructor(database: Database, options: SqliteOptions) {
    this.#database = database;
    this.#options = options;
    this.#insertEvent = database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#upsertLast = database.prepare(
      `INSERT INTO last_values (log_id, log_offset, topic, priority, received_us, time_us, message_id,
         event_key, headers, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (topic) DO UPDATE SET log_id = excluded.log_id, log_offset = excluded.log_offset,
         priority = excluded.priority, received_us = excluded.received_us, time_us = excluded.time_us,
         message_id = excluded.message_id, event_key = excluded.event_key, headers = excluded.headers,
         payload = excluded.payload
       WHERE excluded.received_us >= last_values.received_us`,
    );
    this.#move = database.prepare(
      `UPDATE positions SET next_offset = ?, updated_us = ?
       WHERE consumer = ? AND log_id = ? AND next_offset = ?`,
    );
  }

  /** Opens the file, creates it where there is none, and brings its schema up to date. */
  static async open(options: SqliteOptions): Promise<SqliteStore> {
    const database = openSqlite(options.path, { readonly: false });
    try {
      const known = [...ownMigrations("sqlite"), ...(options.migrations ?? [])];
      await prepareSchema(new SqliteMigrations(database), known, { auto: options.autoMigrate });
      return new SqliteStore(database, options);
    } catch (error) {
      database.close();
      throw error instanceof EscError ? error : unavailable(`open ${options.path}`, error);
    }
  }

  async positions(consumer: string, places: readonly LogPlace[]): Promise<readonly LogPosition[]> {
    return this.#transaction(() => places.map((place) => this.#position(consumer, place)));
  }

  #position(consumer: string, { lane, shard, startOffset }: LogPlace): LogPosition {
    const { origin, nowUs } = this.#options;
    const database = this.#database;
    database.query("INSERT INTO logs (origin, lane, shard) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
      .run(origin, lane, shard);
    const log = database.query<{ id: number }, [string, string, number]>(
      "SELECT id FROM logs WHERE origin = ? AND lane = ? AND shard = ?",
    ).get(origin, lane, shard);
    const logId = log?.id ?? 0;
    database.query("INSERT INTO positions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
      .run(consumer, logId, startOffset, nowUs());
    const position = database.query<{ next_offset: number }, [string, number]>(
      "SELECT next_offset FROM positions WHERE consumer = ? AND log_id = ?",
    ).get(consumer, logId);
    return { logId, nextOffset: position?.next_offset ?? startOffset };
  }

  async commit(effects: Effects): Promise<CommitResult> {
    return this.#transaction((rollback) => {
      if (!this.#moveAll(effects)) {
        rollback();
        return "conflict";
      }
      if (effects.events !== undefined) this.#writeEvents(effects.events);
      if (effects.windows !== undefined) this.#writeWindows(effects.windows);
      if (effects.alerts !== undefined) this.#writeAlerts(effects.alerts);
      if (effects.checkpoints !== undefined) this.#writeCheckpoints(effects.consumer, effects.checkpoints);
      return "committed";
    });
  }

  async checkpoint(consumer: string, name: string): Promise<Uint8Array | undefined> {
    return this.#database.query<{ state: Uint8Array }, [string, string]>(
      "SELECT state FROM checkpoints WHERE consumer = ? AND name = ?",
    ).get(consumer, name)?.state;
  }

  /** Deletes events received before; in pieces, each a transaction of its own. @returns How many. */
  async prune(beforeUs: number): Promise<number> {
    const statement = this.#database.query<unknown, [number, number]>(
      "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE received_us < ? LIMIT ?)",
    );
    return await inPieces(() => statement.run(beforeUs, PRUNE_ROWS).changes);
  }

  async pruneResults(windows: readonly string[], beforeUs: number): Promise<number> {
    // By name, because that is how the index goes.
    const results = this.#database.query<unknown, [string, number, number]>(
      `DELETE FROM window_results WHERE (name, window_key, start_us, end_us) IN
         (SELECT name, window_key, start_us, end_us FROM window_results WHERE name = ? AND start_us < ? LIMIT ?)`,
    );
    const alerts = this.#database.query<unknown, [number, number]>(
      "DELETE FROM alerts WHERE rowid IN (SELECT rowid FROM alerts WHERE raised_us < ? LIMIT ?)",
    );
    let deleted = await inPieces(() => alerts.run(beforeUs, PRUNE_ROWS).changes);
    for (const name of windows) {
      deleted += await inPieces(() => results.run(name, beforeUs, PRUNE_ROWS).changes);
    }
    return deleted;
  }

  async close(): Promise<void> {
    this.#insertEvent.finalize();
    this.#upsertLast.finalize();
    this.#move.finalize();
    this.#database.close();
  }

  #moveAll({ consumer, moves }: Effects): boolean {
    const nowUs = this.#options.nowUs();
    return moves.every(({ logId, fromOffset, nextOffset }) =>
      this.#move.run(nextOffset, nowUs, consumer, logId, fromOffset).changes === 1
    );
  }

  #writeEvents(rows: EventRows): void {
    for (let index = 0; index < rows.count; index++) {
      this.#insertEvent.run(...valuesOf(eventRow(rows, index)));
    }
    for (const row of lastOfTopics(rows)) this.#upsertLast.run(...valuesOf(row));
  }

  #writeWindows(windows: readonly WindowResult[]): void {
    const { withdrawn, rows } = settleWindows(windows);
    const deletion = this.#database.query(
      "DELETE FROM window_results WHERE name = ? AND window_key = ? AND start_us = ? AND end_us = ?",
    );
    for (const { name, key, startUs, endUs } of withdrawn) deletion.run(name, key, startUs, endUs);
    const statement = this.#database.query(
      `INSERT INTO window_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (name, window_key, start_us, end_us) DO UPDATE SET event_count = excluded.event_count,
         sum_value = excluded.sum_value, min_value = excluded.min_value, max_value = excluded.max_value,
         result = excluded.result`,
    );
    for (const { name, key, startUs, endUs, count, sum, min, max, result } of rows) {
      statement.run(name, key, startUs, endUs, count, sum, min, max, result);
    }
  }

  #writeAlerts(alerts: readonly StoredAlert[]): void {
    const statement = this.#database.query(
      "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    );
    for (const { id, rule, severity, raisedUs, topic, key, message, context } of alerts) {
      statement.run(id, rule, severity, raisedUs, topic, key, message, context);
    }
  }

  #writeCheckpoints(consumer: string, checkpoints: readonly Checkpoint[]): void {
    const statement = this.#database.query(
      `INSERT INTO checkpoints VALUES (?, ?, ?, ?)
       ON CONFLICT (consumer, name) DO UPDATE SET state = excluded.state, updated_us = excluded.updated_us`,
    );
    for (const { name, state } of checkpoints) {
      statement.run(consumer, name, Buffer.from(state), this.#options.nowUs());
    }
  }

  /** Runs `work` in a write transaction; `rollback()` inside leaves nothing of it. */
  #transaction<T>(work: (rollback: () => void) => T): T {
    const database = this.#database;
    try {
      database.run("BEGIN IMMEDIATE");
      const result = work(() => database.run("ROLLBACK"));
      if (database.inTransaction) database.run("COMMIT");
      return result;
    } catch (error) {
      // A failed COMMIT or a full disk may have ended the transaction already.
      if (database.inTransaction) database.run("ROLLBACK");
      throw unavailable(`write ${this.#options.path}`, error);
    }
  }
}

function valuesOf(row: EventRow): EventValues {
  return [
    row.logId,
    row.offset,
    row.topic,
    row.priority,
    row.receivedUs,
    row.timeUs,
    row.id,
    row.key,
    row.headers,
    row.payload,
  ];
}

function unavailable(action: string, error: unknown): EscError {
  const reason = error instanceof Error ? error.message : String(error);
  return new EscError("STORE_UNAVAILABLE", `Cannot ${action}: ${reason}`, {
    cause: error,
    hint: "Check the folder, its permissions and the free space of its disk",
  });
}

/** Deletes at most `PRUNE_ROWS` at a time, so that others get to the database in between. */
async function inPieces(deleteSome: () => number): Promise<number> {
  let deleted = 0;
  for (;;) {
    const changes = deleteSome();
    deleted += changes;
    if (changes < PRUNE_ROWS) return deleted;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
