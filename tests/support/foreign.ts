/**
 * Programs of other ecosystems that tests use: Python packages in an environment of their own, Go programs.
 * Installed once, under node_modules/.cache; what cannot be installed has a reason, for `describe.skipIf`.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CACHE = join(import.meta.dir, "..", "..", "node_modules", ".cache", "foreign");
const INSTALL_MS_MAX = 180_000;

/** A program to run, or why there is none. */
export type Foreign = { readonly program: string; readonly missing?: never } | {
  readonly program?: never;
  readonly missing: string;
};

/** A Python that has these packages (`name==version`). @param name Of its environment. */
export async function pythonWith(name: string, packages: readonly string[]): Promise<Foreign> {
  const python = Bun.which("python3");
  if (python === null) return { missing: "python3 is not installed" };
  const folder = join(CACHE, `python-${name}-${Bun.hash(packages.join(" ")).toString(36)}`);
  const program = join(folder, "bin", "python");
  if (existsSync(join(folder, "complete"))) return { program };
  mkdirSync(CACHE, { recursive: true });
  rmSync(folder, { recursive: true, force: true });
  const steps = [[python, "-m", "venv", folder], [program, "-m", "pip", "install", "-q", ...packages]];
  for (const step of steps) {
    const problem = await run(step, {});
    if (problem !== undefined) return { missing: `pip cannot install ${packages.join(", ")}: ${problem}` };
  }
  writeFileSync(join(folder, "complete"), "");
  return { program };
}

/** A Go program, such as `example.org/tool/cmd/tool@v1.2.3`. */
export async function goProgram(target: string): Promise<Foreign> {
  const go = Bun.which("go");
  if (go === null) return { missing: "go is not installed" };
  const folder = join(CACHE, `go-${Bun.hash(target).toString(36)}`);
  const program = join(folder, target.slice(target.lastIndexOf("/") + 1).replace(/@.*/, ""));
  if (existsSync(program)) return { program };
  const problem = await run([go, "install", target], { GOBIN: folder });
  return problem === undefined ? { program } : { missing: `go cannot install ${target}: ${problem}` };
}

/** @returns The last line of what went wrong. */
async function run(command: readonly string[], env: Record<string, string>): Promise<string | undefined> {
  const child = Bun.spawn([...command], {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: INSTALL_MS_MAX,
  });
  const stderr = await new Response(child.stderr).text();
  if (await child.exited === 0) return undefined;
  return stderr.trim().split("\n").at(-1) || `it ended with ${child.exitCode ?? child.signalCode}`;
}
