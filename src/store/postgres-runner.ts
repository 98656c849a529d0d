/**
 * Runs queries on PostgreSQL: on a replica that is fresh enough, in turns, else on the primary.
 *
 * Freshness is measured, not assumed: the primary's WAL position is sampled, and a replica's lag is the age of
 * the oldest sample it has not replayed. A replica whose stream is cut looks caught up to itself, but not here.
 *
 *     used ⇔ it answered the last check, and its lag was ≤ maxLagMs
 *
 * A read that fails because of its server is tried on the next one, until the deadline.
 */
import type { CompiledQuery } from "kysely";
import { EscError } from "../errors.ts";
import { isConnectionProblem, placeOf, type PostgresOptions, PostgresPool } from "./postgres-pool.ts";
import { QueryMeter } from "./query-meter.ts";
import type { SelectResult, SqlRunner } from "./reader.ts";

export interface PostgresRunnerOptions {
  readonly primary: PostgresOptions;
  /** URLs of the replicas. */
  readonly replicas: readonly string[];
  readonly maxLagMs: number;
  /** Time between two checks of the replicas. */
  readonly checkIntervalMs: number;
}

/** WAL positions of the primary that are remembered: enough for the greatest lag worth telling apart. */
const SAMPLES_MAX = 256;
/** Lag of a replica that has replayed none of the samples, or does not answer. */
const LAG_UNKNOWN_MS = Infinity;

/** SQLSTATE of a statement that would write in a read-only transaction. */
const READ_ONLY = "25006";

interface Sample {
  readonly atMs: number;
  /** Bytes from the beginning of the WAL. */
  readonly position: number;
}

/** What is known of one server. */
export interface ServerState {
  readonly place: string;
  readonly pool: PostgresPool;
  isUsable: boolean;
  /** Milliseconds; `Infinity` while it cannot be told. */
  lagMs: number;
}

export class PostgresRunner implements SqlRunner {
  readonly kind = "postgres";
  readonly meter = new QueryMeter();
  readonly primary: PostgresPool;
  readonly replicas: readonly ServerState[];
  readonly #options: PostgresRunnerOptions;
  readonly #samples: Sample[] = [];
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: PostgresRunnerOptions) {
    this.#options = options;
    this.primary = new PostgresPool(options.primary);
    this.replicas = options.replicas.map((url): ServerState => ({
      place: placeOf(url),
      pool: new PostgresPool({ ...options.primary, url }),
      isUsable: false,
      lagMs: LAG_UNKNOWN_MS,
    }));
    if (this.replicas.length > 0) this.#schedule(0);
  }

  async run<Row>(query: CompiledQuery<Row>): Promise<Row[]> {
    const parameters = query.parameters as (string | number | null)[];
    return await this.meter.measure(() =>
      this.#anywhere(async (pool, deadlineMs) => {
        const rows = await pool.run(
          (sql) => sql.unsafe<Record<string, unknown>[]>(query.sql, parameters, { prepare: true }),
          deadlineMs,
        );
        return Array.from(rows) as Row[];
      })
    );
  }

  async select(text: string, rowsMax: number): Promise<SelectResult> {
    return await this.meter.measure(async () => {
      try {
        return await this.#anywhere((pool) => selectReadOnly(pool, text, rowsMax));
      } catch (error) {
        if (error instanceof EscError || !(error instanceof Error)) throw error;
        throw new EscError("USAGE", `Cannot run the query: ${error.message}`, { cause: error });
      }
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await Promise.all([this.primary, ...this.replicas.map(({ pool }) => pool)].map((pool) => pool.close()));
  }

  /** One look at all servers. Called by itself every `checkIntervalMs`. */
  async check(): Promise<void> {
    await this.#sample();
    await Promise.all(this.replicas.map((replica) => this.#checkReplica(replica)));
  }

  async #anywhere<T>(work: (pool: PostgresPool, deadlineMs: number) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + this.#options.primary.deadlineMs;
    const usable = this.replicas.filter((replica) => replica.isUsable);
    const turn = this.#turn++;
    const candidates = usable.map((_, index) => usable[(turn + index) % usable.length] as ServerState);
    for (const replica of candidates) {
      try {
        // Half of the time that is left: the next one must have a chance, too.
        return await work(replica.pool, Math.max(1, (untilMs - performance.now()) / 2));
      } catch (error) {
        if (!isConnectionProblem(error)) throw error;
        // Left out until a check finds it well.
        replica.isUsable = false;
        replica.lagMs = LAG_UNKNOWN_MS;
      }
    }
    return await work(this.primary, Math.max(1, untilMs - performance.now()));
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(async () => {
      await this.check();
      this.#schedule(this.#options.checkIntervalMs);
    }, delayMs);
    this.#timer.unref();
  }

  async #sample(): Promise<void> {
    try {
      const [row] = await this.primary.run((sql) =>
        sql<{ position: number }[]>`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS position`
      );
      if (row === undefined) return;
      this.#samples.push({ atMs: performance.now(), position: row.position });
      if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    } catch (error) {
      // Without the primary nothing new comes into being: replicas stay as old as they are.
      if (!isConnectionProblem(error)) throw error;
    }
  }

  async #checkReplica(replica: ServerState): Promise<void> {
    try {
      const [row] = await replica.pool.run((sql) =>
        sql<{ position: number | null }[]>`
          SELECT pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0'
          ) AS position`
      );
      replica.lagMs = this.#lagOf(row?.position ?? 0);
      replica.isUsable = replica.lagMs <= this.#options.maxLagMs;
    } catch {
      replica.isUsable = false;
      replica.lagMs = LAG_UNKNOWN_MS;
    }
  }

  #lagOf(position: number): number {
    const replayed = this.#samples.findLastIndex((sample) => sample.position <= position);
    if (replayed < 0) return LAG_UNKNOWN_MS;
    const next = this.#samples[replayed + 1];
    // Nothing is known to be missing: it has replayed the newest sample.
    return next === undefined ? 0 : performance.now() - next.atMs;
  }
}

/** One SELECT in a read-only transaction, through a cursor, so that only the rows asked for are sent. */
async function selectReadOnly(pool: PostgresPool, text: string, rowsMax: number): Promise<SelectResult> {
  return await pool.transaction(async (sql) => {
    await sql`SET TRANSACTION READ ONLY`;
    const rows: unknown[][] = [];
    let columns: readonly string[] = [];
    let isCut = false;
    try {
      await sql.unsafe(text).values().cursor(Math.min(rowsMax + 1, 1000), (batch) => {
        columns = (batch as { columns?: { name: string }[] }).columns?.map(({ name }) => name) ?? columns;
        for (const row of batch) {
          if (rows.length === rowsMax) isCut = true;
          else rows.push(row);
        }
        return isCut ? sql.CLOSE : undefined;
      });
    } catch (error) {
      // The database is well: it is the query that wanted to write.
      if (error instanceof Error && "code" in error && error.code === READ_ONLY) {
        throw new EscError("USAGE", `Cannot run the query: ${error.message}`, { cause: error });
      }
      throw error;
    }
    return { columns, rows, isCut };
  });
}
