/**
 * `npm test`: builds esc if need be, runs all tests (or those named by the arguments), and ends with the plain
 * line `N passed, N failed, N skipped`, which any CI can read.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildIfStale, ROOT } from "./build.ts";

/** A test that hangs ends; one that is slow because the machine is busy does not. */
const TEST_MS_MAX = 120_000;

/** Results of one run of the tests. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Reads the totals of a JUnit report.
 *
 * @returns `undefined` when there is no report: the run broke off.
 */
export function countTests(junit: string): TestCounts | undefined {
  const totals = /<testsuites\b[^>]*>/.exec(junit)?.[0];
  if (totals === undefined) return undefined;
  const total = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const failed = total("failures") + total("errors");
  return { passed: total("tests") - failed - total("skipped"), failed, skipped: total("skipped") };
}

/** Runs the tests and returns the counts; a run that ends badly without a failed test counts as one failed. */
function runTests(args: readonly string[]): TestCounts {
  const folder = mkdtempSync(join(tmpdir(), "esc-junit-"));
  const report = join(folder, "junit.xml");
  try {
    const { exitCode } = Bun.spawnSync(
      [
        process.execPath,
        "test",
        `--timeout=${TEST_MS_MAX}`,
        "--reporter=junit",
        `--reporter-outfile=${report}`,
        ...args,
      ],
      { cwd: ROOT, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
    );
    const counts = countTests(readOrNothing(report)) ?? { passed: 0, failed: 0, skipped: 0 };
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

if (import.meta.main) {
  buildIfStale();
  const { passed, failed, skipped } = runTests(process.argv.slice(2));
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}
