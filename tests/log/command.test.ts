import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { append } from "./runs.ts";

const CLI = join(import.meta.dir, "../../cli/esc.ts");
const SEGMENT_BYTES = 8192;
let root = "";
let log = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "esc-log-command-"));
  log = join(root, "log/realtime/0");
  mkdirSync(log, { recursive: true });
  writeFileSync(join(root, "lock"), "");
  const writer = open();
  for (let index = 0; index < 100; index++) append(writer, [`event ${index}`], 1_700_000_000_000_000 + index);
  writer.close();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(): LogWriter {
  const options = { ...LOG_OPTIONS_DEFAULT, segmentBytes: SEGMENT_BYTES, minFreeBytes: 0 };
  return LogWriter.open(nodeFiles, log, options, () => {});
}

function esc(...args: string[]): { status: number; output: string; errors: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, CLI, ...args]);
  return { status: exitCode, output: stdout.toString(), errors: stderr.toString() };
}

/** Every line of `--json` output. */
function json(output: string): Record<string, unknown>[] {
  return output.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}

const FIRST = "00000000000000000000";

function flip(position: number): void {
  const path = join(log, `${FIRST}.log`);
  const content = readFileSync(path);
  content[position] = (content[position] ?? 0) ^ 1;
  writeFileSync(path, content);
}

test("esc log verify finds a healthy log healthy, from any folder of the data directory", () => {
  for (const folder of [root, join(root, "log"), log]) {
    const { status, output } = esc("--json", "log", "verify", folder);
    expect(status).toBe(0);
    expect(json(output)).toMatchObject([{
      log,
      events: 100,
      batches: 100,
      ok: true,
      damages: [],
      torn_bytes: 0,
    }]);
  }
});

test("esc log verify exits with 1 on damage and names the offsets", () => {
  flip(64 + 64 + 5);
  const { status, output } = esc("log", "verify", root);
  expect(status).toBe(1);
  expect(output).toContain("1 damaged, 99 events");
  expect(output).toContain("offsets 0 to 0 (1) are lost");
  const damages = [{ kind: "corrupt", position: 64, from_offset: 0, to_offset: 1 }];
  expect(json(esc("log", "verify", root, "--json").output)).toMatchObject([{ ok: false, damages }]);
});

test("esc log verify reads beside a writer that has not closed", () => {
  const writer = open();
  append(writer, ["one more"]);
  const { status, output } = esc("log", "verify", root);
  expect(status).toBe(0);
  expect(output).toContain(": ok, 101 events");
  writer.close();
});

test("esc log inspect lists segments and batches", () => {
  const lines = json(esc("--json", "log", "inspect", root, "--batches").output);
  const segments = lines.filter((line) => "segment" in line);
  expect(segments.length).toBeGreaterThan(1);
  expect(segments[0]).toMatchObject({
    base_offset: 0,
    first_received_us: 1_700_000_000_000_000,
    damages: [],
  });
  expect(segments.at(-1)).toMatchObject({ end_offset: 100 });
  expect(lines.length - segments.length).toBe(100);
  expect(esc("log", "inspect", root).output).toContain("received  2023-11-14T22:13:20.000Z");
});

test("esc log repair --dry-run says what repair does, and changes nothing", () => {
  rmSync(join(log, `${FIRST}.idx`));
  const before = readFileSync(join(log, `${FIRST}.log`));
  const { status, output } = esc("log", "repair", root, "--dry-run");
  expect(status).toBe(0);
  expect(output).toContain(`would be done: make the index of '${join(log, FIRST)}.log' anew`);
  expect(readFileSync(join(log, `${FIRST}.log`)).equals(before)).toBe(true);
  expect(esc("log", "repair", root, "--dry-run").output).toBe(output);
  expect(esc("log", "repair", root).output).toContain("done: made the index of segment 0 anew");
  expect(esc("log", "repair", root).output).toBe(`${log}: nothing to do\n`);
});

test("esc log repair cuts a torn tail and keeps it", () => {
  const last = readdirSync(log).sort().findLast((name) => name.endsWith(".log")) ?? "";
  const path = join(log, last);
  const whole = readFileSync(path);
  writeFileSync(path, Buffer.concat([whole, Buffer.from("torn bytes")]));
  expect(esc("log", "verify", root).output).toContain(
    "bytes at the end are being written, or are a torn tail",
  );
  expect(esc("log", "repair", root).output).toContain("Cut a torn tail of 10 bytes");
  expect(readFileSync(path).equals(whole)).toBe(true);
  expect(readFileSync(`${path}.torn-${whole.length}`, "utf8")).toBe("torn bytes");
});

test("esc log says what is wrong with its argument", () => {
  expect(esc("log", "verify", join(root, "nowhere")).errors).toContain("There is no folder");
  const empty = mkdtempSync(join(root, "empty-"));
  const { status, errors } = esc("log", "verify", empty);
  expect(status).toBe(1);
  expect(errors).toContain(`There is no log in '${empty}'`);
  expect(esc("log").status).toBe(2);
});
