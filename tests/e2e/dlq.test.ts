import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { EscServer, runEsc } from "../support/esc.ts";
import { queryEvents, statsUntil } from "./read-log.ts";

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

const CONFIG = {
  ingestion: { max_frame_bytes: "64KiB" },
  lanes: { transactional: { shards: 1, queue_bytes: "256KiB", overflow: "drop_new" } },
};
const DEAD_COUNT = 12;
const FILLER = "f".repeat(8_000);

async function esc(server: EscServer, ...args: string[]) {
  const result = await runEsc(["--json", "dlq", ...args, "--http-port", String(server.httpPort)]);
  const lines = result.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  return { ...result, lines };
}

/** Fills the paused lane until `DEAD_COUNT` events or more were refused into the dead-letter log. */
async function makeDeadLetters(server: EscServer): Promise<number> {
  await fetch(server.url("/api/v1/control/pause"), { method: "POST" });
  let dead = 0;
  let accepted = 0;
  for (let number = 0; dead < DEAD_COUNT; number++) {
    const response = await fetch(server.url(`/api/v1/publish/dead.${number % 2}?acks=accepted`), {
      method: "POST",
      // Half of them have ids of their own.
      headers: {
        "esc-priority": "1",
        "esc-key": `k${number}`,
        ...(number % 4 < 2 ? { "esc-message-id": `id-${number}` } : {}),
      },
      body: `${number} ${FILLER}`,
    });
    await response.text();
    if (response.status === 429) dead++;
    else {
      expect(response.status).toBe(200);
      accepted++;
    }
  }
  await fetch(server.url("/api/v1/control/resume"), { method: "POST" });
  await statsUntil(server, (stats) => stats.events.durable === accepted && stats.events.dlq === dead);
  return dead;
}

test(
  "esc dlq lists, shows, requeues once and purges, across SIGKILL between publishing and marking",
  async () => {
    let server = await EscServer.start({ config: CONFIG });
    servers.push(server);
    const dead = await makeDeadLetters(server);
    const storedBefore = (await queryEvents(server, "dead.*")).length;
    const listed = (await esc(server, "list")).lines;
    expect(listed).toHaveLength(dead);
    const [first] = listed;
    expect(first).toMatchObject({ reason: "queue_full", origin: { lane: "transactional" } });
    expect((await esc(server, "show", String(first.offset))).lines).toEqual([first]);
    expect((await esc(server, "list", "--reason", "drop_old")).lines).toEqual([]);
    expect((await esc(server, "list", "--since", String(listed.at(-1).died_us + 1))).lines).toEqual([]);
    expect((await esc(server, "list", "--until", String(listed[1].died_us))).lines).toHaveLength(
      listed.filter((letter) => letter.died_us < listed[1].died_us).length,
    );
    const nothing = { duplicates: 0, failed: 0 };
    expect((await esc(server, "requeue", "--dry-run")).lines).toEqual([
      { requeued: dead, ...nothing, dry_run: true },
    ]);
    expect((await esc(server, "list")).lines).toHaveLength(dead);

    // The crash: events are durable, and the file that says so is not there.
    expect((await esc(server, "requeue", "--rate", "1000")).lines).toEqual([
      { requeued: dead, ...nothing, dry_run: false },
    ]);
    const marks = server.folder.path("data", "log", "dlq", "0", "handled.json");
    expect(existsSync(marks)).toBe(true);
    await server.kill();
    const lost = readFileSync(marks, "utf8");
    writeFileSync(marks, JSON.stringify({ ranges: [] }));
    server = await EscServer.start({ folder: server.folder, config: CONFIG });
    servers.push(server);
    expect((await esc(server, "list")).lines).toHaveLength(dead);
    expect((await esc(server, "requeue")).lines).toEqual([
      { requeued: 0, duplicates: dead, failed: 0, dry_run: false },
    ]);
    expect(readFileSync(marks, "utf8")).toBe(lost);
    expect((await esc(server, "list")).lines).toEqual([]);

    // Each is stored once, and as it was.
    const stored = await queryEvents(server, "dead.*");
    expect(stored).toHaveLength(storedBefore + dead);
    for (const letter of listed) {
      const copies = stored.filter((event) => event.payload === letter.payload);
      expect(copies).toHaveLength(1);
      expect(copies[0]).toMatchObject({ topic: letter.topic, key: letter.key, priority: 1 });
      expect(copies[0]).not.toHaveProperty("headers");
      if (letter.id !== undefined) expect(copies[0]?.id).toBe(letter.id);
    }
  },
  60_000,
);

