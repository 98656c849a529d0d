/**
 * `npm run drill`: every long proof at full size, one after the other, and one table. Takes about two hours; exit
 * status 1 when any of them has found something. `npm run drill -- --quick` runs all of them in some minutes.
 *
 * `npm run drill -- kill faults` runs those named only. CI runs the same programs at a small size as tests.
 */
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { POSTGRES_MISSING } from "../tests/support/postgres.ts";
import { buildIfStale, ROOT } from "./build.ts";

/** What the largest drill needs of the disk. */
const LARGE_LOG_FREE_BYTES = 14 * 2 ** 30;

interface Size {
  /** Arguments of Bun. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Drill {
  readonly name: string;
  /** What it shows, in a word of docs/guarantees.md. */
  readonly shows: string;
  readonly full: Size;
  readonly quick: Size;
  /** Why it cannot run here. */
  readonly skipReason?: () => string | undefined;
}

const needsStrace = () => Bun.which("strace") === null ? "strace is not installed" : undefined;
const needsRoot = () => process.getuid?.() === 0 ? undefined : "only root may mount a tmpfs";
const program = (path: string, ...args: string[]): Size => ({ command: [path, ...args] });
const tests = (path: string, env: Readonly<Record<string, string>> = {}): Size => ({
  command: ["test", "--timeout=3600000", path],
  env,
});

const DRILLS: readonly Drill[] = [
  {
    name: "kill",
    shows: "SIGKILL at random moments: nothing acknowledged lost, doubled or out of order",
    full: program("tests/crash/kill-loop.ts", "--cycles", "1000"),
    quick: program("tests/crash/kill-loop.ts", "--cycles", "25"),
  },
  {
    name: "processing",
    shows: "SIGKILL while rules and windows work: results and alerts exact",
    full: program("tests/crash/processing-loop.ts", "--kills", "200"),
    quick: program("tests/crash/processing-loop.ts", "--kills", "5"),
  },
  {
    name: "processing-postgres",
    shows: "the same with results in PostgreSQL",
    full: program("tests/crash/processing-loop.ts", "--kills", "200", "--store", "postgres"),
    quick: program("tests/crash/processing-loop.ts", "--kills", "5", "--store", "postgres"),
    skipReason: () => POSTGRES_MISSING,
  },
  {
    name: "faults",
    shows: "writes and syncs of the executable that fail, one call after the other",
    full: program("tests/crash/faults.ts", "--from", "1", "--to", "200"),
    quick: program("tests/crash/faults.ts", "--from", "3", "--to", "5"),
    skipReason: needsStrace,
  },
  {
    name: "full-disk",
    shows: "a disk that fills up, refuses, is freed, and goes on",
    full: tests("tests/crash/full-disk.test.ts"),
    quick: tests("tests/crash/full-disk.test.ts"),
    skipReason: needsRoot,
  },
  {
    name: "simulation",
    shows: "crashes, torn and reordered writes, a model of the lane",
    full: program("tests/sim/run.ts", "--seeds", "10000"),
    quick: program("tests/sim/run.ts", "--seeds", "500"),
  },
  {
    name: "simulation-real",
    shows: "the same with the real lane",
    full: program("tests/sim/run.ts", "--seeds", "10000", "--real"),
    quick: program("tests/sim/run.ts", "--seeds", "300", "--real"),
  },
  {
    name: "planted-bugs",
    shows: "the simulation finds what was broken on purpose",
    full: tests("tests/sim/sim.test.ts"),
    quick: tests("tests/sim/sim.test.ts"),
  },
  {
    name: "damage",
    shows: "every bit of a segment flipped, every truncation point of every file",
    full: program("tests/log/sweeps.ts", "--bytes", "65536"),
    quick: program("tests/log/sweeps.ts", "--bytes", "4096"),
  },
  {
    name: "threads",
    shows: "lane workers and the dispatcher killed at any moment",
    full: tests("tests/process"),
    quick: tests("tests/process/worker.test.ts"),
  },
  {
    name: "large-log",
    shows: "opening 10 GiB, and starting after SIGKILL, with and without side files",
    full: program("tests/crash/large-log.ts"),
    quick: program("tests/crash/large-log.ts", "--bytes", String(2 ** 30)),
    skipReason: () => {
      const { bavail, bsize } = statfsSync(tmpdir());
      return bavail * bsize < LARGE_LOG_FREE_BYTES ? "less than 14 GiB of disk is free" : undefined;
    },
  },
  {
    name: "store",
    shows: "effects exactly once while esc or the database is killed",
    full: tests("tests/store/drill.test.ts", { ESC_DRILL_KILLS: "200" }),
    quick: tests("tests/store/drill.test.ts"),
  },
  {
    name: "fuzz",
    shows: "malformed frames, a million of them",
    full: tests("tests/fuzz", { ESC_FUZZ_FRAMES: "1000000" }),
    quick: tests("tests/fuzz"),
  },
  {
    name: "overload",
    shows: "twice as many BATCH events as their lane takes: CRITICAL ones go on",
    full: program("tests/e2e/overload.ts", "--seconds", "60", "--judge-times"),
    quick: program("tests/e2e/overload.ts", "--seconds", "15"),
  },
  {
    name: "siege",
    shows: "1,000 that stall, 5,000 that idle, a flood of connections: what a healthy client notices",
    full: program("tests/e2e/siege.ts", "--seconds", "30"),
    quick: program("tests/e2e/siege.ts", "--seconds", "3"),
  },
  {
    name: "market",
    shows: "whole recordings of venues, in the process; end-to-end has them through the executable",
    full: tests("tests/feeds", { ESC_DRILL: "1" }),
    quick: tests("tests/feeds/checkpoint.test.ts"),
  },
  {
    name: "slow-subscriber",
    shows: "one of 50 subscribers takes 1 %: the others, the memory, and who is named",
    full: program("tests/e2e/slow-subscribers.ts", "--rate", "500", "--seconds", "50", "--judge-times"),
    quick: program("tests/e2e/slow-subscribers.ts", "--seconds", "16", "--subscribers", "8", "--rounds", "1"),
  },
  {
    name: "ndjson",
    shows: "a body of 600 MiB published while it is read: every event, in bounded memory",
    full: program("tests/e2e/ndjson-flood.ts", "--bytes", String(600 * 2 ** 20)),
    quick: program("tests/e2e/ndjson-flood.ts", "--bytes", String(40 * 2 ** 20)),
  },
  {
    name: "end-to-end",
    shows: "stress with verification, kills, restarts, backup, dead letters, ledger",
    full: tests("tests/e2e", { ESC_DRILL: "1" }),
    quick: tests("tests/e2e/kill.test.ts"),
  },
];

