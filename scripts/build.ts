/** `npm run build`: compiles esc into one executable, `dist/esc`. */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { WORKER_ENTRIES } from "../src/threads.ts";

/** The repository. */
export const ROOT = join(import.meta.dir, "..");

/** Where the executable is built. */
export const EXECUTABLE = join(ROOT, "dist", "esc");

/** What the executable is made from; a folder stands for all files in it. */
const SOURCES = ["cli", "src", "config", "package.json", "package-lock.json", "scripts/build.ts"];

/**
 * Compiles `cli/esc.ts` and every worker entry into one executable.
 *
 * Names are kept (no identifier mangling), as error names are printed and logged. The executable must not
 * read `.env` or `bunfig.toml` of the folder it happens to run in: a `preload` there would run before us.
 *
 * @param outfile Path of the executable. Workers are found whatever it is called.
 *   Ends this process when the compiler fails; its messages are on stderr.
 */
export function build(outfile: string): void {
  mkdirSync(dirname(outfile), { recursive: true });
  const workers = WORKER_ENTRIES.filter((entry) => {
    if (existsSync(join(ROOT, entry))) return true;
    console.error(`build: ${entry} does not exist yet, left out`);
    return false;
  });
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
    ...workers,
    "--outfile",
    outfile,
  ], { cwd: ROOT, stdin: "ignore", stdout: "inherit", stderr: "inherit" });
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
