/** `esc bench`: how fast this machine is, part by part and from the socket to the log. */
import type { Command } from "commander";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "../src/errors.ts";
import { IS_EXECUTABLE } from "../src/threads.ts";
import { figureText, figureValue, machine, readFigure } from "./bench/figure.ts";
import { measureSocketToLog } from "./bench/socket-to-log.ts";
import { byteSize, type CommandContext, wholeNumber } from "./command.ts";
import type { Output } from "./output.ts";

interface BenchOptions {
  readonly rounds: number;
  readonly roundBytes: number;
}

/** Benchmarks of the parts: programs of the source tree, which check their results before they print. */
const PARTS = ["ring", "decode", "dispatch", "dedup", "log", "deliver"];
const WHOLE = "socket-to-log";
const NAMES = [...PARTS, WHOLE];
const ROOT = join(import.meta.dir, "..");

/** Registers `esc bench`. */
export function register(program: Command, context: CommandContext): void {
  program.command("bench")
    .summary("measure how fast this machine is")
    .description("Measure how fast this machine is, part by part and from the socket to the log.")
    .argument("[names...]", `what to measure: ${NAMES.join(", ")}`)
    .option("--rounds <n>", `rounds of ${WHOLE}; the median counts`, wholeNumber(1, 1000), 5)
    .option(
      "--round-bytes <bytes>",
      `frames sent in a round of ${WHOLE}`,
      byteSize(1 << 20, 2 ** 40),
      256 << 20,
    )
    .addHelpText(
      "after",
      `\nEvery benchmark checks its result before it prints a figure. ${WHOLE} starts a server of its own and loads` +
        "\nit from another process; the parts need the source tree (npm run bench)." +
        `\n\nExamples:\n  $ esc bench ${WHOLE}\n  $ npm run bench -- ring decode --json`,
    )
    .action(async (names: string[], options: BenchOptions) => {
      const unknown = names.find((name) => !NAMES.includes(name));
      if (unknown !== undefined) {
        throw new EscError("USAGE", `There is no benchmark "${unknown}"`, {
          hint: `There are ${NAMES.join(", ")}`,
        });
      }
      const chosen = names.length > 0 ? names : IS_EXECUTABLE ? [WHOLE] : NAMES;
      const { output } = context;
      const where = machine();
      output.result(
        { machine: where },
        () => `${where.cpu} x ${where.cores}, Bun ${where.bun}, ${where.platform}`,
      );
      for (const name of chosen) {
        if (!output.json) output.line(`\n${output.style("bold", name)}`);
        await (name === WHOLE ? runWhole(options, output) : runPart(name, output));
      }
    });
}

async function runWhole(options: BenchOptions, output: Output): Promise<void> {
  await measureSocketToLog({
    esc: IS_EXECUTABLE ? [process.execPath] : [process.execPath, join(ROOT, "cli", "esc.ts")],
    rounds: options.rounds,
    roundBytes: options.roundBytes,
    onFigure: (figure) => output.result(figureValue(figure), () => figureText(figure)),
  });
}

/** Runs one program of `bench/` and passes on what it prints, as figures when JSON is wanted. */
async function runPart(name: string, output: Output): Promise<void> {
  const path = join(ROOT, "bench", `${name}.ts`);
  if (IS_EXECUTABLE || !existsSync(path)) {
    throw new EscError("USAGE", `Benchmark "${name}" needs the source tree`, {
      hint: `Run 'npm run bench -- ${name}' there; the executable measures ${WHOLE}`,
    });
  }
  const program = Bun.spawn([process.execPath, path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of program.stdout) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) printLine(name, line, output);
  }
  if (rest !== "") printLine(name, rest, output);
  const status = await program.exited;
  if (status !== 0) throw new EscError("VERIFY_FAILED", `Benchmark "${name}" ended with ${status}`);
}

function printLine(bench: string, line: string, output: Output): void {
  if (!output.json) return output.line(line);
  const figure = readFigure(bench, line);
  if (figure !== undefined) output.line(JSON.stringify(figureValue(figure)));
}
