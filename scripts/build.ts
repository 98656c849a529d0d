/** `npm run build`: compiles esc into one executable, `dist/esc`. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { WORKER_ENTRIES } from "../src/threads.ts";

const ROOT = join(import.meta.dir, "..");

/** Where the executable is built, from the repository root. */
export const EXECUTABLE = "dist/esc";

/**
 * Compiles `cli/esc.ts` and every worker entry into one executable.
 *
 * Names are kept (no identifier mangling), as error names are printed and logged. The executable must not
 * read `.env` or `bunfig.toml` of the folder it happens to run in: a `preload` there would run before us.
 *
 * @param outfile Path of the executable. Workers are found whatever it is called.
 * @throws {Error} If the compiler fails; its messages are on stderr.
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
  if (exitCode !== 0) throw new Error(`Cannot compile ${outfile}: bun build ended with ${exitCode}`);
}

if (import.meta.main) build(join(ROOT, EXECUTABLE));
