/** A server started for a comparison: on a free port of loopback, with its data in a temporary folder. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EscError } from "../src/errors.ts";
import type { Dialect } from "./dialects.ts";

const START_MS_MAX = 20_000;
const LOOK_MS = 20;

export class RivalProcess {
  readonly port: number;
  readonly #process: Bun.Subprocess;
  readonly #folder: string;

  private constructor(process: Bun.Subprocess, folder: string, port: number) {
    this.#process = process;
    this.#folder = folder;
    this.port = port;
  }

  /** @throws {EscError} `INTERNAL` when nobody listens within 20 s. */
  static async start(dialect: Dialect): Promise<RivalProcess> {
    const folder = mkdtempSync(join(tmpdir(), "esc-bench-vs-"));
    const port = freePort();
    const process = Bun.spawn([...dialect.command(folder, port)], {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    const own = new RivalProcess(process, folder, port);
    const untilMs = performance.now() + START_MS_MAX;
    while (!await isListening(port)) {
      if (process.exitCode !== null || performance.now() > untilMs) {
        await own.remove();
        throw new EscError("INTERNAL", `${dialect.server} did not start`);
      }
      await Bun.sleep(LOOK_MS);
    }
    return own;
  }

  /** Of the process, for who measures what it needs. */
  get pid(): number {
    return this.#process.pid;
  }

  async remove(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A port nobody has now: not every server can be asked to take any. */
function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data() {}, connectError() {} },
    });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}
