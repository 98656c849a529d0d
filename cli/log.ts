/** `esc log`: looks into the files of the log, beside a running server or without one. */
import { type Command, Option } from "commander";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DataDirectory } from "../src/data-directory.ts";
import { EscError } from "../src/errors.ts";
import { BATCH_HAS_IDS } from "../src/log/format.ts";
import { describeDamage, type LogDamage } from "../src/log/damage.ts";
import { mendIndex } from "../src/log/mend.ts";
import { nodeFiles } from "../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../src/log/segment.ts";
import { listSegments } from "../src/log/segments.ts";
import { type SegmentSummary, verifySegments } from "../src/log/verify.ts";
import type { BatchSummary } from "../src/log/walk.ts";
import { LogWriter } from "../src/log/writer.ts";
import type { CommandContext } from "./command.ts";

const DATA_DIRECTORY_DEFAULT = "./data";
/** A shard's log lies at most so deep below the data directory: log/<lane>/<shard>. */
const DEPTH_MAX = 3;

/** Registers `esc log`. */
export function register(program: Command, context: CommandContext): void {
  const log = program.command("log")
    .summary("check and repair the files of the log")
    .description(
      "Look into the files of the log. DIR is a data directory, or any folder in it. " +
        "verify and inspect only read, and may run beside a server.",
    );
  log.command("verify")
    .description("Read every batch of every segment and check it. Exit status 1 if anything is damaged.")
    .argument("[dir]", "data directory", DATA_DIRECTORY_DEFAULT)
    .addHelpText("after", "\nExamples:\n  $ esc log verify\n  $ esc log verify ./data/log/realtime/0 --json")
    .action((directory: string) => verify(directory, context));
  log.command("inspect")
    .description("List segments and what is in them.")
    .argument("[dir]", "data directory", DATA_DIRECTORY_DEFAULT)
    .option("--batches", "list every batch too")
    .addHelpText("after", "\nExamples:\n  $ esc log inspect\n  $ esc log inspect ./data/log/dlq/0 --batches")
    .action((directory: string, options: { batches?: boolean }) => inspect(directory, options, context));
  log.command("repair")
    .description(
      "Do now what the next start of the server would do: cut torn tails off (the bytes are kept beside the log), " +
        "and make missing indexes anew. Damaged batches stay where they are; readers skip them.",
    )
    .argument("[dir]", "data directory", DATA_DIRECTORY_DEFAULT)
    .addOption(new Option("--dry-run", "only say what would be done"))
    .addHelpText("after", "\nExamples:\n  $ esc log repair --dry-run\n  $ esc log repair ./data")
    .action((directory: string, options: { dryRun?: boolean }) => repair(directory, options, context));
}

function verify(directory: string, { output }: CommandContext): void {
  let damages = 0;
  for (const log of findLogs(directory)) {
    const totals = { log, segments: 0, batches: 0, events: 0, bytes: 0, torn_bytes: 0 };
    const found: LogDamage[] = [];
    for (const segment of verifySegments(nodeFiles, log)) {
      totals.segments++;
      totals.batches += segment.batches;
      totals.events += segment.events;
      totals.bytes += segment.usedBytes;
      totals.torn_bytes += segment.tornBytes;
      found.push(...segment.damages);
      output.progress(`${log}: ${totals.events.toLocaleString("en")} events`);
    }
    damages += found.length;
    output.result({ ...totals, ok: found.length === 0, damages: found.map(damageJson) }, () => {
      const verdict = found.length === 0
        ? output.style("green", "ok")
        : output.style("red", `${found.length} damaged`);
      const torn = totals.torn_bytes === 0
        ? ""
        : `\n  ${totals.torn_bytes} bytes at the end are being written, or are a torn tail the next start cuts off`;
      return `${log}: ${verdict}, ${counts(totals)}${torn}` +
        found.map((damage) => `\n  ${describeDamage(damage)}`).join("");
    });
  }
  if (damages > 0) process.exitCode = 1;
}

function inspect(directory: string, options: { batches?: boolean }, { output }: CommandContext): void {
  for (const log of findLogs(directory)) {
    if (!output.json) output.line(output.style("bold", log));
    const onBatch = (batch: BatchSummary) => {
      if (options.batches === true) output.result({ log, ...batchJson(batch) }, () => batchText(batch));
    };
    for (const segment of verifySegments(nodeFiles, log, onBatch)) {
      output.result({ log, ...segmentJson(segment) }, () => segmentText(segment));
    }
  }
}

function repair(directory: string, options: { dryRun?: boolean }, { output }: CommandContext): void {
  const logs = findLogs(directory);
  // Readers may look at any time; who writes must be alone.
  const lock = options.dryRun === true ? undefined : lockOf(directory);
  try {
    for (const log of logs) {
      const repairs = options.dryRun === true ? plannedRepairs(log) : repairLog(log);
      output.result({ log, dry_run: options.dryRun === true, repairs }, () => {
        const will = options.dryRun === true ? "would be done" : "done";
        return repairs.length === 0
          ? `${log}: nothing to do`
          : repairs.map((line) => `${log}: ${will}: ${line}`).join("\n");
      });
    }
  } finally {
    lock?.close();
  }
}

