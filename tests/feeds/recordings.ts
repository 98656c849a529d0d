/**
 * Recorded market data for tests: the full sets where `../shared/market-data` lies beside the repository, else the
 * parts kept in `tests/fixtures/market`.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const REPOSITORY = join(import.meta.dir, "..", "..");
const SHARED = process.env.ESC_MARKET_DATA ?? join(REPOSITORY, "..", "shared", "market-data");
const FIXTURES = join(REPOSITORY, "tests", "fixtures", "market");

/** Whether the full recordings are at hand. */
export const HAS_FULL_SETS = existsSync(join(SHARED, "expected"));
/** Ends the names of tests that need more than the fixtures: empty when it is there, else why they are skipped. */
export const FULL_SETS_ABSENT = HAS_FULL_SETS
  ? ""
  : " (skipped: no full recordings in ../shared/market-data or ESC_MARKET_DATA)";

export interface RecordedLine {
  readonly receivedNs: bigint;
  readonly receivedUs: number;
  readonly text: string;
}

/** The fixture, or the full set's file where there is no fixture of that name. */
function pathOf(name: string): string {
  const fixture = join(FIXTURES, name);
  return existsSync(fixture) ? fixture : join(SHARED, name);
}

async function textOf(path: string): Promise<string> {
  const bytes = await Bun.file(path).bytes();
  return new TextDecoder().decode(path.endsWith(".gz") ? Bun.gunzipSync(bytes) : bytes);
}

/** Lines of one recording cut over several files, in order. */
export async function readRecording(...names: string[]): Promise<RecordedLine[]> {
  const lines: RecordedLine[] = [];
  for (const name of names) {
    for (const line of (await textOf(pathOf(name))).trimEnd().split("\n")) {
      const space = line.indexOf(" ");
      const receivedNs = BigInt(line.slice(0, space));
      lines.push({ receivedNs, receivedUs: Number(receivedNs / 1000n), text: line.slice(space + 1) });
    }
  }
  return lines;
}

export interface RestAnswer {
  readonly receivedUs: number;
  readonly url: string;
  readonly body: string;
}

export async function readRest(name: string): Promise<RestAnswer[]> {
  return (await textOf(pathOf(name))).trimEnd().split("\n").map((line) => {
    const answer: { t_ns: number; url: string; body: string } = JSON.parse(line);
    return { receivedUs: Math.floor(answer.t_ns / 1000), url: answer.url, body: answer.body };
  });
}

export async function readLines(name: string): Promise<string[]> {
  return (await textOf(pathOf(name))).trimEnd().split("\n");
}

export async function readText(name: string): Promise<string> {
  return await textOf(pathOf(name));
}

export async function readExpected(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await textOf(pathOf(`expected/${name}.json`)));
}
