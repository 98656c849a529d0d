/** `esc stress`: loads a server with many clients, measures, and proves that nothing was lost. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { EscError } from "../src/errors.ts";
import { byteSize, type CommandContext, wholeNumber } from "./command.ts";
import { acksName, priorityNumber } from "./event-options.ts";
import {
  addAddressOptions,
  addHttpPortOption,
  TCP_PORT_DEFAULT,
  UDP_PORT_DEFAULT,
} from "./server-options.ts";
import { CLIENTS_MAX, EVENTS_MAX, IDENTITY_BYTES, TOPICS_MAX } from "./stress/plan.ts";
import { stressText, stressValue } from "./stress/report.ts";
import { isGood, stress, type StressOptions } from "./stress/run.ts";

interface CommandOptions extends StressOptions {
  readonly topics?: number;
  readonly scenario?: string;
}

const EXAMPLES = `
Topics are stress.realtime, stress.transaction and stress.batch in turn, or stress.t0, stress.t1, ... with --topics;
priorities 0 to 4 in turn. An event's latency is the time from writing it to the acknowledgement that covers it;
with --rate, from when it was due.

--verify reads everything back and compares it, event by event; and checks that the server's counters add up.

Examples:
  $ esc stress --clients 10 --events 100000 --acks durable --verify
  $ esc stress --clients 50 --events 20000 --rate 100000 --size 1KiB
  $ esc stress --scenario config/scenarios/smoke.yaml
  $ esc stress --udp --clients 4 --events 1000000 --rate 200000`;

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
    .addOption(
      new Option("--rate <n>", "events a second of all clients together").argParser(rate)
        .default(Infinity, "as fast as it goes"),
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
    .option("--scenario <file>", "phases and thresholds of a file instead: docs/operations-tools.md")
    .addHelpText("after", EXAMPLES)
    .action(async (options: CommandOptions) => {
      if (options.scenario !== undefined) {
        const { runScenario } = await import("./stress/scenario-run.ts");
        return await runScenario(options.scenario, options, context);
      }
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
