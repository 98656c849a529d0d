/** A server of one's own for a measurement: started on free ports with its data in a temporary folder. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EscError } from "../src/errors.ts";

const START_MS_MAX = 20_000;

export interface ServerSettings {
  /** Of every lane. */
  readonly durability?: "fsync" | "none";
  /** Folder below which its data lies; default: that of temporary files. */
  readonly parent?: string;
  /** Log kept of every shard: what is older goes. */
  readonly retainedBytes?: number;
}

interface ShardOffsets {
  readonly next_offset: number;
  readonly durable_offset: number;
}

const LANES = ["realtime", "transactional", "batch"];

export class ServerProcess {
  readonly tcpPort: number;
  readonly httpPort: number;
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #folder: string;
  readonly #isSynced: boolean;

  private constructor(
    process: Bun.Subprocess<"ignore", "ignore", "pipe">,
    folder: string,
    ready: { tcp: string; http: string },
    isSynced: boolean,
  ) {
    this.#isSynced = isSynced;
    this.#process = process;
    this.#folder = folder;
    this.tcpPort = portOf(ready.tcp);
    this.httpPort = portOf(ready.http);
  }

  /**
   * Starts a server and waits until it is ready.
   *
   * @param esc How to run esc: the executable, or the runtime and `cli/esc.ts`.
   * @param settings What differs from the defaults.
   * @throws {EscError} `INTERNAL` with what it wrote, when it does not start.
   */
  static async start(esc: readonly string[], settings: ServerSettings = {}): Promise<ServerProcess> {
    const folder = mkdtempSync(join(settings.parent ?? tmpdir(), "esc-bench-"));
    const anyPort = { host: "127.0.0.1", port: 0 };
    const config = {
      ingestion: { tcp: anyPort, udp: { enable: false } },
      http: anyPort,
      grpc: { enable: false },
      data: { dir: join(folder, "data") },
      logging: { format: "json" },
      lanes: Object.fromEntries(LANES.map((lane) => [lane, laneSettings(settings)])),
    };
    writeFileSync(join(folder, "config.yaml"), JSON.stringify(config));
    const process = Bun.spawn([...esc, "serve", "--config", join(folder, "config.yaml")], {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    try {
      return new ServerProcess(process, folder, await readyLine(process), settings.durability !== "none");
    } catch (error) {
      process.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Events in the logs of all lanes; where lanes sync, those that are synced. */
  async loggedCount(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}/api/v1/stats`);
    const { lanes } = await response.json() as { lanes: Record<string, { shards: ShardOffsets[] }> };
    return LANES.flatMap((lane) => lanes[lane]?.shards ?? [])
      .reduce((sum, shard) => sum + (this.#isSynced ? shard.durable_offset : shard.next_offset), 0);
  }

  /** Where its log lies. */
  get dataFolder(): string {
    return join(this.#folder, "data");
  }

  /** Of the process, for who measures what it needs. */
  get pid(): number {
    return this.#process.pid;
  }

  /** What it has read from the disk and not from the page cache. */
  diskReadBytes(): number {
    const io = readFileSync(`/proc/${this.#process.pid}/io`, "utf8");
    return Number(/^read_bytes: (\d+)$/m.exec(io)?.[1] ?? 0);
  }

  /** Memory of the process, as the kernel counts it. */
  residentBytes(): number {
    const [, pages = "0"] = readFileSync(`/proc/${this.#process.pid}/statm`, "utf8").split(" ");
    return Number(pages) * 4096;
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function laneSettings({ durability, retainedBytes }: ServerSettings): object {
  return {
    ...(durability === undefined ? {} : { durability }),
    ...(retainedBytes === undefined ? {} : { retention: { max_bytes: `${retainedBytes >> 20}MiB` } }),
  };
}

/** Waits for the line `{"msg":"ready","tcp":"host:port",…}` on stderr; what comes later is read and dropped. */
async function readyLine(
  process: Bun.Subprocess<"ignore", "ignore", "pipe">,
): Promise<{ tcp: string; http: string }> {
  const decoder = new TextDecoder();
  const reader = process.stderr.getReader();
  const timer = setTimeout(() => process.kill("SIGKILL"), START_MS_MAX);
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
    const line = text.split("\n").slice(0, -1).find((candidate) => candidate.includes('"msg":"ready"'));
    if (line === undefined) continue;
    clearTimeout(timer);
    void drop(reader);
    return JSON.parse(line);
  }
  clearTimeout(timer);
  throw new EscError("INTERNAL", `Server did not start: ${text.trim() || "it said nothing"}`);
}

/** Reads to the end: a full pipe would stop the server. */
async function drop(reader: { read(): Promise<{ done: boolean }> }): Promise<void> {
  while (!(await reader.read()).done);
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