function plannedRepairs(log: string): string[] {
  const repairs: string[] = [];
  for (const segment of verifySegments(nodeFiles, log)) {
    if (segment.tornBytes > 0) {
      repairs.push(`cut ${segment.tornBytes} torn bytes off '${segment.path}' and keep them beside it`);
    }
    if (segment.indexEntries === undefined) repairs.push(`make the index of '${segment.path}' anew`);
  }
  return repairs;
}

function repairLog(log: string): string[] {
  const repairs: string[] = [];
  const { indexBytes } = LOG_OPTIONS_DEFAULT;
  for (const baseOffset of listSegments(nodeFiles, log)) {
    if (mendIndex(nodeFiles, log, baseOffset, indexBytes)) {
      repairs.push(`made the index of segment ${baseOffset} anew`);
    }
  }
  const writer = LogWriter.open(nodeFiles, log, { ...LOG_OPTIONS_DEFAULT, minFreeBytes: 0 }, (damage) => {
    if (damage.kind === "torn") repairs.push(describeDamage(damage));
  });
  const { failure } = writer;
  if (failure !== undefined) throw failure;
  writer.close();
  return repairs;
}

/** The lock of the data directory that a folder belongs to, if it belongs to one. */
function lockOf(directory: string): DataDirectory | undefined {
  let root = directory;
  for (let level = 0; level <= DEPTH_MAX; level++) {
    if (existsSync(join(root, "lock"))) return new DataDirectory(root);
    root = join(root, "..");
  }
  return undefined;
}

/** All folders with segments at or below `directory`, by name. */
function findLogs(directory: string): string[] {
  if (!existsSync(directory)) throw new EscError("NOT_FOUND", `There is no folder '${directory}'`);
  const found: string[] = [];
  collectLogs(directory, DEPTH_MAX, found);
  if (found.length === 0) {
    throw new EscError("NOT_FOUND", `There is no log in '${directory}'`, {
      hint: "Name a data directory (data.dir of the configuration), or a folder in it",
    });
  }
  return found;
}

function collectLogs(directory: string, depth: number, found: string[]): void {
  if (listSegments(nodeFiles, directory).length > 0) found.push(directory);
  if (depth === 0) return;
  const folders = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))) {
    collectLogs(join(directory, name), depth - 1, found);
  }
}

function counts({ segments, batches, events, bytes }: {
  segments: number;
  batches: number;
  events: number;
  bytes: number;
}): string {
  const number = (value: number) => value.toLocaleString("en");
  return `${number(events)} events in ${number(batches)} batches, ${number(segments)} segments, ${
    number(bytes)
  } bytes`;
}

function timeText(us: number): string {
  return us === 0 ? "-" : new Date(us / 1000).toISOString();
}

function damageJson(damage: LogDamage) {
  const { kind, file, position, bytes, fromOffset, toOffset } = damage;
  return { kind, file, position, bytes, from_offset: fromOffset, to_offset: toOffset };
}

function segmentJson(segment: SegmentSummary) {
  return {
    segment: segment.path,
    base_offset: segment.baseOffset,
    end_offset: segment.endOffset,
    created_us: segment.createdUs,
    file_bytes: segment.fileBytes,
    used_bytes: segment.usedBytes,
    batches: segment.batches,
    events: segment.events,
    first_received_us: segment.firstReceivedUs,
    last_received_us: segment.lastReceivedUs,
    torn_bytes: segment.tornBytes,
    index_entries: segment.indexEntries ?? null,
    damages: segment.damages.map(damageJson),
  };
}

function segmentText(segment: SegmentSummary): string {
  const { baseOffset, endOffset, batches, events, usedBytes, fileBytes } = segment;
  const lines = [
    `  ${segment.path}`,
    `    offsets   ${baseOffset} to ${endOffset - 1}` + (events === 0 ? " (empty)" : ""),
    `    holds     ${counts({ segments: 1, batches, events, bytes: usedBytes })} of ${
      fileBytes.toLocaleString("en")
    }`,
    `    received  ${timeText(segment.firstReceivedUs)} to ${timeText(segment.lastReceivedUs)}`,
    `    index     ${segment.indexEntries === undefined ? "missing" : `${segment.indexEntries} entries`}`,
  ];
  if (segment.tornBytes > 0) lines.push(`    torn      ${segment.tornBytes} bytes`);
  for (const damage of segment.damages) lines.push(`    damage    ${describeDamage(damage)}`);
  return lines.join("\n");
}

function batchJson(batch: BatchSummary) {
  return {
    position: batch.position,
    bytes: batch.bytes,
    base_offset: batch.baseOffset,
    count: batch.count,
    first_received_us: batch.firstReceivedUs,
    last_received_us: batch.lastReceivedUs,
    has_ids: (batch.flags & BATCH_HAS_IDS) !== 0,
  };
}

function batchText(batch: BatchSummary): string {
  const last = batch.baseOffset + batch.count - 1;
  return `    batch at ${batch.position}: ${batch.bytes} bytes, offsets ${batch.baseOffset} to ${last}, ` +
    timeText(batch.firstReceivedUs);
}
