import { afterEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";
import { NumberedProducer } from "./numbered-producer.ts";
import { queryEvents } from "./read-log.ts";

let server: EscServer | undefined;
afterEach(() => server?.remove());

const EVENT_COUNT = 20_000;
const CONFIG = { lanes: { transactional: { shards: 1 } } };

/** A server that has stored the events and was killed; the path of the first segment of one of its logs. */
async function storedLog(): Promise<{ server: EscServer; segment: string }> {
  server = await EscServer.start({ config: CONFIG });
  await new NumberedProducer().run(server, { countMax: EVENT_COUNT });
  await server.kill();
  const directory = server.folder.path("data", "log", "transactional", "0");
  const [name = ""] = readdirSync(directory).filter((file) => file.endsWith(".log"));
  return { server, segment: join(directory, name) };
}

test(
  "a flipped bit costs one batch: counted and named where readers meet it, everything else is served",
  async () => {
    const { server: stopped, segment } = await storedLog();
    const bytes = readFileSync(segment);
    const middle = bytes.findLastIndex((byte) => byte !== 0) >> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 16;
    writeFileSync(segment, bytes);
    server = await EscServer.start({ folder: stopped.folder, config: CONFIG });
    const numbers = new Set((await queryEvents(server, "numbered")).map((event) => Number(event.payload)));
    const line = await server.logged(/Skipped \d+ damaged bytes/);
    const [, from = NaN, to = NaN, count = NaN] =
      /offsets (\d+) to (\d+) \((\d+)\) are lost/.exec(line)?.map(Number) ?? [];
    expect(to - from + 1).toBe(count);
    expect(numbers.size).toBe(EVENT_COUNT - count);
    const metrics = await (await fetch(server.url("/metrics"))).text();
    const counted = /esc_log_corrupt_batches_total\{lane="transactional"\} (\d+)/.exec(metrics)?.[1];
    expect(Number(counted)).toBeGreaterThan(0);
    expect(metrics).toContain('esc_log_corrupt_batches_total{lane="realtime"} 0');
  },
  60_000,
);

test("data of a newer format is refused in one sentence, and not touched", async () => {
  const { server: stopped, segment } = await storedLog();
  const bytes = readFileSync(segment);
  bytes.writeUInt32LE(2, 8);
  bytes.writeUInt32LE(Bun.hash.crc32(bytes.subarray(0, 60)), 60);
  writeFileSync(segment, bytes);
  const config = stopped.folder.path("config.yaml");
  const refused = await runEsc(["serve", "--config", config], { cwd: stopped.folder.root });
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain("its log format is version 2, this esc knows versions up to 1");
  expect(refused.stderr).not.toContain("worker died");
  expect(readFileSync(segment).equals(bytes)).toBe(true);
}, 60_000);
