import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "../scripts/build.ts";
import { IS_EXECUTABLE, WORKER_ENTRIES, workerUrl } from "../src/threads.ts";
import { TemporaryFolder } from "./support/temp.ts";

// A repository of the same shape, where every worker posts its own name and main prints what it hears.
const MAIN = `
import { startAll } from "../src/engine.ts";
startAll();
`;
const ENGINE = `
import { Worker } from "node:worker_threads";
import { WORKER_ENTRIES, workerUrl } from "./threads.ts";
export function startAll() {
  for (const entry of WORKER_ENTRIES) {
    const worker = new Worker(workerUrl(entry));
    worker.on("message", (name) => { console.log(name); void worker.terminate(); });
    worker.on("error", (error) => { console.log(entry + ": " + error.message); });
  }
}
`;

let folder: TemporaryFolder;
beforeAll(() => {
  folder = new TemporaryFolder("threads");
  write("cli/esc.ts", MAIN);
  write("src/engine.ts", ENGINE);
  for (const entry of WORKER_ENTRIES) {
    write(entry, `import { parentPort } from "node:worker_threads"; parentPort?.postMessage("${entry}");\n`);
  }
  copyFileSync(join(import.meta.dir, "..", "src", "threads.ts"), folder.path("src", "threads.ts"));
});
afterAll(() => folder.remove());

function write(path: string, text: string): void {
  mkdirSync(dirname(folder.path(path)), { recursive: true });
  writeFileSync(folder.path(path), text);
}

async function linesOf(command: readonly string[]): Promise<string[]> {
  const child = Bun.spawn([...command], { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  return (await new Response(child.stdout).text()).trim().split("\n").sort();
}

test("workerUrl() names the worker's file when run from source", async () => {
  expect(IS_EXECUTABLE).toBe(false);
  expect(workerUrl("src/ingest/worker.ts").href).toBe(import.meta.resolve("../src/ingest/worker.ts"));
  expect(await linesOf([process.execPath, folder.path("cli", "esc.ts")])).toEqual([...WORKER_ENTRIES].sort());
});

test("workerUrl() finds every worker inside an executable of any name, anywhere", async () => {
  const executable = folder.path("elsewhere", "renamed");
  build(executable, folder.root);
  // Gone, so that nothing can be found on the disk by accident.
  rmSync(folder.path("src"), { recursive: true });
  rmSync(folder.path("cli"), { recursive: true });
  expect(await linesOf([executable])).toEqual([...WORKER_ENTRIES].sort());
});
