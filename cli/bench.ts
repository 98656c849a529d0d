/** `esc bench`: how fast this machine is, part by part and from the socket to the log. */
import type { Command } from "commander";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Figure, figureText, type FigureValue, figureValue, machine } from "../bench/figure.ts";
import { EscError } from "../src/errors.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { escCommand } from "./self.ts";

interface BenchOptions {
  readonly rounds: number;
  readonly scale: number;
  readonly save?: string;
  readonly compare?: string;
  readonly vs?: string;
  readonly out: string;
}

/** A table of the figures the original engine has published, from a short run of each benchmark. */
const SUMMARY = "summary";
const REPORT = "report";
const SUMMARY_SCALE = 0.25;
const SUMMARY_BENCHES = ["spsc", "mpsc", "pool", "dedup", "e2e", "latency"];
const NAMES = [
  "spsc",
  "mpsc",
  "pool",
  "dedup",
  "crc",
  "decode",
  "dispatch",
  "log",
  "processing",
  "deliver",
  "e2e",
  "relay",
  "latency",
  "scale",
  "steady",
];

/** Write gigabytes: only when they are asked for. */
const LONG = ["scale", "steady"];

/** Registers `esc bench`. */
export function register(program: Command, context: CommandContext): void {
  program.command("bench")
    .summary("measure how fast this machine is")
    .description("Measure how fast this machine is, part by part and from the socket to the log.")
    .argument(
      "[names...]",
      `what to measure: ${[...NAMES, SUMMARY, REPORT].join(", ")}; default: all but ${LONG.join(" and ")}`,
    )
    .option("--rounds <n>", "rounds of each case; the median counts", wholeNumber(1, 1000), 5)
    .option("--scale <share>", "work of a round against the usual", share, 1)
    .option("--save <file>", "write the figures to a file, one JSON object a line")
    .option("--compare <file>", "compare with figures saved before")
    .option("--vs <servers>", "run the same work on other servers installed here: nats, redis, mosquitto")
    .option("--out <folder>", `where '${REPORT}' puts its plots`, ".")
    .addHelpText(
      "after",
      "\nEvery benchmark checks its result before it prints a figure. Rounds of all cases take turns; the spread is" +
        "\nthat of the rounds. The original engine's published figures stand in brackets: another machine, other code." +
        "\n\nExamples:\n  $ esc bench dedup --save before.json\n  $ esc bench dedup --compare before.json" +
        `\n  $ esc bench ${SUMMARY}\n  $ esc bench --vs nats,redis\n  $ esc bench ${REPORT} --compare before.json --out plots`,
    )
    .action((names: string[], options: BenchOptions) => bench(names, options, context));
}

async function bench(
  names: readonly string[],
  options: BenchOptions,
  context: CommandContext,
): Promise<void> {
  const { output } = context;
  const unknown = names.find((name) => ![...NAMES, SUMMARY, REPORT].includes(name));
  if (unknown !== undefined) {
    throw new EscError("USAGE", `There is no benchmark "${unknown}"`, {
      hint: `There are ${[...NAMES, SUMMARY, REPORT].join(", ")}`,
    });
  }
  const before = options.compare === undefined ? undefined : readFigures(options.compare);
  if (names.includes(REPORT)) return await report(before ?? [], options, context);
  const where = machine();
  output.result(
    { machine: where },
    () => `${where.cpu} x ${where.cores}, Bun ${where.bun}, ${where.platform}, load ${where.load}`,
  );
  if (options.vs !== undefined) return await versus(options.vs, options, context);
  const isSummary = names.includes(SUMMARY);
  const chosen = isSummary
    ? SUMMARY_BENCHES
    : names.length > 0
    ? names
    : NAMES.filter((name) => !LONG.includes(name));
  const scale = options.scale * (isSummary ? SUMMARY_SCALE : 1);
  const values: FigureValue[] = [];
  const onFigure = (figure: Figure) => {
    values.push(figureValue(figure));
    if (!isSummary || figure.published !== undefined) {
      output.result(figureValue(figure), () => figureText(figure));
    }
  };
  const { BENCHMARKS } = await import("../bench/catalogue.ts");
  const { runBenchmark } = await import("../bench/benchmark.ts");
  const interrupted = context.interrupted();
  for (const name of chosen) {
    const benchmark = BENCHMARKS.get(name);
    if (benchmark === undefined) {
      throw new EscError("INTERNAL", `Benchmark "${name}" is not in the catalogue`);
    }
    if (!output.json) output.line(`\n${output.style("bold", name)}: ${benchmark.summary}`);
    const { rounds } = options;
    await runBenchmark(benchmark, { name, rounds, scale, esc: escCommand(), onFigure, interrupted });
  }
  if (options.save !== undefined) save(options.save, values);
  if (before !== undefined) await compare(before, values, context);
}