interface Outcome {
  readonly drill: Drill;
  readonly result: "ok" | "FAILED" | "skipped";
  readonly seconds: number;
  /** The last thing it said, or why it was skipped. */
  readonly says: string;
}

async function run(drill: Drill, size: "full" | "quick"): Promise<Outcome> {
  const skipped = drill.skipReason?.();
  if (skipped !== undefined) return { drill, result: "skipped", seconds: 0, says: skipped };
  console.log(`\n== ${drill.name}: ${drill.shows}`);
  const { command, env } = drill[size];
  const started = performance.now();
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  // Tests say how they went on stderr, programs on stdout.
  const [out, err] = await Promise.all([
    lastLine(child.stdout, process.stdout),
    lastLine(child.stderr, process.stderr),
  ]);
  const result = await child.exited === 0 ? "ok" : "FAILED";
  return {
    drill,
    result,
    seconds: (performance.now() - started) / 1000,
    says: command[0] === "test" ? err : out,
  };
}

/** Passes everything on. @returns The last line that is not empty. */
async function lastLine(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  const decoder = new TextDecoder();
  let last = "";
  let line = "";
  for await (const bytes of from) {
    to.write(bytes);
    const lines = (line + decoder.decode(bytes, { stream: true })).split("\n");
    line = lines.pop() ?? "";
    last = lines.findLast((candidate) => candidate.trim() !== "") ?? last;
  }
  return line.trim() === "" ? last : line;
}

const { values, positionals: named } = parseArgs({
  options: { quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
const unknown = named.filter((name) => !DRILLS.some((drill) => drill.name === name));
if (unknown.length > 0) {
  console.error(`There is no drill ${unknown.join(", ")}: ${DRILLS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
buildIfStale();
const chosen = DRILLS.filter(({ name }) => named.length === 0 || named.includes(name));
const outcomes: Outcome[] = [];
for (const drill of chosen) outcomes.push(await run(drill, values.quick ? "quick" : "full"));
console.log("");
for (const { drill, result, seconds, says } of outcomes) {
  console.log(
    `${drill.name.padEnd(19)} ${result.padEnd(8)} ${seconds.toFixed(0).padStart(6)} s  ${drill.shows}`,
  );
  console.log(`${" ".repeat(40)}${says}`);
}
process.exitCode = outcomes.some(({ result }) => result === "FAILED") ? 1 : 0;
