/**
 * Thread entry: answers questions to a SQLite file, one after the other, so that a long one delays nobody but
 * other questions. The thread that asks may end this one at any time.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, EscError } from "../errors.ts";
import type { SelectResult } from "./reader.ts";
import { SqliteRunner } from "./sqlite-runner.ts";

export interface QueryWorkerOptions {
  readonly path: string;
}

/** Either a compiled query with its parameters, or a free SELECT. */
export type QueryRequest =
  & { readonly id: number; readonly sql: string }
  & ({ readonly parameters: readonly (string | number | null)[] } | { readonly rowsMax: number });

export type QueryAnswer =
  | { readonly id: number; readonly rows: unknown[] | SelectResult }
  | { readonly id: number; readonly code: ErrorCode; readonly message: string };

const port = parentPort;
if (port === null) throw new Error("The query thread runs as a worker thread only");
const { path } = workerData as QueryWorkerOptions;
// Kept for a later question to try again, when the file is not there yet.
let runner: SqliteRunner | undefined;

async function answer(request: QueryRequest): Promise<QueryAnswer> {
  try {
    runner ??= new SqliteRunner(path);
    const rows = "parameters" in request
      ? await runner.all(request.sql, request.parameters)
      : await runner.select(request.sql, request.rowsMax);
    return { id: request.id, rows };
  } catch (error) {
    const code = error instanceof EscError ? error.code : "INTERNAL";
    return { id: request.id, code, message: error instanceof Error ? error.message : String(error) };
  }
}

port.on("message", (request: QueryRequest) => void answer(request).then((reply) => port.postMessage(reply)));
