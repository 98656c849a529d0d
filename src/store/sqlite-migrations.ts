/** Migrations on SQLite. */
import type { Database } from "bun:sqlite";
import { EscError } from "../errors.ts";
import {
  type AppliedMigration,
  type Migration,
  migrationFailure,
  type MigrationTarget,
} from "./migrations.ts";

export class SqliteMigrations implements MigrationTarget {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Each `run()` takes the write lock and looks again, so that nothing need be held between them. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    return await work();
  }

  async applied(): Promise<readonly AppliedMigration[]> {
    const table = this.#database.query(
      "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'",
    );
    if (table.get() === null) return [];
    return this.#database.query<AppliedMigration, []>(
      "SELECT name, checksum, executed_at AS executedAt FROM migrations ORDER BY id",
    ).all();
  }

  async run(migration: Migration, direction: "up" | "down"): Promise<void> {
    const database = this.#database;
    try {
      database.run("BEGIN IMMEDIATE");
      database.run(
        `CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
           checksum TEXT NOT NULL, executed_at TEXT NOT NULL)`,
      );
      const row = database.query("SELECT 1 FROM migrations WHERE name = ?").get(migration.name);
      if ((row === null) === (direction === "up")) {
        const text = direction === "up" ? migration.up : migration.down;
        if (text !== "") database.run(text);
        if (!database.inTransaction) {
          throw new EscError("STORE_SCHEMA", "it ended the transaction that it runs in");
        }
        if (direction === "up") {
          database.query("INSERT INTO migrations (name, checksum, executed_at) VALUES (?, ?, ?)")
            .run(migration.name, migration.checksum, new Date().toISOString());
        } else database.query("DELETE FROM migrations WHERE name = ?").run(migration.name);
      }
      database.run("COMMIT");
    } catch (error) {
      if (database.inTransaction) database.run("ROLLBACK");
      throw migrationFailure(migration, direction, error);
    }
  }
}
