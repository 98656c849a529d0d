/** Migrations on PostgreSQL. */
import { EscError } from "../errors.ts";
import {
  type AppliedMigration,
  type Migration,
  migrationFailure,
  type MigrationTarget,
} from "./migrations.ts";
import { type PostgresOptions, PostgresPool } from "./postgres-pool.ts";

/** One number for every esc: whoever holds this advisory lock migrates. */
const LOCK = 7310585160237223;
/** An index on a large table takes its time; and one may have to wait for another who migrates. */
const DEADLINE_MS = 30 * 60_000;

export class PostgresMigrations implements MigrationTarget {
  readonly #pool: PostgresPool;
  /** The lock belongs to a session, so it has one for itself. */
  readonly #lock: PostgresPool;

  constructor(options: Omit<PostgresOptions, "slots">) {
    // The time limit of a server that cannot be reached stays as it is.
    this.#pool = new PostgresPool({ ...options, slots: 1, deadlineMs: DEADLINE_MS });
    this.#lock = new PostgresPool({ ...options, slots: 1, deadlineMs: DEADLINE_MS });
  }

  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    return await this.#lock.transaction(async (sql) => {
      await sql`SELECT pg_advisory_xact_lock(${LOCK})`;
      return await work();
    });
  }

  async applied(): Promise<readonly AppliedMigration[]> {
    return await this.#pool.run(async (sql) => {
      const [table] = await sql<{ oid: string | null }[]>`SELECT to_regclass('migrations')::text AS oid`;
      if (table?.oid === null) return [];
      const rows = await sql<{ name: string; checksum: string; executed_at: Date }[]>`
        SELECT name, checksum, executed_at FROM migrations ORDER BY id`;
      return rows.map(({ name, checksum, executed_at }) => ({
        name,
        checksum,
        executedAt: executed_at.toISOString(),
      }));
    });
  }

  async run(migration: Migration, direction: "up" | "down"): Promise<void> {
    try {
      await this.#pool.transaction(async (sql) => {
        await sql`
          CREATE TABLE IF NOT EXISTS migrations (
            id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
            checksum text NOT NULL, executed_at timestamptz NOT NULL DEFAULT now())`;
        const before = await sql`SELECT pg_current_xact_id()::text AS id`;
        // The text of a file, as many statements as it has; it takes no parameters.
        const text = direction === "up" ? migration.up : migration.down;
        if (text !== "") await sql.unsafe(text).simple();
        const after = await sql`SELECT pg_current_xact_id()::text AS id`;
        if (before[0]?.["id"] !== after[0]?.["id"]) {
          throw new EscError("STORE_SCHEMA", "it ended the transaction that it runs in");
        }
        if (direction === "up") {
          await sql`INSERT INTO migrations (name, checksum) VALUES (${migration.name}, ${migration.checksum})`;
        } else await sql`DELETE FROM migrations WHERE name = ${migration.name}`;
      });
    } catch (error) {
      if (error instanceof EscError && error.code === "STORE_UNAVAILABLE") throw error;
      throw migrationFailure(migration, direction, error);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#lock.close()]);
  }
}