async function versus(
  servers: string,
  options: BenchOptions,
  { output, interrupted }: CommandContext,
): Promise<void> {
  const { measureAgainst, resultText } = await import("../bench/rivals.ts");
  const { runBenchmark } = await import("../bench/benchmark.ts");
  const { relay } = await import("../bench/relay.ts");
  await measureAgainst({
    servers: servers.split(","),
    rounds: options.rounds,
    scale: options.scale,
    esc: escCommand(),
    interrupted: interrupted(),
    onResult: (result) => output.result(result, () => resultText(result)),
    onNote: (note) => output.note(note),
  });
  // Through to a subscriber, too: there NATS core has to do all that esc does but for the log.
  if (!servers.split(",").includes("nats")) return;
  await runBenchmark(relay, {
    name: "relay",
    rounds: options.rounds,
    scale: options.scale,
    esc: escCommand(),
    onFigure: (figure) => output.result(figureValue(figure), () => figureText(figure)),
    interrupted: interrupted(),
  });
}

async function compare(
  before: readonly FigureValue[],
  now: readonly FigureValue[],
  { output }: CommandContext,
): Promise<void> {
  const { changeOf, changeText } = await import("../bench/compare.ts");
  if (!output.json) output.line("");
  for (const value of now) {
    const old = before.find(({ bench, name }) => bench === value.bench && name === value.name);
    if (old === undefined) continue;
    const change = changeOf(old, value);
    output.result({ change }, () => changeText(change));
  }
}

/** Plots figures that were saved before. */
async function report(
  figures: readonly FigureValue[],
  { out }: BenchOptions,
  { output }: CommandContext,
): Promise<void> {
  if (figures.length === 0) {
    throw new EscError("USAGE", "There is nothing to plot", {
      hint:
        `Measure first: 'esc bench --save figures.json', then 'esc bench ${REPORT} --compare figures.json'`,
    });
  }
  const { plots } = await import("../bench/plot.ts");
  for (const [name, svg] of plots(figures)) {
    const path = join(out, name);
    write(path, svg);
    output.result({ path }, () => path);
  }
}

function save(path: string, values: readonly FigureValue[]): void {
  write(path, values.map((value) => `${JSON.stringify(value)}\n`).join(""));
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new EscError("USAGE", `Cannot write ${path}`, { cause });
  }
}

/** @throws {EscError} `USAGE` when the file cannot be read or holds something else. */
function readFigures(path: string): FigureValue[] {
  try {
    const values = readFileSync(path, "utf8").split("\n").filter((line) => line !== "")
      .map((line): unknown => JSON.parse(line));
    if (!values.every(isFigure)) throw new SyntaxError("a line is not a figure");
    return values;
  } catch (cause) {
    throw new EscError("USAGE", `Cannot read figures from ${path}`, {
      cause,
      hint: "A file of figures is written by 'esc bench --save'",
    });
  }
}

function isFigure(value: unknown): value is FigureValue {
  return typeof value === "object" && value !== null && "bench" in value && "name" in value &&
    "ns_per_event" in value && "rounds" in value && Array.isArray(value.rounds) && value.rounds.length > 0;
}

function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 100)) {
    throw new EscError("USAGE", `--scale "${text}" is not a number up to 100`);
  }
  return value;
}
