/**
 * A server of its own, loaded by `esc stress` from another process. Both share the machine's cores, as does the
 * kernel. After each round the log must hold every event that was sent.
 */
import { EscError } from "../src/errors.ts";
import type { Sample } from "./benchmark.ts";
import { ServerProcess, type ServerSettings } from "./server-process.ts";

export interface StressPlan {
  readonly events: number;
  readonly size: number;
  readonly acks: "none" | "accepted" | "durable";
  readonly clients?: number;
  readonly inFlight?: number;
  readonly topics?: number;
}

interface StressResult {
  readonly sent: number;
  readonly seconds: number;
  readonly ack_latency_us: { readonly p50: number; readonly p99: number } | null;
}

const DRAIN_MS_MAX = 30_000;
const CLIENTS = 4;

/** Started by the first round, so that a benchmark that is not run costs nothing. */
export class StressedServer {
  readonly #esc: readonly string[];
  readonly #settings: ServerSettings;
  #server: ServerProcess | undefined;

  constructor(esc: readonly string[], settings: ServerSettings = {}) {
    this.#esc = esc;
    this.#settings = settings;
  }

  /** The time counts from the first event until the log has the last: acknowledged or not. */
  async round(plan: StressPlan): Promise<Sample> {
    this.#server ??= await ServerProcess.start(this.#esc, this.#settings);
    const server = this.#server;
    const before = await server.loggedCount();
    const result = await this.#stress(server, plan);
    const drainNs = await drained(server, before + result.sent);
    // Resident memory right behind the load, when it is at its largest.
    const residentMib = Math.round(server.residentBytes() / 2 ** 20);
    const latency = result.ack_latency_us;
    return {
      operations: result.sent,
      ns: result.seconds * 1e9 + drainNs,
      remark: `${(result.sent * plan.size / result.seconds / 1e6).toFixed(0)} MB/s, RSS ${residentMib} MiB`,
      ...(latency === null ? {} : { p50Ns: latency.p50 * 1000, p99Ns: latency.p99 * 1000 }),
    };
  }

  /** The server, for who wants to watch it; `undefined` before the first round. */
  get server(): ServerProcess | undefined {
    return this.#server;
  }

  async close(): Promise<void> {
    await this.#server?.remove();
    this.#server = undefined;
  }

  async #stress(server: ServerProcess, plan: StressPlan): Promise<StressResult> {
    const clients = plan.clients ?? CLIENTS;
    const each = Math.ceil(plan.events / clients);
    const process = Bun.spawn([
      ...this.#esc,
      "stress",
      "--json",
      `--port=${server.tcpPort}`,
      `--http-port=${server.httpPort}`,
      `--clients=${clients}`,
      `--events=${each}`,
      `--size=${plan.size}`,
      `--acks=${plan.acks}`,
      `--topics=${plan.topics ?? 1}`,
      ...(plan.inFlight === undefined ? [] : [`--in-flight=${plan.inFlight}`]),
      // Transactional: the lane that blocks rather than drops.
      "--priority=MEDIUM",
    ], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    const [stdout, status] = await Promise.all([new Response(process.stdout).text(), process.exited]);
    if (status !== 0) {
      throw new EscError("VERIFY_FAILED", `esc stress ended with ${status}: ${stdout.trim()}`);
    }
    const result: StressResult = JSON.parse(stdout);
    if (result.sent !== each * clients) {
      throw new EscError("VERIFY_FAILED", `${result.sent} of ${each * clients} events were sent`);
    }
    return result;
  }
}

/** Waits until the log has that many events. @returns How long it took. @throws If there are more, or they do not come. */
async function drained(server: ServerProcess, events: number): Promise<number> {
  const startedNs = Bun.nanoseconds();
  for (;;) {
    const logged = await server.loggedCount();
    const waitedNs = Bun.nanoseconds() - startedNs;
    if (logged === events) return waitedNs;
    if (logged > events || waitedNs > DRAIN_MS_MAX * 1e6) {
      throw new EscError("VERIFY_FAILED", `The log has ${logged} events instead of ${events}`);
    }
    await Bun.sleep(2);
  }
}
