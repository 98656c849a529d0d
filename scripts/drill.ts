/**
 * `npm run drill`: every long proof at full size, one after the other, and one summary. Takes about two hours.
 *
 * `npm run drill -- kill faults` runs those named only. CI runs the same programs at a small size as tests.
 */
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { POSTGRES_MISSING } from "../tests/support/postgres.ts";
import { buildIfStale, ROOT } from "./build.ts";

/** What a drill needs of the disk. */
const LARGE_LOG_FREE_BYTES = 14 * 2 ** 30;

interface Drill {
  readonly name: string;
  /** What it shows, in a word of docs/guarantees.md. */
  readonly shows: string;
  /** Arguments of Bun. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Why it cannot run here. */
  readonly skipReason?: () => string | undefined;
}

const needsStrace = () => Bun.which("strace") === null ? "strace is not installed" : undefined;
const needsRoot = () => process.getuid?.() === 0 ? undefined : "only root may mount a tmpfs";
const TEST = ["test", "--timeout=3600000"];
const FUZZ = { ESC_FUZZ_FRAMES: "1000000" };

const DRILLS: readonly Drill[] = [
  { name: "kill", shows: "SIGKILL, 1,000 times", command: ["tests/crash/kill-loop.ts", "--cycles", "1000"] },
  {
    name: "processing",
    shows: "SIGKILL, 200 times, while rules and windows work: results and alerts exact",
    command: ["tests/crash/processing-loop.ts", "--kills", "200"],
  },
  {
    name: "processing-postgres",
    shows: "the same with results in PostgreSQL",
    command: ["tests/crash/processing-loop.ts", "--kills", "200", "--store", "postgres"],
    skipReason: () => POSTGRES_MISSING,
  },
  {
    name: "faults",
    shows: "writes and syncs that fail, calls 1 to 200",
    command: ["tests/crash/faults.ts", "--from", "1", "--to", "200"],
    skipReason: needsStrace,
  },
  {
    name: "full-disk",
    shows: "a disk that fills up and is freed",
    command: [...TEST, "tests/crash/full-disk.test.ts"],
    skipReason: needsRoot,
  },
  {
    name: "simulation",
    shows: "crashes, torn and reordered writes, 10,000 seeds of the model",
    command: ["tests/sim/run.ts", "--seeds", "10000"],
  },
  {
    name: "simulation-real",
    shows: "the same with the real lane",
    command: ["tests/sim/run.ts", "--seeds", "10000", "--real"],
  },
  {
    name: "damage",
    shows: "every bit flipped and every truncation point of 64 KiB",
    command: ["tests/log/sweeps.ts", "--bytes", "65536"],
  },
  {
    name: "large-log",
    shows: "opening 10 GiB, and starting after SIGKILL",
    command: ["tests/crash/large-log.ts"],
    skipReason: () => {
      const { bavail, bsize } = statfsSync(tmpdir());
      return bavail * bsize < LARGE_LOG_FREE_BYTES ? "less than 14 GiB of disk is free" : undefined;
    },
  },
  {
    name: "fuzz",
    shows: "a million malformed frames",
    command: [...TEST, "tests/fuzz"],
    env: FUZZ,
  },
  {
    name: "end-to-end",
    shows: "stress with verification, kills and restarts at full size",
    command: [...TEST, "tests/e2e"],
    env: { ESC_DRILL: "1" },
  },
];

interface Outcome {
  readonly drill: Drill;
  readonly result: string;
  readonly seconds: number;
  readonly isGood: boolean;
}

function run(drill: Drill): Outcome {
  const skipped = drill.skipReason?.();
  if (skipped !== undefined) return { drill, result: `skipped: ${skipped}`, seconds: 0, isGood: true };
  console.log(`\n== ${drill.name}: ${drill.shows}`);
  const started = performance.now();
  const { exitCode } = Bun.spawnSync([process.execPath, ...drill.command], {
    cwd: ROOT,
    env: { ...process.env, ...drill.env },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  const seconds = (performance.now() - started) / 1000;
  return { drill, result: exitCode === 0 ? "ok" : "FAILED", seconds, isGood: exitCode === 0 };
}

const named = process.argv.slice(2);
const unknown = named.filter((name) => !DRILLS.some((drill) => drill.name === name));
if (unknown.length > 0) {
  console.error(`There is no drill ${unknown.join(", ")}: ${DRILLS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
buildIfStale();
const outcomes = DRILLS.filter(({ name }) => named.length === 0 || named.includes(name)).map(run);
console.log("");
for (const { drill, result, seconds } of outcomes) {
  console.log(
    `${drill.name.padEnd(16)} ${result.padEnd(8)} ${seconds.toFixed(0).padStart(6)} s  ${drill.shows}`,
  );
}
process.exitCode = outcomes.every(({ isGood }) => isGood) ? 0 : 1;
