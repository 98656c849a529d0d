import { afterEach, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { queryEvents } from "../e2e/read-log.ts";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const DISK_BYTES = 48 << 20;
const MIN_FREE = "8MiB";
/** Room that somebody frees later. */
const BALLAST_BYTES = 20 << 20;
const PAYLOAD_BYTES = 16 << 10;
const TOPIC = "disk";
/** The lane tries a failed log again every second. */
const RECOVERY_MS_MAX = 20_000;

let disk: TemporaryFolder | undefined;
let isMounted = false;
let server: EscServer | undefined;

afterEach(async () => {
  await server?.remove();
  if (isMounted && disk !== undefined) Bun.spawnSync(["umount", "-l", disk.root]);
  isMounted = false;
  disk?.remove();
});

/** Mounts a small tmpfs. @returns Why it cannot be had. */
function mountDisk(): string | undefined {
  if (process.getuid?.() !== 0) return "only root may mount a tmpfs";
  disk = new TemporaryFolder("disk");
  const { exitCode, stderr } = Bun.spawnSync([
    "mount",
    "-t",
    "tmpfs",
    "-o",
    `size=${DISK_BYTES}`,
    "esc-test",
    disk.root,
  ]);
  isMounted = exitCode === 0;
  return isMounted ? undefined : `mount: ${stderr.toString().trim()}`;
}

/** Event n has id n. Answers: which numbers are durable, which were refused with which code. */
class DiskProducer {
  readonly durable: number[] = [];
  readonly refusals: string[] = [];
  #next = 0;

  /** Publishes one event after the other until `isEnough`. */
  async run(port: number, isEnough: (refused: string | undefined) => boolean): Promise<void> {
    let refused: string | undefined;
    const client = await Client.connect({
      dial: dialTcp({ host: "127.0.0.1", port }),
      acks: "durable",
      onRefused: ({ code, message }) => {
        refused = `${code}: ${message}`;
      },
    });
    try {
      do {
        refused = undefined;
        const number = this.#next++;
        const payload = `${number} `.padEnd(PAYLOAD_BYTES, "d");
        client.publisher.publish({ topic: TOPIC, payload, id: `${number}`, priority: 2 });
        await client.publisher.settled();
        if (refused === undefined) this.durable.push(number);
        else this.refusals.push(refused);
      } while (!isEnough(refused));
    } finally {
      client.abort();
    }
  }
}

async function readiness(): Promise<{ status: number; reasons: string[] }> {
  const response = await fetch(server?.url("/readyz") ?? "");
  return { status: response.status, ...await response.json() as { reasons: string[] } };
}

const skipReason = process.getuid?.() === 0 ? undefined : "only root may mount a tmpfs";

test.skipIf(skipReason !== undefined)(
  `a full disk refuses durable events, serves what it has, and goes on when space returns${
    skipReason === undefined ? "" : ` (skipped: ${skipReason})`
  }`,
  async () => {
    const problem = mountDisk();
    if (problem !== undefined || disk === undefined) throw new Error(problem);
    mkdirSync(disk.path("data"));
    const ballast = disk.path("ballast");
    writeFileSync(ballast, new Uint8Array(BALLAST_BYTES));
    const config = {
      data: { dir: disk.path("data") },
      log: { segment_bytes: "1MiB", min_free: MIN_FREE },
    };
    server = await EscServer.start({ config });
    const producer = new DiskProducer();

    await producer.run(server.tcpPort, (refused) => refused !== undefined);
    expect(producer.refusals[0]).toStartWith("LOG_UNAVAILABLE");
    expect(producer.durable.length).toBeGreaterThan(100);
    const failed = await readiness();
    expect(failed.status).toBe(503);
    expect(failed.reasons.join()).toContain("transactional/0 cannot be written");
    expect(server.log).toContain("Free space on the disk");
    // Alive, and what it has can be read.
    expect((await fetch(server.url("/healthz"))).status).toBe(200);
    expect(await storedNumbers(server)).toEqual(producer.durable);
    const http = await fetch(server.url(`/api/v1/publish/${TOPIC}`), {
      method: "POST",
      headers: { "esc-priority": "2" },
      body: "refused as well",
    });
    expect(http.status).toBe(503);

    rmSync(ballast);
    const deadlineMs = performance.now() + RECOVERY_MS_MAX;
    while ((await readiness()).status !== 200 && performance.now() < deadlineMs) await Bun.sleep(20);
    expect((await readiness()).reasons).toEqual([]);
    const before = producer.durable.length;
    await producer.run(server.tcpPort, () => producer.durable.length >= before + 50);

    await server.kill();
    server = await EscServer.start({ folder: server.folder, config });
    expect(await storedNumbers(server)).toEqual(producer.durable);
  },
  90_000,
);

async function storedNumbers(from: EscServer): Promise<number[]> {
  return (await queryEvents(from, TOPIC)).map((event) =>
    Number(event.payload.slice(0, event.payload.indexOf(" ")))
  );
}
