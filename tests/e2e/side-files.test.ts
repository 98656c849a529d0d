import { afterEach, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";
import { NumberedProducer } from "./numbered-producer.ts";
import { queryEvents } from "./read-log.ts";

let server: EscServer | undefined;
afterEach(() => server?.remove());

const CONFIG = { log: { segment_bytes: "256KiB", batch_bytes: "64KiB" } };
const EVENT_COUNT = 100_000;
const LOG = ["data", "log", "transactional", "0"] as const;

test(
  "side files deleted or garbled by anybody are rebuilt by an idle server, and nothing is forgotten meanwhile",
  async () => {
    server = await EscServer.start({ config: CONFIG });
    await new NumberedProducer().run(server, { countMax: EVENT_COUNT });
    await server.kill();
    const directory = server.folder.path(...LOG);
    const segments = readdirSync(directory).filter((name) => name.endsWith(".log")).sort();
    expect(segments.length).toBeGreaterThan(3);
    const finished = segments.slice(0, -1).map((name) => join(directory, name.slice(0, -".log".length)));
    for (const path of finished) rmSync(`${path}.idx`);
    for (const path of finished.slice(1)) rmSync(`${path}.ids`);
    writeFileSync(`${finished[0]}.ids`, "garbage");
    // Neither of these is the engine's.
    writeFileSync(join(directory, "notes.txt"), "mine");
    writeFileSync(join(directory, "copy of 00000000000000000000.log"), "mine, too");

    server = await EscServer.start({ folder: server.folder, config: CONFIG });
    const again = await fetch(server.url("/api/v1/publish/numbered"), {
      method: "POST",
      body: "1",
      headers: { "esc-message-id": "1", "esc-priority": "1" },
    });
    expect(await again.json()).toMatchObject({ duplicate: true });
    while (!finished.every((path) => existsSync(`${path}.idx`) && existsSync(`${path}.ids`))) {
      await Bun.sleep(5);
    }
    expect((await queryEvents(server, "numbered")).map((event) => event.payload)).toHaveLength(EVENT_COUNT);
    expect(await server.stop()).toBe(0);
    const verified = await runEsc(["--json", "log", "verify", server.folder.path("data")]);
    expect([verified.status, verified.stderr]).toEqual([0, ""]);
    expect(readdirSync(directory)).toContain("notes.txt");
    expect(readdirSync(directory)).toContain("copy of 00000000000000000000.log");
  },
  60_000,
);
