/**
 * Builds the package into `dist/`, or the folder named: `esc.js` for every runtime, `tcp.js` for those with
 * `node:net`, what both share, and declarations of types.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..", "..");
const HERE = join(ROOT, "clients", "typescript");

/**
 * @param folder Emptied first.
 * @param more Programs of this folder to build upon the package, such as `conformance.ts`.
 * @throws {AggregateError} What the bundler or the compiler does not like.
 */
export async function buildPackage(folder: string, more: readonly string[] = []): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  await Bun.build({
    entrypoints: ["esc.ts", "tcp.ts", ...more].map((name) => join(HERE, name)),
    outdir: folder,
    format: "esm",
    // The errors of both entries have to be one class.
    splitting: true,
    target: "browser",
    external: ["node:*"],
    sourcemap: "linked",
  });
  declareTypes(join(folder, "types"));
}

function declareTypes(folder: string): void {
  const { exitCode, stdout } = Bun.spawnSync([
    join(ROOT, "node_modules", ".bin", "tsc"),
    "-p",
    join(HERE, "tsconfig.json"),
    "--outDir",
    folder,
  ], { cwd: ROOT, stdin: "ignore", stderr: "inherit" });
  if (exitCode !== 0) throw new Error(`The types cannot be declared:\n${stdout}`);
}

if (import.meta.main) await buildPackage(join(HERE, "dist"));
