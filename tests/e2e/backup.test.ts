import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { NumberedProducer } from "./numbered-producer.ts";
import { queryEvents, type StoredEvent } from "./read-log.ts";

const servers: EscServer[] = [];
const folders: TemporaryFolder[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const folder of folders.splice(0)) folder.remove();
});

async function start(...given: Parameters<typeof EscServer.start>): Promise<EscServer> {
  const server = await EscServer.start(...given);
  servers.push(server);
  return server;
}

interface Summary {
  readonly events: number;
  readonly shards: readonly { lane: string; shard: number; first_offset: number; next_offset: number }[];
}

const SMALL_SEGMENTS = { log: { segment_bytes: "1MiB" } };

test(
  "a backup taken under load restores elsewhere to the same events, and a damaged one is refused",
  async () => {
    const server = await start({ config: SMALL_SEGMENTS });
    const producer = new NumberedProducer();
    const halfway = Promise.withResolvers<void>();
    const running = producer.run(server, {
      countMax: 300_000,
      onAcknowledged: (count) => {
        if (count >= 40_000) halfway.resolve();
      },
    });
    await halfway.promise;
    const acknowledged = producer.acknowledged;
    const folder = new TemporaryFolder("backup");
    folders.push(folder);
    const target = folder.path("monday");
    const made = await runEsc(["--json", "backup", target, "--data", server.folder.path("data")]);
    expect([made.status, made.stderr]).toEqual([0, ""]);
    const summary: Summary = JSON.parse(made.stdout);
    // It was under load all the time.
    expect(producer.acknowledged).toBeLessThan(300_000);
    await running;
    expect(await server.stop()).toBe(0);

    const verified = await runEsc(["--json", "backup", "verify", target]);
    expect(verified.status).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, problems: [], damages: [] });

    const restored = new TemporaryFolder("restored");
    folders.push(restored);
    expect((await runEsc(["restore", target, "--data", restored.path("data")])).status).toBe(0);
    // What is there is never written over.
    expect((await runEsc(["restore", target, "--data", restored.path("data")])).status).toBe(2);

    const original = await start({ folder: server.folder, config: SMALL_SEGMENTS });
    const copy = await start({ folder: restored, config: SMALL_SEGMENTS });
    const all = byPlace(await queryEvents(original, "numbered"));
    const kept = byPlace(await queryEvents(copy, "numbered"));
    expect(kept.size).toBe(summary.events);
    expect(kept.size).toBeGreaterThanOrEqual(acknowledged);
    for (const [place, event] of kept) expect(event).toEqual(all.get(place) as StoredEvent);
    for (const { lane, shard, next_offset } of summary.shards) {
      for (let offset = 0; offset < next_offset; offset++) {
        if (!kept.has(`${lane}/${shard}@${offset}`)) throw new Error(`${lane}/${shard}@${offset} is missing`);
      }
    }
    // The restored server remembers the message ids as well.
    const again = await fetch(copy.url("/api/v1/publish/numbered"), {
      method: "POST",
      body: "0",
      headers: { "esc-message-id": "0", "esc-priority": "0" },
    });
    expect(await again.json()).toMatchObject({ duplicate: true });

    const damaged = join(target, "data", "log", "transactional", "0", `${"0".repeat(20)}.log`);
    const bytes = readFileSync(damaged);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(damaged, bytes);
    expect((await runEsc(["backup", "verify", target])).status).toBe(1);
    const elsewhere = folder.path("elsewhere");
    const refused = await runEsc(["restore", target, "--data", elsewhere]);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain("is not what was backed up");
    expect((await runEsc(["backup", "verify", elsewhere])).stderr).toContain("There is no backup");
  },
  90_000,
);

function byPlace(events: readonly StoredEvent[]): Map<string, StoredEvent> {
  return new Map(events.map((event) => [`${event.lane}/${event.shard}@${event.offset}`, event]));
}
