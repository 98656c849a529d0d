/**
 * The command line of esc: one table of commands, each in its own file, loaded only when it is the one.
 *
 * To add a command, write `cli/<name>.ts` that exports
 *
 *     export function register(program: Command, context: CommandContext): void {
 *       program.command("tail").argument("<pattern>").option("--from <start>", "…", "latest")
 *         .addHelpText("after", "\nExamples:\n  $ esc tail 'orders.>'")
 *         .action(async (pattern: string, options: { from: string }) => { … });
 *     }
 *
 * and add its line to `COMMANDS` below. Rules for commands:
 *  - `--json` is global: use `context.output.result(value, () => text)` and it is obeyed.
 *  - Fail by throwing `EscError` (its code gives the exit status and its hint is shown), or by returning
 *    after `process.exitCode = 1` when the result itself was printed (as `stress --verify` does).
 *    A mistaken argument is `USAGE`, or commander's `InvalidArgumentError` inside an argument parser.
 *  - Results to stdout through `context.output`; notes and progress to stderr through it.
 *  - Import what is heavy inside the action (`await import`), so that `--help` stays quick.
 */
import { Command, CommanderError } from "commander";
import process from "node:process";
import type { CommandContext } from "./command.ts";
import { Output } from "./output.ts";
import { addAccessOptions, useAccessOptions } from "./server-access.ts";
import { VERSION } from "./version.ts";

interface CommandEntry {
  readonly summary: string;
  load(): Promise<{ register(program: Command, context: CommandContext): void }>;
}

/** Every command, in the order of `esc --help`. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  serve: { summary: "run the server", load: () => import("./serve.ts") },
  init: { summary: "write a small configuration to begin with", load: () => import("./init.ts") },
  config: { summary: "check, print and write configuration files", load: () => import("./config.ts") },
  generate: {
    summary: "make up events: sensors, a shop, a market, a game",
    load: () => import("./generate.ts"),
  },
  send: { summary: "send events to a server", load: () => import("./send.ts") },
  tail: { summary: "print events, live or from the log", load: () => import("./tail.ts") },
  stress: {
    summary: "load a server, measure it, prove that nothing is lost",
    load: () => import("./stress.ts"),
  },
  bench: { summary: "measure how fast this machine is", load: () => import("./bench.ts") },
  chaos: { summary: "trouble on purpose: a bad network link", load: () => import("./chaos.ts") },
  doctor: {
    summary: "check machine and configuration, with advice",
    load: () => import("./doctor.ts"),
  },
  handlers: { summary: "write, check and try handlers of your own", load: () => import("./handlers.ts") },
  debug: { summary: "gather what is needed to help", load: () => import("./debug.ts") },
  topics: { summary: "list the topics a server has seen", load: () => import("./topics.ts") },
  top: { summary: "watch a server in the terminal", load: () => import("./top.ts") },
  why: { summary: "tell what became of one event", load: () => import("./why.ts") },
  feeds: { summary: "simulate trading venues", load: () => import("./feeds.ts") },
  replay: { summary: "replay recordings of venues, or the log", load: () => import("./replay.ts") },
  query: { summary: "ask the store by SQL", load: () => import("./query.ts") },
  migrate: { summary: "bring the schema of the store up to date", load: () => import("./migrate.ts") },
  consumers: {
    summary: "list durable consumers and groups, and why they stand still",
    load: () => import("./consumers.ts"),
  },
  dlq: { summary: "look at dead letters, requeue or purge them", load: () => import("./dlq.ts") },
  token: { summary: "make tokens for servers with auth", load: () => import("./token.ts") },
  log: { summary: "check and repair the files of the log", load: () => import("./log.ts") },
  backup: { summary: "copy the data directory while the server works", load: () => import("./backup.ts") },
  restore: { summary: "make a data directory from a backup", load: () => import("./restore.ts") },
  completions: { summary: "print a completion script for a shell", load: () => import("./completions.ts") },
  version: { summary: "print the version", load: () => import("./version.ts") },
};

const EXIT_USAGE = 2;

/** Parses the arguments, runs the command, and returns the exit status. */
async function main(args: readonly string[]): Promise<number> {
  const output = new Output({
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderrIsTerminal: process.stderr.isTTY === true,
    env: process.env,
    exit: (status) => process.exit(status),
  });
  const report = (error: unknown) => process.exit(output.failure(error));
  process.on("uncaughtException", report);
  process.on("unhandledRejection", report);

  const program = createProgram(output);
  const context: CommandContext = { output, env: process.env, interrupted: once(interruptSignal) };
  const chosen = chosenCommand(args);
  for (const [name, entry] of Object.entries(COMMANDS)) {
    // Completions are made from all commands: they alone need every file.
    if (name === chosen || chosen === "completions") (await entry.load()).register(program, context);
    else program.command(name).summary(entry.summary).allowUnknownOption().allowExcessArguments();
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    return output.failure(error);
  }
}

function createProgram(output: Output): Command {
  const program = new Command("esc")
    .description("EventStreamCore: events in, in order, durable, processed and delivered, by one executable.")
    .option("--json", "print results as JSON, one value a line")
    .version(VERSION, "-V, --version", "print the version")
    .helpCommand("help [command]", "explain a command")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => output.bytes(Buffer.from(text)),
      writeErr: (text) => output.note(text.trimEnd()),
    })
    .showHelpAfterError("(see --help)")
    .addHelpText(
      "after",
      "\nExit status: 0 ok, 1 failed, 2 usage, 69 server unreachable, 78 bad configuration.",
    )
    .exitOverride();
  addAccessOptions(program);
  program.hook("preAction", () => {
    useAccessOptions(program.opts(), process.env);
    if (program.opts<{ json?: boolean }>().json === true) output.useJson();
  });
  return program;
}

/** The command that the arguments name: `esc --json tail`, `esc tail`, `esc help tail`. */
function chosenCommand(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((argument) => !argument.startsWith("-"));
  return first === "help" ? second : first;
}

function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(128 + number);
      controller.abort();
    });
  }
  return controller.signal;
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const status = await main(process.argv.slice(2));
process.exitCode = status;
// All is written: timers and threads of what has failed half-way must not keep the process.
if (status !== 0) process.exit(status);
