/** A server of one's own for a measurement: started on free ports with its data in a temporary folder. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EscError } from "../../src/errors.ts";

const START_MS_MAX = 20_000;

export class ServerProcess {
  readonly tcpPort: number;
  readonly httpPort: number;
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #folder: string;

  private constructor(
    process: Bun.Subprocess<"ignore", "ignore", "pipe">,
    folder: string,
    ready: { tcp: string; http: string },
  ) {
    this.#process = process;
    this.#folder = folder;
    this.tcpPort = portOf(ready.tcp);
    this.httpPort = portOf(ready.http);
  }

  /**
   * Starts a server and waits until it is ready.
   *
   * @param esc How to run esc: the executable, or the runtime and `cli/esc.ts`.
   * @throws {EscError} `INTERNAL` with what it wrote, when it does not start.
   */
  static async start(esc: readonly string[]): Promise<ServerProcess> {
    const folder = mkdtempSync(join(tmpdir(), "esc-bench-"));
    const anyPort = { host: "127.0.0.1", port: 0 };
    const config = {
      ingestion: { tcp: anyPort, udp: { enable: false } },
      http: anyPort,
      grpc: { enable: false },
      data: { dir: join(folder, "data") },
      logging: { format: "json" },
    };
    writeFileSync(join(folder, "config.yaml"), JSON.stringify(config));
    const process = Bun.spawn([...esc, "serve", "--config", join(folder, "config.yaml")], {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    try {
      return new ServerProcess(process, folder, await readyLine(process));
    } catch (error) {
      process.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
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
