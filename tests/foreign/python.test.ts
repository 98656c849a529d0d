/** The original engine's clients, as its users wrote them in Python, against esc: nothing of them is changed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { payloadOf, queryEvents, statsOf, statsUntil, type StoredEvent } from "../e2e/read-log.ts";
import { EscServer } from "../support/esc.ts";

const python = Bun.which("python3");
let server: EscServer;

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

async function run(script: string, ...args: (string | number)[]): Promise<string> {
  const process = Bun.spawn([python ?? "python3", "-B", join(import.meta.dir, script), ...args.map(String)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.exited,
  ]);
  expect([status, stderr]).toEqual([0, ""]);
  return stdout;
}

/** Waits until everything the listeners have read is in the log. */
async function stored(received: number): Promise<void> {
  await statsUntil(
    server,
    ({ events }) =>
      events.received >= received && events.durable + events.dropped + events.rejected === events.received,
  );
}

function texts(events: readonly StoredEvent[]): string[] {
  return events.map((event) => payloadOf(event).toString());
}

describe.skipIf(python === null)("senders in Python (skipped without python3)", () => {
  test("send_tcp_event.py: every event is stored, in order, and none is answered", async () => {
    const before = await statsOf(server);
    expect(await run("send_tcp_event.py", "127.0.0.1", server.tcpPort, 2000, "foreign.tcp")).toStartWith(
      "sent=2000 errors=0 rate=",
    );
    await stored(before.events.received + 2000);
    const events = await queryEvents(server, "foreign.tcp");
    expect(texts(events)).toEqual(Array.from({ length: 2000 }, (_, i) => `tcp event ${i}`));
    expect(new Set(events.map(({ lane, priority }) => `${lane} ${priority}`))).toEqual(
      new Set(["realtime 3"]),
    );
  }, 30_000);

  test("send_udp_event.py: every datagram that arrived is stored or counted", async () => {
    const before = await statsOf(server);
    expect(await run("send_udp_event.py", "127.0.0.1", server.udpPort, 1000, "foreign.udp")).toStartWith(
      "sent=1000 errors=0 rate=",
    );
    // 16 datagrams a millisecond fit into any socket buffer: nothing may be lost.
    await stored(before.events.received + 1000);
    expect(texts(await queryEvents(server, "foreign.udp"))).toEqual(
      Array.from({ length: 1000 }, (_, i) => `udp event ${i}`),
    );
  }, 30_000);

  test("stress_test.py: concurrent clients lose nothing and keep their order in each lane", async () => {
    const before = await statsOf(server);
    expect(await run("stress_test.py", "127.0.0.1", server.tcpPort, 5, 3000)).toStartWith(
      "sent=15000 errors=0 rate=",
    );
    await stored(before.events.received + 15_000);
    const events = await queryEvents(server, "stress.*");
    expect(events.length).toBe(15_000);
    expect(new Set(texts(events)).size).toBe(15_000);
    const last = new Map<string, number>();
    for (const event of events) {
      const [, client = "", number = ""] = /^client (\d+) event (\d+)$/.exec(payloadOf(event).toString()) ??
        [];
      const key = `${client} in ${event.lane}/${event.shard}`;
      expect(Number(number)).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, Number(number));
    }
  }, 60_000);

  test("mixed_frames.py: good frames between bad ones are stored, bad ones counted by reason", async () => {
    const before = await statsOf(server);
    expect(await run("mixed_frames.py", "127.0.0.1", server.tcpPort)).toBe("good=107 bad=5\n");
    const after = await statsUntil(
      server,
      ({ events }) =>
        events.durable - before.events.durable === 107 && events.rejected - before.events.rejected === 5,
    );
    const reasons = Object.entries(after.rejected)
      .filter(([reason, count]) => count > (before.rejected[reason] ?? 0)).map(([reason]) => reason)
      .toSorted();
    expect(reasons).toEqual(["bad_priority", "bad_topic_length", "bad_topic_utf8", "truncated"]);
    expect((await queryEvents(server, "foreign.large"))[0]?.payload.length).toBe(1_000_000);
    expect((await queryEvents(server, "foreign.mixed")).length).toBe(106);
  }, 30_000);
});
