/** What somebody who helps needs to see: never payloads, tokens or other secrets. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { LoadedConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { checkDisk } from "../doctor/disk.ts";
import { checkMachine } from "../doctor/machine.ts";
import { checkPorts } from "../doctor/ports.ts";
import { getText, type HttpAddress } from "../server-options.ts";

/** One file of the bundle. */
export interface BundleFile {
  readonly path: string;
  readonly text: string;
}

/** What the server is asked, and the file its answer goes into. */
const QUESTIONS: Readonly<Record<string, string>> = {
  "server/health.json": "/healthz",
  "server/ready.json": "/readyz",
  "server/stats.json": "/api/v1/stats",
  "server/ledger.json": "/api/v1/ledger",
  "server/topics.json": "/api/v1/topics?limit=1000",
  "server/consumers.json": "/api/v1/consumers",
  "server/alerts.json": "/api/v1/alerts?limit=100",
  "server/config.json": "/api/v1/config",
  "server/metrics-1.txt": "/metrics",
};
/** Asked twice: what counts is how fast counters grow. */
const METRICS_AGAIN_MS = 2000;
const FILES_MAX = 20_000;
const JOURNAL_LINES = 2000;

/** Asks a server; what it does not answer is in the bundle as well. */
export async function collectServer(address: HttpAddress): Promise<BundleFile[]> {
  const ask = async (path: string, question: string): Promise<BundleFile> => {
    try {
      return { path, text: await getText(address, question) };
    } catch (error) {
      return { path: `${path}.error`, text: `${error instanceof Error ? error.message : error}\n` };
    }
  };
  const files = await Promise.all(Object.entries(QUESTIONS).map(([path, question]) => ask(path, question)));
  await Bun.sleep(METRICS_AGAIN_MS);
  return [...files, await ask("server/metrics-2.txt", "/metrics")];
}

/** What can be seen without a server: the configuration with its secrets hidden, the machine, the data's files. */
export async function collectMachine(loaded: LoadedConfig): Promise<BundleFile[]> {
  const { config, notices } = loaded;
  const findings = [...await checkPorts(config), ...checkMachine(config), ...checkDisk(config)];
  const lines = (values: readonly unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
  return [
    { path: "config.yaml", text: printConfig(loaded) },
    { path: "config-notices.jsonl", text: lines(notices) },
    { path: "machine/doctor.jsonl", text: lines(findings) },
    { path: "machine/kernel.txt", text: `${release()}\n${read("/proc/version")}` },
    { path: "machine/memory.txt", text: read("/proc/meminfo") },
    { path: "machine/limits.txt", text: read("/proc/self/limits") },
    { path: "machine/pressure.txt", text: ["cpu", "io", "memory"].map(pressure).join("") },
    { path: "machine/sockets.txt", text: read("/proc/net/sockstat") },
    { path: "machine/journal.txt", text: journal() },
    { path: "data-files.jsonl", text: lines(dataFiles(config.data.dir)) },
  ];
}

/** Name, size and age of every file in the data directory; nothing of what is in them. */
function dataFiles(directory: string): object[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: "utf8" }).slice(0, FILES_MAX).map((path) => {
      const { size, mtime } = statSync(join(directory, path), { throwIfNoEntry: false }) ??
        { size: -1, mtime: new Date(0) };
      return { path, bytes: size, modified: mtime.toISOString() };
    });
  } catch (error) {
    return [{ path: directory, problem: String(error) }];
  }
}

/** The unit's newest lines, where systemd runs it and we may read them. */
function journal(): string {
  try {
    const command = [
      "journalctl",
      "--unit=esc",
      `--lines=${JOURNAL_LINES}`,
      "--no-pager",
      "--output=short-iso",
    ];
    const { stdout } = Bun.spawnSync(command, { stdin: "ignore", stderr: "ignore", timeout: 10_000 });
    return stdout.toString();
  } catch {
    return "journalctl is not there\n";
  }
}

/** Who waits for what: https://docs.kernel.org/accounting/psi.html. */
function pressure(resource: string): string {
  return `${resource}\n${read(`/proc/pressure/${resource}`)}`;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return `${error instanceof Error ? error.message : error}\n`;
  }
}
