/**
 * Through the engine to a subscriber: publisher, server and subscriber each on a thread or process of their own,
 * on the machine's cores. Every message must come, once and in order. NATS core takes turns with esc where it is
 * installed.
 */
import { Worker } from "node:worker_threads";
import { Histogram } from "../src/metrics/histogram.ts";
import { monotonicNs } from "../src/system/clock.ts";
import { workerUrl } from "../src/threads.ts";
import { type Benchmark, type BenchOptions, type Case, type Sample, scaled } from "./benchmark.ts";
import { dialects } from "./dialects.ts";
import { dropFromCache } from "./page-cache.ts";
import { processorNs } from "./processor-time.ts";
import { escRelay, natsRelay, type Receiver, type RelayDialect } from "./relay-dialects.ts";
import type { RelayTask } from "./relay-thread.ts";
import { RivalProcess } from "./rival-process.ts";
import { ServerProcess } from "./server-process.ts";

const FLOOD = 3_000_000;
const REPLAY = 3_000_000;
const RATES = [10_000, 100_000];
const SECONDS = 3;
/** The first part of a schedule is for the compiler and is not counted. */
const WARM_SHARE = 0.2;
const SILENCE_MS_MAX = 60_000;
const RETAINED_BYTES = 1 << 30;

export const relay: Benchmark = {
  summary: "publisher to subscriber over sockets: rate, replay of the log, latency at a given rate",
  open: (options) => {
    const esc = new Peer(escRelay(), async () => {
      const server = await ServerProcess.start(options.esc, {
        durability: "none",
        retainedBytes: RETAINED_BYTES,
      });
      return { port: server.tcpPort, pid: server.pid, server, remove: () => server.remove() };
    });
    const nats = natsPeer();
    const peers = nats === undefined ? [esc] : [esc, nats];
    return [
      ...peers.map((peer) => flood(peer, options)),
      ...replays(options),
      ...RATES.flatMap((rate) => peers.map((peer) => atRate(peer, rate, options))),
    ];
  },
};

interface Started {
  readonly port: number;
  readonly pid: number;
  readonly server?: ServerProcess;
  remove(): Promise<void>;
}

/** A server that is started by the first round that needs it. */
class Peer {
  readonly dialect: RelayDialect;
  readonly #start: () => Promise<Started>;
  #started: Promise<Started> | undefined;

  constructor(dialect: RelayDialect, start: () => Promise<Started>) {
    this.dialect = dialect;
    this.#start = start;
  }

  started(): Promise<Started> {
    return this.#started ??= this.#start();
  }

  async close(): Promise<void> {
    const started = await this.#started;
    this.#started = undefined;
    await started?.remove();
  }
}

function natsPeer(): Peer | undefined {
  const core = dialects([]).find(({ server }) => server === "nats");
  if (core === undefined || Bun.which("nats-server") === null) return undefined;
  return new Peer(natsRelay(), () => RivalProcess.start(core));
}

function nameOf({ dialect }: Peer): string {
  return dialect.server === "esc" ? "" : `${dialect.server} core: `;
}

function flood(peer: Peer, options: BenchOptions): Case {
  const count = scaled(FLOOD, options);
  return {
    name: `${nameOf(peer)}publish to one subscriber, 128 bytes, no acks`,
    round: async () => {
      const { port, pid, server } = await peer.started();
      const before = processorNs(pid);
      const ns = await through(peer.dialect, { port, count, rate: 0 }, peer.dialect.receiver());
      const usedNs = Math.round((processorNs(pid) - before) / count);
      const memory = server === undefined ? "" : `, RSS ${Math.round(server.residentBytes() / 2 ** 20)} MiB`;
      return { operations: count, ns, remark: `processor time of the server ${usedNs} ns${memory}` };
    },
    close: () => peer.close(),
  };
}

