/**
 * Fuzzed streams through a real socket into a real ingest worker: nothing is lost, nothing bad gets in,
 * every refusal is counted under its reason, and memory does not grow.
 *
 * ESC_FUZZ_FRAMES sets the size; the drill runs a million.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonFrame } from "../../src/event/control-frame.ts";
import { LISTENERS, OP_HELLO, REJECT_REASONS } from "../../src/event/frame.ts";
import { SOURCE_RECEIVED, SOURCE_REJECTED } from "../../src/metrics/layout.ts";
import { EngineEnd } from "../ingest/engine-end.ts";
import { RawClient, until } from "../ingest/tcp-rig.ts";
import { WorkerRig } from "../ingest/worker-rig.ts";
import { testIf } from "../support/drill.ts";
import { withRandom } from "../support/seed.ts";
import { brokenFrame, goodFrame } from "./frames.ts";

const FRAMES = Number(process.env["ESC_FUZZ_FRAMES"] ?? 60_000);
/** Only a process of its own shows this thread's memory: in the suite, the other tests' memory comes and goes. */
const IS_ALONE = FRAMES >= 1_000_000 || process.env["ESC_FUZZ_ALONE"] !== undefined;
/** More than buffers, allocator and collector keep; far less than FRAMES frames would. */
const GROWTH_BYTES_MAX = 48 * 1024 * 1024;
const TCP = LISTENERS.indexOf("tcp");

let folder = "";
let rig: WorkerRig | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esc-fuzz-"));
});

afterEach(async () => {
  await rig?.close();
  rmSync(folder, { recursive: true });
});

test(
  "a million fuzzed frames: the good ones arrive in order, the bad ones are counted, memory stays flat",
  () =>
    withRandom(async (random) => {
      const engine = new EngineEnd({ ringBytes: 1 << 20 });
      engine.keeps = false;
      rig = await WorkerRig.start(folder, {}, engine);
      const client = await RawClient.connect(rig.tcpPort);
      client.write(jsonFrame(OP_HELLO, { acks: "durable" }));
      const expected = new Map<string, number>();
      let crc = 0;
      let sent = 0;
      let errors = 0;
      let rssAtThird = 0;
      while (sent < FRAMES) {
        const parts: Uint8Array[] = [];
        for (let frame = 0; frame < 1000; frame++) {
          const sample = random.chance(0.7)
            ? { bytes: goodFrame(random), verdict: "good" }
            : brokenFrame(random);
          parts.push(sample.bytes);
          expected.set(sample.verdict, (expected.get(sample.verdict) ?? 0) + 1);
          if (sample.verdict === "good") crc = Bun.hash.crc32(sample.bytes, crc);
          else errors++;
        }
        sent += parts.length;
        sendInPieces(client, Buffer.concat(parts), random.between(1, 5000));
        // The client reads as it goes, and keeps only what it checks.
        await until(() => client.acked() === sent, `${sent} acknowledgements`);
        expect(client.errors().length).toBe(errors);
        client.received = Buffer.alloc(0);
        errors = 0;
        if (rssAtThird === 0 && sent > FRAMES / 3) rssAtThird = rssBytes();
      }
      expect(engine.eventCount).toBe(expected.get("good") ?? 0);
      expect(engine.crc).toBe(crc);
      expect(engine.counter(SOURCE_RECEIVED + TCP)).toBe(sent);
      REJECT_REASONS.forEach((reason, index) => {
        expect([reason, engine.counter(SOURCE_REJECTED + index)]).toEqual([
          reason,
          expected.get(reason) ?? 0,
        ]);
      });
      if (IS_ALONE) expect(rssBytes() - rssAtThird).toBeLessThan(GROWTH_BYTES_MAX);
      client.close();
      expect(rig.messages.length).toBe(1);
    }),
  600_000,
);

testIf(!IS_ALONE)("memory stays flat over the fuzzed frames, in a process of its own", async () => {
  const alone = Bun.spawn([
    process.execPath,
    "test",
    import.meta.path,
    "--test-name-pattern",
    "a million fuzzed frames",
  ], {
    env: { ...process.env, ESC_FUZZ_ALONE: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [report, status] = await Promise.all([new Response(alone.stderr).text(), alone.exited]);
  expect([status, report]).toEqual([0, expect.stringContaining("1 pass")]);
}, 60_000);

test(
  "random bytes on many connections: each is ended, none harms the thread",
  () =>
    withRandom(async (random) => {
      const engine = new EngineEnd();
      engine.keeps = false;
      rig = await WorkerRig.start(folder, {}, engine);
      for (let round = 0; round < Math.min(2000, FRAMES / 600); round++) {
        const client = await RawClient.connect(rig.tcpPort);
        const bytes = random.fill(new Uint8Array(random.below(4000)));
        // Half of the streams begin with lengths that are in range, so that bodies are looked at too.
        if (random.chance(0.5)) {
          for (let at = 0; at + 4 < bytes.length; at += 64) {
            bytes.fill(0, at, at + 3);
          }
        }
        client.write(bytes);
        client.finish();
        await until(() => client.ended, "the end of a connection");
        client.close();
      }
      const last = await RawClient.connect(rig.tcpPort);
      last.write(Buffer.concat([jsonFrame(OP_HELLO, { acks: "durable" }), goodFrame(random)]));
      await until(() => last.acked() === 1);
      last.close();
      expect(rig.exitCode).toBeUndefined();
      expect(rig.messages.length).toBe(1);
      expect(engine.counter(SOURCE_RECEIVED + TCP)).toBe(
        engine.eventCount +
          REJECT_REASONS.reduce((sum, _, index) => sum + engine.counter(SOURCE_REJECTED + index), 0),
      );
    }),
  120_000,
);

function sendInPieces(client: RawClient, bytes: Uint8Array, pieceBytes: number): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) client.write(bytes.subarray(at, at + pieceBytes));
}

function rssBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().rss;
}
