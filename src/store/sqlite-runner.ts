/** Runs queries on a SQLite file that another thread or process may be writing to. */
import type { Database } from "bun:sqlite";
import type { CompiledQuery } from "kysely";
import { EscError } from "../errors.ts";
import { QueryMeter } from "./query-meter.ts";
import type { SelectResult, SqlRunner } from "./reader.ts";
import { openSqlite } from "./sqlite.ts";

/** Opened read-only: the database itself refuses to write. Answers at once, on the calling thread. */
export class SqliteRunner implements SqlRunner {
  readonly kind = "sqlite";
  readonly meter = new QueryMeter();
  readonly #database: Database;

  /** @throws {EscError} STORE_UNAVAILABLE if there is no such file. */
  constructor(path: string) {
    this.#database = openSqlite(path, { readonly: true });
  }

  async run<Row>(query: CompiledQuery<Row>): Promise<Row[]> {
    return await this.all<Row>(query.sql, query.parameters as (string | number | null)[]);
  }

  /** All rows of a statement. @throws {EscError} STORE_UNAVAILABLE. */
  async all<Row>(sql: string, parameters: readonly (string | number | null)[]): Promise<Row[]> {
    return await this.meter.measure(async () => {
      try {
        return this.#database.query<Row, (string | number | null)[]>(sql).all(...parameters);
      } catch (error) {
        throw new EscError("STORE_UNAVAILABLE", `The store did not answer: ${messageOf(error)}`, {
          cause: error,
        });
      }
    });
  }

  async select(sql: string, rowsMax: number): Promise<SelectResult> {
    return await this.meter.measure(async () => {
      try {
        const statement = this.#database.prepare(sql);
        try {
          if (statement.columnNames.length === 0) throw new Error("it returns no rows");
          const rows: unknown[][] = [];
          for (const row of statement.iterate() as Iterable<Record<string, unknown>>) {
            if (rows.length === rowsMax) return { columns: statement.columnNames, rows, isCut: true };
            rows.push(statement.columnNames.map((name) => row[name]));
          }
          return { columns: statement.columnNames, rows, isCut: false };
        } finally {
          statement.finalize();
        }
      } catch (error) {
        throw new EscError("USAGE", `Cannot run the query: ${messageOf(error)}`, { cause: error });
      }
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
