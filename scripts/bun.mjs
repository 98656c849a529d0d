/**
 * Starts Bun on a machine that has only Node and what `npm ci` installed: `node scripts/bun.mjs <arguments of bun>`.
 *
 * npm's package `bun` puts the real executable into place by an install script. Where npm was told not to run
 * those (`--ignore-scripts`, or a newer npm that blocks them), a placeholder of a few hundred bytes lies there:
 * then this runs that script once, after which `npx bun` works too. Plain JavaScript, as Node runs it.
 */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const PLACEHOLDER_BYTES_MAX = 1_000_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bunPackage = join(root, "node_modules", "bun");
const bun = join(bunPackage, "bin", "bun.exe"); // So named on every platform.

function isInstalled() {
  return (statSync(bun, { throwIfNoEntry: false })?.size ?? 0) > PLACEHOLDER_BYTES_MAX;
}

if (!isInstalled()) {
  spawnSync(process.execPath, ["install.js"], { cwd: bunPackage, stdio: "inherit" });
  if (!isInstalled()) {
    console.error("error: Bun is not installed\n  hint: run `npm ci` first");
    process.exit(1);
  }
}

// Ctrl-C goes to the whole group of processes: Bun ends in its own way, and we with its status.
const child = spawnSync(bun, process.argv.slice(2), { stdio: "inherit" });
if (child.error) throw child.error;
process.exit(child.status ?? 128 + (constants.signals[child.signal ?? "SIGTERM"] ?? 0));
