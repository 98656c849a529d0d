/**
 * The worker entry files of the executable, and how a thread finds them.
 *
 * `scripts/build.ts` hands every entry of this list to the compiler beside `cli/esc.ts`. In the executable
 * an entry lies at `/$bunfs/root/<path from the repository root>` with `.js`, because the common parent of
 * all entries is the repository root, and `import.meta.url` of every module is `file:///$bunfs/root/<name
 * of the executable>`. From source each module has its own URL. `workerUrl()` is right in both, and is the
 * only way to name a worker: a relative URL elsewhere works in one of the two.
 */

/** Every file that is started as a worker thread, from the repository root. */
export const WORKER_ENTRIES = [
  "src/ingest/worker.ts",
  "src/ingest/feeds/worker.ts",
  "src/dispatch/worker.ts",
  "src/process/worker.ts",
  "src/store/worker.ts",
  "src/store/query-worker.ts",
  "src/config/load-thread.ts",
  "src/engine-processor-worker.ts",
  "bench/ring-thread.ts",
  "bench/hop-thread.ts",
  "bench/relay-thread.ts",
] as const;

export type WorkerEntry = (typeof WORKER_ENTRIES)[number];

/** Whether this code runs inside the compiled executable rather than from source. */
export const IS_EXECUTABLE = import.meta.url.includes("/$bunfs/");

/** The URL to start a worker thread with: `new Worker(workerUrl("src/ingest/worker.ts"))`. */
export function workerUrl(entry: WorkerEntry): URL {
  return new URL(IS_EXECUTABLE ? `./${entry.replace(/\.ts$/, ".js")}` : `../${entry}`, import.meta.url);
}
