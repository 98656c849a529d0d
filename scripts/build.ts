/** `npm run build`: compiles esc into one executable, `dist/esc`. */
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { WORKER_ENTRIES } from "../src/threads.ts";
import { buildDashboard } from "./build-dashboard.ts";

/** The repository. */
export const ROOT = join(import.meta.dir, "..");

/** Where the executable is built. */
export const EXECUTABLE = join(ROOT, "dist", "esc");

/** What the executable is made from; a folder stands for all files in it. */
const SOURCES = [
  "cli",
  "src",
  "bench",
  "config",
  "package.json",
  "package-lock.json",
  "scripts/build.ts",
  "scripts/build-dashboard.ts",
];

/**
 * Compiles `cli/esc.ts` and every worker entry into one executable.
 *
 * Names are kept (no identifier mangling), as error names are printed and logged. The executable must not
 * read `.env` or `bunfig.toml` of the folder it happens to run in: a `preload` there would run before us.
 * When the compiler fails it has said why on stderr, and this process ends with its status.
 *
 * @param outfile Path of the executable. Workers are found whatever it is called.
 * @param root Repository to build; a test builds a small one of the same shape.
 */
export function build(outfile: string, root = ROOT): void {
  mkdirSync(dirname(outfile), { recursive: true });
  const status = buildDashboard(root);
  if (status !== 0) process.exit(status);
  const { exitCode } = Bun.spawnSync([
    process.execPath,
    "build",
    "--compile",
    "--bytecode",
    "--format=esm",
    "--minify-whitespace",
    "--minify-syntax",
    "--sourcemap",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    "cli/esc.ts",
    ...WORKER_ENTRIES,
    "--outfile",
    outfile,
  ], { cwd: root, stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  // The compiler has said what is wrong: a stack of this script would only hide it.
  if (exitCode !== 0) process.exit(exitCode);
}

/** Compiles `dist/esc` unless it is newer than everything it is made from. */
export function buildIfStale(): void {
  const builtMs = statSync(EXECUTABLE, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (SOURCES.some((source) => newestMs(join(ROOT, source)) >= builtMs)) build(EXECUTABLE);
}

/** When the newest file at or below this path was changed, in milliseconds since the epoch. */
function newestMs(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return 0;
  if (!status.isDirectory()) return status.mtimeMs;
  // A folder's own time tells of files that were removed.
  return readdirSync(path).reduce(
    (newest, name) => Math.max(newest, newestMs(join(path, name))),
    status.mtimeMs,
  );
}

if (import.meta.main) build(EXECUTABLE);