function atRate(peer: Peer, rate: number, options: BenchOptions): Case {
  const count = Math.max(1000, Math.round(scaled(rate * SECONDS, options) / 1000) * 1000);
  return {
    name: `${nameOf(peer)}publish to subscriber, ${rate.toLocaleString("en")} a second`,
    isLatency: true,
    round: async () => {
      const { port } = await peer.started();
      const times = Histogram.empty();
      let seen = 0;
      const warm = count * WARM_SHARE;
      const receiver = peer.dialect.receiver((bytes, at) => {
        if (seen++ >= warm) times.record((monotonicNs() - bytes.readDoubleBE(at)) / 100, 1);
      });
      await through(peer.dialect, { port, count, rate }, receiver);
      const p50Ns = times.percentile(50) * 100;
      return { operations: 1, ns: p50Ns, p50Ns, p99Ns: times.percentile(99) * 100 };
    },
    close: () => peer.close(),
  };
}

/** From the first event of the log to the last, from the page cache and from the disk. */
function replays(options: BenchOptions): Case[] {
  const count = scaled(REPLAY, options);
  const dialect = escRelay();
  const peer = new Peer(dialect, async () => {
    const server = await ServerProcess.start(options.esc, { durability: "none" });
    await through(dialect, { port: server.tcpPort, count, rate: 0 }, dialect.receiver());
    return { port: server.tcpPort, pid: server.pid, server, remove: () => server.remove() };
  });
  const replay = async (isCold: boolean): Promise<Sample> => {
    const { port, server } = await peer.started();
    const before = server?.diskReadBytes() ?? 0;
    if (isCold && server !== undefined) dropFromCache(server.dataFolder);
    const receiver = dialect.receiver();
    const ns = await subscribed(
      dialect,
      { port, count, receiver, from: "earliest" },
      () => Promise.resolve(),
    );
    const mib = Math.round(((server?.diskReadBytes() ?? 0) - before) / 2 ** 20);
    return { operations: count, ns, remark: `${mib} MiB read from the disk` };
  };
  return [
    { name: "replay to one subscriber, warm", round: () => replay(false), close: () => peer.close() },
    { name: "replay to one subscriber, cold", round: () => replay(true), close: () => peer.close() },
  ];
}

/** Publishes on another thread while this one subscribes. @returns From the first message sent to the last received. */
function through(
  dialect: RelayDialect,
  { port, count, rate }: { port: number; count: number; rate: number },
  receiver: Receiver,
): Promise<number> {
  return subscribed(dialect, { port, count, receiver, from: "latest" }, (failed) => {
    const task: RelayTask = { server: dialect.server, port, count, rate };
    const publisher = new Worker(workerUrl("bench/relay-thread.ts"), { workerData: task });
    publisher.on("error", failed);
    return Promise.resolve(() => {
      publisher.postMessage("end");
      return publisher.terminate();
    });
  });
}

type End = () => Promise<unknown>;

/**
 * Subscribes, has `begin` do what makes events come, and waits for `count` of them.
 *
 * @returns Nanoseconds from the first event that came (replay: from the subscription) until the last.
 */
async function subscribed(
  dialect: RelayDialect,
  { port, count, receiver, from }: {
    port: number;
    count: number;
    receiver: Receiver;
    from: "latest" | "earliest";
  },
  begin: (failed: (error: unknown) => void) => Promise<End | void>,
): Promise<number> {
  const ready = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  let startedNs = Bun.nanoseconds();
  const failed = (error: unknown) => {
    ready.reject(error);
    done.reject(error);
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      binaryType: "buffer",
      data: (_socket, chunk: Buffer) => {
        try {
          if (from === "latest" && receiver.count === 0) startedNs = Bun.nanoseconds();
          receiver.take(chunk);
          if (receiver.isReady) ready.resolve();
          if (receiver.count > count) throw new Error(`${receiver.count} events came instead of ${count}`);
          if (receiver.count === count) done.resolve();
        } catch (error) {
          failed(error);
        }
      },
      close: () => failed(new Error(`${dialect.server} closed the connection`)),
    },
  });
  const timer = setTimeout(
    () => failed(new Error(`${dialect.server} fell silent: ${receiver.count} of ${count} events came`)),
    SILENCE_MS_MAX,
  );
  // Settled by a failure while nobody waits for it.
  done.promise.catch(() => {});
  let end: End | void = undefined;
  try {
    startedNs = Bun.nanoseconds();
    socket.write(dialect.subscribe(from));
    await ready.promise;
    end = await begin(failed);
    await done.promise;
    return Bun.nanoseconds() - startedNs;
  } finally {
    clearTimeout(timer);
    socket.terminate();
    await end?.();
  }
}
