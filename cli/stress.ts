/** `esc stress`: loads a server with many clients, measures, and proves that nothing was lost. */
import { randomBytes } from "node:crypto";
import { type Command, InvalidArgumentError } from "commander";
import { EscError } from "../src/errors.ts";
import type { AcksName } from "../src/event/run.ts";
import { byteSize, type CommandContext, wholeNumber } from "./command.ts";
import { acksName, priorityNumber } from "./event-options.ts";
import {
  addAddressOptions,
  addHttpPortOption,
  TCP_PORT_DEFAULT,
  UDP_PORT_DEFAULT,
} from "./server-options.ts";
import { readStats, type ShardRange } from "./shard-ranges.ts";
import { checkLedger, type LedgerVerdict } from "./stress/ledger.ts";
import { type LoadResult, runTcpLoad, runUdpLoad } from "./stress/load.ts";
import {
  CLIENTS_MAX,
  EVENTS_MAX,
  IDENTITY_BYTES,
  type StressPlan,
  stressTopics,
  TOPICS_MAX,
} from "./stress/plan.ts";
import { readBack } from "./stress/read-back.ts";
import { type StressReport, stressText, stressValue } from "./stress/report.ts";
import { type Verdict, Verifier } from "./stress/verifier.ts";

interface StressOptions {
  readonly host: string;
  readonly port?: number;
  readonly httpPort: number;
  readonly clients: number;
  readonly events: number;
  readonly size: number;
  readonly rate: number;
  readonly acks: AcksName;
  readonly inFlight: number;
  readonly udp?: boolean;
  readonly verify?: boolean;
  readonly topics?: number;
  readonly priority?: number;
}

const EXAMPLES = `
Topics are stress.realtime, stress.transaction and stress.batch in turn, or stress.t0, stress.t1, ... with --topics;
priorities 0 to 4 in turn. An event's latency is the time from writing it to the acknowledgement that covers it;
with --rate, from when it was due.

--verify reads everything back and compares it, event by event; and checks that the server's counters add up.

Examples:
  $ esc stress --clients 10 --events 100000 --acks durable --verify
  $ esc stress --clients 50 --events 20000 --rate 100000 --size 1KiB
  $ esc stress --udp --clients 4 --events 1000000 --rate 200000`;

const REFUSALS_SHOWN_MAX = 5;

/** Registers `esc stress`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("stress")
    .summary("load a server, measure it, prove that nothing is lost")
    .description("Load a server with many clients at once, measure it, and prove that nothing is lost.");
  addAddressOptions(command, `server's port (default: ${TCP_PORT_DEFAULT}, with --udp ${UDP_PORT_DEFAULT})`);
  addHttpPortOption(command)
    .option("--clients <n>", "connections at the same time", wholeNumber(1, CLIENTS_MAX), 10)
    .option("--events <n>", "events of each client", wholeNumber(1, EVENTS_MAX), 10_000)
    .option("--size <bytes>", "size of a payload", byteSize(0, 1 << 20), 128)
    .option(
      "--rate <n>",
      "events a second of all clients together; as fast as it goes without",
      rate,
      Infinity,
    )
    .option("--acks <what>", "none, accepted or durable", acksName, "durable")
    .option("--in-flight <n>", "most events of a client without an answer", wholeNumber(1, 10_000_000), 4096)
    .option("--udp", "send datagrams: nothing is acknowledged")
    .option(
      "--verify",
      "read all of it back: nothing missing, doubled or out of order; exit status 1 otherwise",
    )
    .option("--topics <n>", "number of topics", wholeNumber(1, TOPICS_MAX))
    .option("--priority <priority>", "one priority for all events", priorityNumber)
    .addHelpText("after", EXAMPLES)
    .action(async (options: StressOptions) => {
      if (options.udp === true && options.verify === true) {
        throw new EscError("USAGE", "Cannot verify datagrams: UDP may lose them", {
          hint: "Leave out --udp or --verify",
        });
      }
      if (options.verify === true && options.size < IDENTITY_BYTES) {
        throw new EscError("USAGE", `--verify needs payloads of at least ${IDENTITY_BYTES} bytes`);
      }
      const report = await stress(options, context);
      context.output.result(stressValue(report), () => stressText(report, context.output));
      if (!isGood(report)) process.exitCode = 1;
    });
}

function rate(text: string): number {
  const value = wholeNumber(1)(text);
  if (value > 1e9) throw new InvalidArgumentError("Expected at most 1000000000.");
  return value;
}

async function stress(options: StressOptions, context: CommandContext): Promise<StressReport> {
  const { host, httpPort, clients, events, size, priority, udp, verify } = options;
  const { output } = context;
  const plan: StressPlan = {
    run: randomBytes(4).toString("hex"),
    clients,
    events,
    size,
    topics: stressTopics(options.topics),
    priority,
  };
  const address = { host, port: options.port ?? (udp === true ? UDP_PORT_DEFAULT : TCP_PORT_DEFAULT) };
  const before = verify === true ? await logEnds({ host, httpPort }, context) : undefined;
  const interrupted = context.interrupted();
  let shownCount = 0;
  const load = await (udp === true ? runUdpLoad : runTcpLoad)({
    address,
    plan,
    acks: udp === true ? "none" : options.acks,
    inFlightMax: options.inFlight,
    rate: options.rate,
    numbers: verify === true,
    interrupted,
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
function isGood({ plan, load, verdict, ledger }: StressReport): boolean {
  const isComplete = (result: LoadResult) =>
    result.sent === plan.clients * plan.events && result.refused === 0 && result.failures.length === 0;
  const isVerified = verdict === undefined ||
    verdict.missing + verdict.doubled + verdict.outOfOrder + verdict.damaged === 0;
  return isComplete(load) && isVerified && ledger?.isBalanced !== false;
}
