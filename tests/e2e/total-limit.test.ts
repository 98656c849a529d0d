import { afterEach, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";

let server: EscServer | undefined;
afterEach(() => server?.remove());

const LIMIT_BYTES = 16 << 20;
/** Each of four logs reserves the segment being written: room that is not used yet does not count as log. */
const SEGMENT_BYTES = 1 << 20;
const RESERVED_BYTES = 4 * SEGMENT_BYTES;
const SETTLE_MS_MAX = 20_000;

test(
  "log.max_total_bytes gives up the oldest segments of all lanes, and the newest events stay",
  async () => {
    server = await EscServer.start({
      config: { log: { segment_bytes: "1MiB", max_total_bytes: "16MiB" } },
    });
    const { tcpPort, httpPort } = server;
    const args = ["--json", "stress", "--port", `${tcpPort}`, "--http-port", `${httpPort}`];
    const load = await runEsc([
      ...args,
      "--clients",
      "4",
      "--events",
      "15000",
      "--size",
      "1KiB",
      "--in-flight",
      "64",
    ]);
    expect([load.status, load.stderr]).toEqual([0, ""]);
    const logs = server.folder.path("data", "log");
    const deadlineMs = performance.now() + SETTLE_MS_MAX;
    while (usedBytes(logs) > LIMIT_BYTES + RESERVED_BYTES && performance.now() < deadlineMs) {
      await Bun.sleep(50);
    }
    expect(usedBytes(logs)).toBeLessThanOrEqual(LIMIT_BYTES + RESERVED_BYTES);
    // More than half of the limit is used: it did not throw away what it need not.
    expect(usedBytes(logs)).toBeGreaterThan(LIMIT_BYTES / 2);

    type Stats = { lanes: Record<string, { shards: { first_offset: number; next_offset: number }[] }> };
    const look = async (): Promise<Stats> => (await fetch(server?.url("/api/v1/stats") ?? "")).json();
    // Each lane's worker removes its own segments: the first may be done while the last has not begun.
    const hasKeptAll = ({ lanes }: Stats) =>
      Object.values(lanes).some(({ shards }) => shards.some((shard) => shard.first_offset === 0));
    let stats = await look();
    while (hasKeptAll(stats) && performance.now() < deadlineMs) {
      await Bun.sleep(50);
      stats = await look();
    }
    for (const [lane, { shards }] of Object.entries(stats.lanes)) {
      for (const { first_offset, next_offset } of shards) {
        expect(first_offset).toBeGreaterThan(0);
        const last = next_offset - 1;
        const query = new URLSearchParams({ lane, from_offset: `${last}`, limit: "1" });
        const page: { events: { offset: number }[] } =
          await (await fetch(server.url(`/api/v1/events?${query}`))).json();
        expect(page.events.map(({ offset }) => offset)).toEqual([last]);
      }
    }
  },
  60_000,
);

/** Bytes of all segment files. */
function usedBytes(logs: string): number {
  return readdirSync(logs, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".log"))
    .reduce((sum, name) => sum + sizeOf(join(logs, name)), 0);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
