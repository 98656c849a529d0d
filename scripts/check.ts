/** `npm run check`: types, lint and format of everything. Says what is wrong, changes nothing. */
import { join } from "node:path";
import { ROOT } from "./build.ts";

const TOOLS = join(ROOT, "node_modules", ".bin");

const CHECKS: Readonly<Record<string, readonly string[]>> = {
  types: [join(TOOLS, "tsc"), "--noEmit", "-p", "."],
  lint: [join(TOOLS, "deno"), "lint", "--quiet"],
  format: [join(TOOLS, "deno"), "fmt", "--check", "--quiet"],
};

const failed = Object.entries(CHECKS).filter(([name, command]) => {
  const { exitCode } = Bun.spawnSync([...command], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  console.error(`check: ${name} ${exitCode === 0 ? "ok" : "failed"}`);
  return exitCode !== 0;
});
process.exitCode = failed.length === 0 ? 0 : 1;
