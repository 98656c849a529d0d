/**
 * Whether memory stays flat: 100 million events through one server, a tenth of them a portion, while another
 * connection asks it for an answer again and again. Fails when memory grows from portion to portion.
 */
import { type Benchmark, type BenchOptions, type Case, type Sample, scaled } from "./benchmark.ts";
import { StressedServer } from "./stressed.ts";

const EVENTS = 100e6;
const PORTIONS = 10;
/** Portions after which everything has been compiled and every buffer touched. */
const WARM_PORTIONS = 3;
/** By how much resident memory may differ between portions: what the collector has not looked at yet. */
const GROWTH_MIB_MAX = 64;
const PING = Buffer.from([0, 0, 0, 3, 0x20, 8, 0]);
const PAUSE_MS = 2;

export const steady: Benchmark = {
  summary: "100 million events through one server: memory and the longest pause",
  open: (options) => [flat(options)],
};

function flat(options: BenchOptions): Case {
  const events = scaled(EVENTS / PORTIONS, options);
  const server = new StressedServer(options.esc, { durability: "none", retainedBytes: 1 << 30 });
  let isWarm = false;
  return {
    name: "socket to log, frames of 64 bytes",
    round: async () => {
      const plan = { events, size: 48, acks: "none", clients: 2 } as const;
      if (!isWarm) {
        for (let portion = 0; portion < WARM_PORTIONS; portion++) await server.round(plan);
        isWarm = true;
      }
      const pauses = await PauseWatch.open(server.server?.tcpPort ?? 0);
      const samples: Sample[] = [];
      const mib: number[] = [];
      for (let portion = 0; portion < PORTIONS; portion++) {
        samples.push(await server.round(plan));
        mib.push(Math.round((server.server?.residentBytes() ?? 0) / 2 ** 20));
      }
      const longestMs = pauses.close();
      const growth = Math.min(...mib.slice(-3)) - Math.max(...mib.slice(0, 3));
      if (growth > GROWTH_MIB_MAX) throw new Error(`Memory grew by ${growth} MiB: ${mib.join(", ")} MiB`);
      return {
        operations: samples.reduce((sum, { operations }) => sum + operations, 0),
        ns: samples.reduce((sum, { ns }) => sum + ns, 0),
        remark: `RSS after each tenth: ${mib.join(", ")} MiB; longest wait for a PONG: ${
          longestMs.toFixed(1)
        } ms`,
      };
    },
    close: () => server.close(),
  };
}

/** Sends a PING, waits for its PONG, and remembers the longest wait: pauses of collector and scheduler alike. */
class PauseWatch {
  #longestMs = 0;
  #sentMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end = () => {};

  static async open(port: number): Promise<PauseWatch> {
    const watch = new PauseWatch();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (connected) => watch.#answered(() => connected.write(PING)) },
    });
    watch.#end = () => socket.terminate();
    watch.#sentMs = performance.now();
    socket.write(PING);
    return watch;
  }

  close(): number {
    clearTimeout(this.#timer);
    this.#end();
    return this.#longestMs;
  }

  #answered(ask: () => void): void {
    this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#sentMs);
    this.#timer = setTimeout(() => {
      this.#sentMs = performance.now();
      ask();
    }, PAUSE_MS);
  }
}
