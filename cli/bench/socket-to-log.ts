/**
 * From a client's socket to the log: a server of its own, loaded by `esc stress` from a process of its own.
 *
 * Both share the machine's cores, as does the kernel: the figures are what this machine does as a whole. After
 * each round the server's counters must account for every event before a figure counts.
 */
import { EscError } from "../../src/errors.ts";
import { readStats } from "../shard-ranges.ts";
import { isBalanced } from "../stress/ledger.ts";
import { type Figure, spreadOf } from "./figure.ts";
import { ServerProcess } from "./server-process.ts";

export interface SocketToLogOptions {
  /** How to run esc. */
  readonly esc: readonly string[];
  readonly rounds: number;
  /** Bytes of frames in a round. */
  readonly roundBytes: number;
  readonly onFigure: (figure: Figure) => void;
}

const CLIENTS = 4;
const PAYLOAD_SIZES = [128, 1024];
const ACKS = ["none", "accepted", "durable"];
const DRAIN_MS_MAX = 30_000;
/** Transactional: the lane that blocks rather than drops, with a sync before each acknowledgement. */
const PRIORITY = "--priority=MEDIUM";

/** Measures every combination; each gets a server of its own, and a round that warms it up. */
export async function measureSocketToLog(options: SocketToLogOptions): Promise<void> {
  for (const size of PAYLOAD_SIZES) {
    for (const acks of ACKS) {
      const server = await ServerProcess.start(options.esc);
      try {
        options.onFigure(await measure(server, { ...options, size, acks }));
      } finally {
        await server.remove();
      }
    }
  }
}

interface Combination extends SocketToLogOptions {
  readonly size: number;
  readonly acks: string;
}

interface StressResult {
  readonly sent: number;
  readonly seconds: number;
  readonly mb_per_s: number;
  readonly ack_latency_us: { readonly p50: number; readonly p99: number } | null;
}

async function measure(server: ServerProcess, combination: Combination): Promise<Figure> {
  const { size, acks, rounds } = combination;
  await round(server, combination, 0.1);
  const results: StressResult[] = [];
  for (let count = 0; count < rounds; count++) results.push(await round(server, combination, 1));
  const { median, min, max } = spreadOf(results.map(({ sent, seconds }) => (seconds * 1e9) / sent));
  const middle = results.toSorted((a, b) => a.seconds - b.seconds)[rounds >> 1];
  const latency = middle?.ack_latency_us;
  return {
    bench: "socket-to-log",
    name: `${size} bytes, acks ${acks}`,
    nsPerEvent: median,
    nsMin: min,
    nsMax: max,
    remark: `${middle?.mb_per_s ?? 0} MB/s` +
      (latency === null || latency === undefined
        ? ""
        : `, ack p50 ${(latency.p50 / 1000).toFixed(2)} ms, p99 ${(latency.p99 / 1000).toFixed(2)} ms`),
  };
}

/** One run of `esc stress`, counted in the log. @param share Part of a whole round. */
async function round(server: ServerProcess, combination: Combination, share: number): Promise<StressResult> {
  const { esc, size, acks, roundBytes } = combination;
  const events = Math.ceil((roundBytes * share) / (size + 32) / CLIENTS);
  const before = await durableCount(server);
  const process = Bun.spawn([
    ...esc,
    "stress",
    "--json",
    `--port=${server.tcpPort}`,
    `--http-port=${server.httpPort}`,
    `--clients=${CLIENTS}`,
    `--events=${events}`,
    `--size=${size}`,
    `--acks=${acks}`,
    PRIORITY,
  ], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const [stdout, status] = await Promise.all([new Response(process.stdout).text(), process.exited]);
  if (status !== 0) throw new EscError("VERIFY_FAILED", `esc stress ended with ${status}: ${stdout.trim()}`);
  const result: StressResult = JSON.parse(stdout);
  const stored = await durableCount(server) - before;
  if (stored !== result.sent || result.sent !== events * CLIENTS) {
    throw new EscError(
      "VERIFY_FAILED",
      `${result.sent} of ${events * CLIENTS} events sent, ${stored} in the log`,
    );
  }
  return result;
}

/** Events in the log, once the counters add up. */
async function durableCount(server: ServerProcess): Promise<number> {
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  for (;;) {
    const { events } = await readStats({ host: "127.0.0.1", httpPort: server.httpPort });
    if (isBalanced(events)) return events.durable;
    if (performance.now() > deadlineMs) {
      throw new EscError("VERIFY_FAILED", `Counters do not add up: ${JSON.stringify(events)}`);
    }
    await Bun.sleep(10);
  }
}
