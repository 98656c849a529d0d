/** A real Redis server for a test, without persistence, on a port of its own. */
import { freePort } from "./ports.ts";

const PROGRAM = Bun.which("redis-server");
/** Why there is no Redis here; `undefined` when there is. */
export const REDIS_MISSING = PROGRAM === null ? "Redis is not installed (Debian: redis-server)" : undefined;
const START_MS_MAX = 10_000;

export class RedisServer {
  readonly port: number;
  #process: Bun.Subprocess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.up();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts the process, empty, and waits until it answers. */
  async up(): Promise<void> {
    const args = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const limits = ["--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"];
    this.#process = Bun.spawn([PROGRAM ?? "", ...args, ...limits], { stdout: "ignore", stderr: "ignore" });
    const deadlineMs = Date.now() + START_MS_MAX;
    while (!await this.#answers()) {
      if (Date.now() > deadlineMs || this.#process.exitCode !== null) throw new Error("Redis did not start");
      await Bun.sleep(10);
    }
  }

  /** Ends it at once. What was in it is gone. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  async #answers(): Promise<boolean> {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port: this.port, socket: { data() {} } });
      socket.end();
      return true;
    } catch {
      return false;
    }
  }
}
