/** Opens the store and its reading side as the options say. Only the backend that is used is loaded. */
import type { StoreOptions } from "./options.ts";
import type { StoreReader } from "./reader.ts";
import type { Store } from "./store.ts";

/** Opens the writing side. @throws {EscError} STORE_UNAVAILABLE, STORE_SCHEMA, TIMEOUT. */
export async function openStore(options: StoreOptions, nowUs: () => number): Promise<Store> {
  const { backend, origin, autoMigrate, migrations } = options;
  const common = { origin, nowUs, autoMigrate, migrations };
  if (backend.kind === "sqlite") {
    const { SqliteStore } = await import("./sqlite.ts");
    return await SqliteStore.open({ ...common, path: backend.path });
  }
  const { PostgresStore } = await import("./postgres.ts");
  return await PostgresStore.open({ ...common, postgres: backend });
}

/** A thread that SQLite is asked on. Absent where the caller has nothing else to do than to wait. */
export interface ReaderThread {
  /** Where `query-worker.ts` is. */
  readonly url: URL;
  /** Time for one question. */
  readonly deadlineMs: number;
}

/** Opens the reading side; a server or thread is reached with the first query. @throws {EscError} STORE_UNAVAILABLE. */
export async function openReader(
  backend: StoreOptions["backend"],
  thread?: ReaderThread,
): Promise<StoreReader> {
  const { StoreReader } = await import("./reader.ts");
  if (backend.kind === "sqlite") {
    if (thread !== undefined) {
      const { QueryThread } = await import("./query-thread.ts");
      return new StoreReader(new QueryThread({ ...thread, path: backend.path }));
    }
    const { SqliteRunner } = await import("./sqlite-runner.ts");
    return new StoreReader(new SqliteRunner(backend.path));
  }
  const { PostgresRunner } = await import("./postgres-runner.ts");
  return new StoreReader(
    new PostgresRunner({
      primary: { ...backend, slots: backend.poolSize },
      replicas: backend.replicas,
      maxLagMs: backend.maxReplicaLagMs,
      checkIntervalMs: backend.replicaCheckIntervalMs,
    }),
  );
}