test("esc dlq purge needs a filter or --all, and what it took is gone for good", async () => {
  let server = await EscServer.start({ config: CONFIG });
  servers.push(server);
  const dead = await makeDeadLetters(server);
  const even = (await esc(server, "list", "--topic", "dead.0")).lines.length;
  expect((await esc(server, "purge")).status).toBe(2);
  expect((await esc(server, "purge", "--dry-run")).lines).toEqual([{ deleted: dead, dry_run: true }]);
  expect((await esc(server, "purge", "--topic", "dead.0")).lines).toEqual([{
    deleted: even,
    dry_run: false,
  }]);
  await server.kill();
  server = await EscServer.start({ folder: server.folder, config: CONFIG });
  servers.push(server);
  const left = (await esc(server, "list")).lines;
  expect(left.map((letter) => letter.topic)).toEqual(Array.from({ length: dead - even }, () => "dead.1"));
  expect((await esc(server, "purge", "--all")).lines).toEqual([{ deleted: dead - even, dry_run: false }]);
  expect((await esc(server, "show", String(left[0].offset))).status).toBe(1);
  expect((await esc(server, "list")).lines).toEqual([]);
}, 60_000);

test(
  "events that failed in processing are processed again when requeued, once, with ids of their own and without",
  async () => {
    const count = 8;
    const handlersOf = (use: string) => ({
      handlers: { probe: { use, topics: "probe.>", attempts: 2, pause: "1ms" } },
    });
    // Above 150 a temperature is invalid, and a pressure is not.
    let server = await EscServer.start({ config: handlersOf("temperature") });
    servers.push(server);
    for (let number = 0; number < count; number++) {
      const response = await fetch(server.url(`/api/v1/publish/probe.${number}`), {
        method: "POST",
        headers: { "esc-priority": "2", ...(number % 2 === 0 ? { "esc-message-id": `own-${number}` } : {}) },
        body: JSON.stringify({ value: 160 + number }),
      });
      expect(response.status).toBe(200);
    }
    await statsUntil(server, (stats) => stats.events.dlq === count);
    const letters = (await esc(server, "list", "--reason", "processing_failed")).lines;
    expect(letters).toHaveLength(count);
    for (const [number, letter] of letters.entries()) {
      expect(letter).toMatchObject({
        topic: `probe.${number}`,
        error: `Temperature ${160 + number} is above 150`,
        origin: { lane: "transactional", offset: expect.any(Number) },
      });
      expect(letter.attempts).toBeGreaterThan(0);
      expect(letter.died_us).toBeGreaterThanOrEqual(letter.received_us);
    }
    expect(await server.stop()).toBe(0);

    // The handler is mended.
    server = await EscServer.start({ folder: server.folder, config: handlersOf("pressure") });
    servers.push(server);
    const marks = server.folder.path("data", "log", "dlq", "0", "handled.json");
    const done = { requeued: count, duplicates: 0, failed: 0, dry_run: false };
    expect((await esc(server, "requeue")).lines).toEqual([done]);
    await statsUntil(server, (stats) => stats.events.processed === count);
    expect((await esc(server, "list")).lines).toEqual([]);
    // A crash before it was noted that they are back.
    writeFileSync(marks, JSON.stringify({ ranges: [] }));
    await server.kill();
    server = await EscServer.start({ folder: server.folder, config: handlersOf("pressure") });
    servers.push(server);
    expect((await esc(server, "list")).lines).toHaveLength(count);
    expect((await esc(server, "requeue")).lines).toEqual([{ ...done, requeued: 0, duplicates: count }]);
    expect((await esc(server, "list")).lines).toEqual([]);
    const stored = await queryEvents(server, "probe.*");
    expect(stored).toHaveLength(2 * count);
    for (const { topic, payload } of letters) {
      expect(stored.filter((event) => event.topic === topic && event.payload === payload)).toHaveLength(2);
    }
  },
  60_000,
);
