/** One run of `esc stress`: sends, and reads back where that is asked for. */
import { randomBytes } from "node:crypto";
import { EscError } from "../../src/errors.ts";
import type { AcksName } from "../../src/event/run.ts";
import type { CommandContext } from "../command.ts";
import type { Ramp } from "../pacer.ts";
import { TCP_PORT_DEFAULT, UDP_PORT_DEFAULT } from "../server-options.ts";
import { readStats, type ShardRange } from "../shard-ranges.ts";
import { checkLedger, type LedgerVerdict } from "./ledger.ts";
import { type LoadResult, runTcpLoad, runUdpLoad } from "./load.ts";
import { type StressPlan, stressTopics } from "./plan.ts";
import { readBack } from "./read-back.ts";
import type { StressReport } from "./report.ts";
import { type Verdict, Verifier } from "./verifier.ts";

export interface StressOptions {
  readonly host: string;
  readonly port?: number | undefined;
  readonly httpPort: number;
  readonly clients: number;
  readonly events: number;
  readonly size: number;
  readonly rate: number;
  readonly acks: AcksName;
  readonly inFlight: number;
  readonly udp?: boolean | undefined;
  readonly verify?: boolean | undefined;
  /** How many, or which. */
  readonly topics?: number | readonly string[] | undefined;
  readonly priority?: number | undefined;
  readonly ramp?: Ramp | undefined;
  /** Sends nothing more when it is aborted. */
  readonly stop?: AbortSignal;
}

const REFUSALS_SHOWN_MAX = 5;

/** @throws {EscError} When the server cannot be reached. */
export async function stress(options: StressOptions, context: CommandContext): Promise<StressReport> {
  const { host, httpPort, clients, events, size, priority, udp, verify } = options;
  const { output } = context;
  const plan: StressPlan = {
    run: randomBytes(4).toString("hex"),
    clients,
    events,
    size,
    topics: typeof options.topics === "object" ? options.topics : stressTopics(options.topics),
    priority,
  };
  const address = { host, port: options.port ?? (udp === true ? UDP_PORT_DEFAULT : TCP_PORT_DEFAULT) };
  const before = verify === true ? await logEnds({ host, httpPort }, context) : undefined;
  const interrupted = context.interrupted();
  const stop = options.stop === undefined ? interrupted : AbortSignal.any([interrupted, options.stop]);
  let shownCount = 0;
  const load = await (udp === true ? runUdpLoad : runTcpLoad)({
    address,
    plan,
    acks: udp === true ? "none" : options.acks,
    inFlightMax: options.inFlight,
    rate: options.rate,
    ramp: options.ramp,
    numbers: verify === true,
    interrupted: stop,
    onRefused: ({ code, message }) => {
      if (++shownCount <= REFUSALS_SHOWN_MAX) output.note(`server: ${code}: ${message}`);
    },
    onProgress: (sent, seconds) => {
      output.progress(
        `${sent.toLocaleString("en")} sent, ${Math.round(sent / seconds).toLocaleString("en")} events/s`,
      );
    },
  });
  let verdict: Verdict | undefined;
  let ledger: LedgerVerdict | undefined;
  let verifySeconds = 0;
  if (verify === true) {
    const startMs = performance.now();
    const verifier = new Verifier(plan);
    await readBack(verifier, {
      address,
      httpPort,
      before,
      expected: load.sent - load.refused,
      interrupted,
      onProgress: (found) => output.progress(`${found.toLocaleString("en")} read back`),
    });
    verdict = verifier.verdict(load.sentCounts, load.refused);
    verifySeconds = (performance.now() - startMs) / 1000;
    ledger = before === undefined ? undefined : await checkLedger({ host, httpPort });
  }
  return { plan, acks: options.acks, isUdp: udp === true, load, verdict, verifySeconds, ledger };
}

/** Where every log ends now; `undefined` when nobody answers HTTP: events can be read back without it. */
async function logEnds(
  server: { host: string; httpPort: number },
  { output }: CommandContext,
): Promise<ReadonlyMap<string, ShardRange> | undefined> {
  try {
    return (await readStats(server)).ranges;
  } catch (error) {
    if (!(error instanceof EscError) || error.code !== "SERVER_UNREACHABLE") throw error;
    output.note(
      `${error.message}. All logs will be read back over TCP from their beginning, and the server's counters ` +
        "not be checked; --http-port names the port",
    );
    return undefined;
  }
}

/** Whether everything was sent, taken, and found again. */
export function isGood({ plan, load, verdict, ledger }: StressReport): boolean {
  const isComplete = (result: LoadResult) =>
    result.sent === plan.clients * plan.events && result.refused === 0 && result.failures.length === 0;
  const isVerified = verdict === undefined ||
    verdict.missing + verdict.doubled + verdict.outOfOrder + verdict.damaged === 0;
  return isComplete(load) && isVerified && ledger?.isBalanced !== false;
}
