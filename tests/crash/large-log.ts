/**
 * How long large logs take to open, after a crash: `bun tests/crash/large-log.ts --bytes 10737418240`.
 *
 * Writes real segments with the real writer, leaves them as SIGKILL would, and starts the executable upon them: one
 * log of large events, and beside it one of small events with message ids, many times more than are remembered.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeFrame } from "../../src/event/encode.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { hashId, ID_HASH } from "../../src/process/id-hash.ts";
import { appendBatch, batchOfFrames } from "../log/runs.ts";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

export interface LargeLogResult {
  readonly bytes: number;
  readonly events: number;
  /** Message ids in the other log. */
  readonly ids: number;
  /** An empty server, here and now: how busy the machine is. */
  readonly emptyStartMs: number;
  /** The large log alone; the whole server until /readyz says 200; and again after SIGKILL. */
  readonly openMs: number;
  readonly startMs: number;
  readonly startAfterKillMs: number;
  /** After SIGKILL, and after somebody has deleted every index and id file. */
  readonly startWithoutSideFilesMs: number;
}

/** What the limits hold for: a machine on which an empty server is ready in so many milliseconds. */
const EMPTY_START_MS = 300;
const OPEN_MS_MAX = 2_000;
const START_MS_MAX = 3_000;
/** Share of the bytes that small events with ids take. */
const IDS_SHARE = 1 / 40;
const IDS_BATCH_EVENTS = 4096;
const PAYLOAD_BYTES = 1000;
const BATCH_EVENTS = 1024;
const RUN_EVENTS = 64;
/** Syncs are what takes time: none of the drill's business. */
const SYNC_BYTES = 256 << 20;

export async function measureLargeLog(bytes: number): Promise<LargeLogResult> {
  const emptyStartMs = await timeEmptyStart();
  const folder = new TemporaryFolder("large-log");
  let server: EscServer | undefined;
  try {
    const directory = folder.path("data", "log", "transactional", "0");
    const idDirectory = folder.path("data", "log", "realtime", "0");
    for (const path of [directory, idDirectory]) mkdirSync(path, { recursive: true });
    const written = writeLog(directory, bytes);
    const ids = writeIds(idDirectory, bytes * IDS_SHARE);
    const opening = performance.now();
    const reopened = LogWriter.open(nodeFiles, directory, LOG_OPTIONS_DEFAULT, () => {});
    const openMs = performance.now() - opening;
    if (reopened.nextOffset !== written) {
      throw new Error(`${reopened.nextOffset} events of ${written} were found`);
    }
    reopened.close();
    // The default would remove what the drill wants to open.
    const retention = { max_bytes: "none", max_age: "none" };
    const config = { lanes: { transactional: { shards: 1, retention }, realtime: { shards: 1, retention } } };
    const starting = performance.now();
    server = await EscServer.start({ folder, config });
    const startMs = performance.now() - starting;
    const answer = await fetch(server.url("/api/v1/publish/large"), {
      method: "POST",
      headers: { "esc-priority": "2" },
      body: "one more",
    });
    const { offset }: { offset: number } = await answer.json();
    if (offset !== written) throw new Error(`the next event got offset ${offset} in place of ${written}`);
    const restart = async () => {
      await server?.kill();
      const restarting = performance.now();
      server = await EscServer.start({ folder, config });
      return performance.now() - restarting;
    };
    const startAfterKillMs = await restart();
    await server.kill();
    for (const path of [directory, idDirectory]) {
      for (const name of readdirSync(path)) if (!name.endsWith(".log")) rmSync(join(path, name));
    }
    const startWithoutSideFilesMs = await restart();
    const events = written;
    return { bytes, events, ids, emptyStartMs, openMs, startMs, startAfterKillMs, startWithoutSideFilesMs };
  } finally {
    await server?.kill();
    folder.remove();
  }
}

async function timeEmptyStart(): Promise<number> {
  const starting = performance.now();
  const server = await EscServer.start();
  const ms = performance.now() - starting;
  await server.remove();
  return ms;
}

/** @returns Events written. The writer is left as a crash leaves it. */
function writeLog(directory: string, bytes: number): number {
  const frame = encodeFrame({ topic: "large", payload: new Uint8Array(PAYLOAD_BYTES), priority: 2 });
  const run = Array.from({ length: RUN_EVENTS }, () => frame);
  const batch = batchOfFrames(
    Array.from({ length: BATCH_EVENTS / RUN_EVENTS }, () => run),
    Date.now() * 1000,
  );
  const writer = LogWriter.open(
    nodeFiles,
    directory,
    { ...LOG_OPTIONS_DEFAULT, idHash: ID_HASH },
    () => {},
  );
  for (let unsynced = 0; writer.bytes < bytes; unsynced += batch.bodyBytes) {
    appendBatch(writer, batch);
    if (unsynced < SYNC_BYTES) continue;
    writer.sync();
    unsynced = 0;
  }
  writer.sync();
  return writer.nextOffset;
}

/** Small events, each with its number as id. @returns How many. */
function writeIds(directory: string, bytes: number): number {
  const writer = LogWriter.open(nodeFiles, directory, { ...LOG_OPTIONS_DEFAULT, idHash: ID_HASH }, () => {});
  const hash = new Int32Array(2);
  while (writer.bytes < bytes) {
    const from = writer.nextOffset;
    const ids = Array.from({ length: IDS_BATCH_EVENTS }, (_, index) => `order-${from + index}`);
    const frames = ids.map((id) =>
      encodeFrame({ topic: "small", payload: "20 bytes of payload.", priority: 4, id })
    );
    const nowUs = Date.now() * 1000;
    const { bytes: batch, bodyBytes, count } = batchOfFrames([frames], nowUs);
    writer.append(batch, 0, bodyBytes, count, nowUs, nowUs, BATCH_HAS_IDS);
    for (const [index, id] of ids.entries()) {
      hashId(Buffer.from(id), 0, id.length, hash);
      writer.addId(hash[0] ?? 0, hash[1] ?? 0, from + index, nowUs);
    }
    writer.sync();
  }
  return writer.nextOffset;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { bytes: { type: "string", default: String(10 * 2 ** 30) } } });
  const result = await measureLargeLog(Number(values.bytes));
  console.log(JSON.stringify(result));
  // On a machine that has other things to do everything takes longer.
  const slowness = Math.max(1, result.emptyStartMs / EMPTY_START_MS);
  const { openMs, startAfterKillMs, startWithoutSideFilesMs } = result;
  const isGood = openMs < OPEN_MS_MAX * slowness && startAfterKillMs < START_MS_MAX * slowness &&
    startWithoutSideFilesMs < START_MS_MAX * slowness;
  process.exitCode = isGood ? 0 : 1;
}
