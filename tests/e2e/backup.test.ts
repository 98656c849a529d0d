import { afterEach, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

/** A producer that goes on until it is told to end. */
class Load {
  readonly producer = new NumberedProducer();
  readonly #run: Promise<void>;
  #isOver = false;

  private constructor(server: EscServer) {
    this.#run = this.#produce(server);
  }

  /** Answers once there is something to back up. */
  static async begin(server: EscServer): Promise<Load> {
    const load = new Load(server);
    while (load.producer.acknowledged < 40_000) await Bun.sleep(1);
    return load;
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#run;
  }

  async #produce(server: EscServer): Promise<void> {
    const { producer } = this;
    while (!this.#isOver) await producer.run(server, { countMax: producer.acknowledged + 20_000 });
  }
}

test.each(["monday", "monday.tar"])(
  "a backup taken under load restores elsewhere to the same events, and a damaged one is refused: %s",
  async (name) => {
    const server = await start({ config: SMALL_SEGMENTS });
    const load = await Load.begin(server);
    const { acknowledged } = load.producer;
    const folder = new TemporaryFolder("backup");
    folders.push(folder);
    const target = folder.path(name);
    const made = await runEsc(["--json", "backup", target, "--data", server.folder.path("data")]);
    await load.end();
    expect([made.status, made.stderr]).toEqual([0, ""]);
    const summary: Summary = JSON.parse(made.stdout);
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

    const isFolder = name === "monday";
    const damaged = isFolder
      ? join(target, "data", "log", "transactional", "0", `${"0".repeat(20)}.log`)
      : target;
    const bytes = readFileSync(damaged);
    const at = isFolder ? 1000 : bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
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

test(
  "a tar of a server that stores and forgets meanwhile is an ordinary archive, and no position in it is ahead of its log",
  async () => {
    const config = {
      log: { segment_bytes: "256KiB", batch_bytes: "64KiB" },
      // Retention takes segments away under the backup.
      lanes: {
        batch: { retention: { max_bytes: "512KiB" } },
        transactional: { retention: { max_bytes: "1MiB" } },
      },
      store: { topics: ["numbered"], flush_interval: "5ms" },
    };
    const server = await start({ config });
    const load = await Load.begin(server);
    const folder = new TemporaryFolder("backup-tar");
    folders.push(folder);
    const summaries: Summary[] = [];
    for (let number = 1; number <= 3; number++) {
      const target = folder.path(`${number}.tar`);
      const made = await runEsc(["--json", "backup", target, "--data", server.folder.path("data")]);
      expect([made.status, made.stderr]).toEqual([0, ""]);
      summaries.push(JSON.parse(made.stdout));
      const again = await runEsc(["backup", target, "--data", server.folder.path("data")]);
      expect([again.status, again.stderr]).toMatchObject([2, expect.stringContaining("exists")]);
    }
    await load.end();
    expect(await server.stop()).toBe(0);
    const kept = summaries.flatMap(({ shards }) => shards.map(({ first_offset }) => first_offset));
    expect(Math.max(...kept)).toBeGreaterThan(0);
    // Nothing is left beside them.
    expect(readdirSync(folder.root).sort()).toEqual(["1.tar", "2.tar", "3.tar"]);

    for (const [index, summary] of summaries.entries()) {
      const target = folder.path(`${index + 1}.tar`);
      const listed = Bun.spawnSync(["tar", "tf", target]).stdout.toString().split("\n");
      expect(listed).toContain("data/store.db");
      expect(listed.at(-2)).toBe("manifest.json");
      expect((await runEsc(["backup", "verify", target])).status).toBe(0);
      const data = folder.path(`restored-${index}`);
      expect((await runEsc(["restore", target, "--data", data])).status).toBe(0);
      const database = new Database(join(data, "store.db"), { readonly: true });
      const check = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check").get();
      expect(check?.integrity_check).toBe("ok");
      const ends = database.query<{ lane: string; shard: number; end: number }, []>(
        "SELECT lane, shard, next_offset AS end FROM positions JOIN logs ON logs.id = positions.log_id",
      ).all();
      database.close();
      expect(ends.length).toBeGreaterThan(0);
      for (const { lane, shard, end } of ends) {
        const log = summary.shards.find((other) => other.lane === lane && other.shard === shard);
        expect(end).toBeLessThanOrEqual(log?.next_offset ?? -1);
      }
    }
    // Unpacked by anybody's tar it is the folder form of a backup.
    const unpacked = folder.path("unpacked");
    mkdirSync(unpacked);
    expect(Bun.spawnSync(["tar", "xf", folder.path("3.tar"), "-C", unpacked]).exitCode).toBe(0);
    expect((await runEsc(["backup", "verify", unpacked])).status).toBe(0);
    const half = folder.path("half.tar");
    const bytes = readFileSync(folder.path("1.tar"));
    writeFileSync(half, bytes.subarray(0, bytes.length - 5000));
    const refused = await runEsc(["restore", half, "--data", folder.path("half")]);
    expect([refused.status, refused.stderr]).toMatchObject([1, expect.stringContaining("cut off")]);
  },
  90_000,
);

function byPlace(events: readonly StoredEvent[]): Map<string, StoredEvent> {
  return new Map(events.map((event) => [`${event.lane}/${event.shard}@${event.offset}`, event]));
}
