/**
 * How long a large log takes to open, after a crash: `bun tests/crash/large-log.ts --bytes 10737418240`.
 *
 * Writes real segments with the real writer, leaves them as SIGKILL would, and starts the executable upon them.
 */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { ID_HASH } from "../../src/process/id-hash.ts";
import { appendBatch, batchOfFrames } from "../log/runs.ts";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

export interface LargeLogResult {
  readonly bytes: number;
  readonly events: number;
  /** The log alone; the whole server until /readyz says 200; and again after SIGKILL. */
  readonly openMs: number;
  readonly startMs: number;
  readonly startAfterKillMs: number;
}

const PAYLOAD_BYTES = 1000;
const BATCH_EVENTS = 1024;
const RUN_EVENTS = 64;
/** Syncs are what takes time: none of the drill's business. */
const SYNC_BYTES = 256 << 20;

export async function measureLargeLog(bytes: number): Promise<LargeLogResult> {
  const folder = new TemporaryFolder("large-log");
  let server: EscServer | undefined;
  try {
    const directory = folder.path("data", "log", "transactional", "0");
    mkdirSync(directory, { recursive: true });
    const written = writeLog(directory, bytes);
    const opening = performance.now();
    const reopened = LogWriter.open(nodeFiles, directory, LOG_OPTIONS_DEFAULT, () => {});
    const openMs = performance.now() - opening;
    if (reopened.nextOffset !== written) {
      throw new Error(`${reopened.nextOffset} events of ${written} were found`);
    }
    reopened.close();
    // The default would remove what the drill wants to open.
    const config = {
      lanes: { transactional: { shards: 1, retention: { max_bytes: "none", max_age: "none" } } },
    };
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
    await server.kill();
    const restarting = performance.now();
    server = await EscServer.start({ folder, config });
    const startAfterKillMs = performance.now() - restarting;
    return { bytes, events: written, openMs, startMs, startAfterKillMs };
  } finally {
    await server?.kill();
    folder.remove();
  }
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

if (import.meta.main) {
  const { values } = parseArgs({ options: { bytes: { type: "string", default: String(10 * 2 ** 30) } } });
  const result = await measureLargeLog(Number(values.bytes));
  console.log(JSON.stringify(result));
  const isGood = result.openMs < 2_000 && result.startAfterKillMs < 3_000;
  process.exitCode = isGood ? 0 : 1;
}
