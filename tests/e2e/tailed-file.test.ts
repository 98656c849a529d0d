import { afterEach, expect, test } from "bun:test";
import { appendFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { payloadOf, queryEvents } from "./read-log.ts";
import { sampleRecordings } from "./recordings.ts";

const folders: TemporaryFolder[] = [];
const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const folder of folders.splice(0)) folder.remove();
});

interface Tailed {
  readonly folder: TemporaryFolder;
  readonly path: string;
  start(): Promise<EscServer>;
}

function tailed(): Tailed {
  const folder = new TemporaryFolder("tailed");
  folders.push(folder);
  const path = folder.path("input.txt");
  const data = new TemporaryFolder("serve");
  return {
    folder,
    path,
    start: async () => {
      const server = await EscServer.start({
        folder: data,
        config: { ingestion: { file: [{ path, topic: "tailed", poll_interval: "20ms", priority: "HIGH" }] } },
      });
      servers.push(server);
      return server;
    },
  };
}

/** Waits until `count` events are stored, then returns all there are. */
async function storedLines(server: EscServer, count: number): Promise<string[]> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const events = await queryEvents(server, "tailed");
    if (events.length >= count || performance.now() > deadlineMs) {
      return events.map((event) => payloadOf(event).toString());
    }
    await Bun.sleep(10);
  }
}

function lines(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `line ${from + index}`);
}

function text(items: readonly string[]): string {
  return items.map((item) => `${item}\n`).join("");
}

test("a recording that grows in pieces comes in byte by byte and in order", async () => {
  const { path, start } = tailed();
  const [recording] = sampleRecordings();
  if (recording === undefined) throw new Error("no recording");
  writeFileSync(path, "");
  const server = await start();
  const pieceBytes = 50_000; // Cuts lines anywhere.
  for (let at = 0; at < recording.bytes.length; at += pieceBytes) {
    appendFileSync(path, recording.bytes.subarray(at, at + pieceBytes));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const stored = await storedLines(server, recording.count);
  expect(Buffer.from(text(stored)).equals(recording.bytes)).toBe(true);
}, 60_000);

test("append, rotate, append, truncate, append: every line once and in order", async () => {
  const { folder, path, start } = tailed();
  writeFileSync(path, text(lines(0, 100)));
  const server = await start();
  expect(await storedLines(server, 100)).toEqual(lines(0, 100));
  appendFileSync(path, text(lines(100, 50)));
  expect(await storedLines(server, 150)).toEqual(lines(0, 150));
  // Rotated with lines that were not read yet: the old file is finished first.
  appendFileSync(path, text(lines(150, 10)));
  renameSync(path, folder.path("input.txt.1"));
  writeFileSync(path, text(lines(160, 40)));
  expect(await storedLines(server, 200)).toEqual(lines(0, 200));
  truncateSync(path, 0);
  appendFileSync(path, text(["short"]));
  expect(await storedLines(server, 201)).toEqual([...lines(0, 200), "short"]);
}, 60_000);

test("a last line without its end waits for it", async () => {
  const { path, start } = tailed();
  writeFileSync(path, "whole\nha");
  const server = await start();
  expect(await storedLines(server, 1)).toEqual(["whole"]);
  appendFileSync(path, "lf\n");
  expect(await storedLines(server, 2)).toEqual(["whole", "half"]);
}, 60_000);

test("SIGKILL while reading, and lines written meanwhile: exactly one copy of each", async () => {
  const { path, start } = tailed();
  const total = 30_000;
  writeFileSync(path, text(lines(0, total / 2)));
  let server = await start();
  for (let cycle = 1; cycle <= 3; cycle++) {
    await storedLines(server, cycle * 1000);
    await server.kill();
    appendFileSync(path, text(lines(total / 2 + (cycle - 1) * 5000, 5000)));
    server = await start();
  }
  expect(await storedLines(server, total)).toEqual(lines(0, total));
  // Nothing comes twice after a clean restart either.
  expect(await server.stop()).toBe(0);
  server = await start();
  appendFileSync(path, text(["the last"]));
  expect(await storedLines(server, total + 1)).toEqual([...lines(0, total), "the last"]);
}, 120_000);
