import { afterAll, beforeAll, expect, test } from "bun:test";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { connect } from "node:net";
import { EscServer, runEsc } from "../support/esc.ts";

const EVENTS = 100_000;
const PAYLOAD = "x".repeat(500);
let server: EscServer;

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

/** Counts the events of one subscriber, and those that do not follow the one before. */
async function subscribe() {
  const client = await Client.connect({
    dial: dialTcp({ host: "127.0.0.1", port: server.tcpPort }),
    acks: "none",
  });
  const state = { client, received: 0, gaps: 0, next: 0, done: Promise.withResolvers<void>() };
  await client.subscribe({ topics: ["slow.topic"], from: "latest" }, (events) => {
    while (events.next()) {
      if (events.offset !== state.next) state.gaps++;
      state.next = events.offset + 1;
      if (++state.received === EVENTS) state.done.resolve();
    }
  });
  return state;
}

test(
  "a subscriber that reads nothing delays neither producers nor other subscribers, and misses nothing",
  async () => {
    const stalled = await subscribe();
    const quick = await subscribe();
    stalled.client.pause();
    const { status, stdout } = await runEsc([
      "send",
      "--topic=slow.topic",
      `--payload=${PAYLOAD}`,
      `--count=${EVENTS}`,
      "--priority=low",
      `--port=${server.tcpPort}`,
      "--json",
    ]);
    expect([status, JSON.parse(stdout).acknowledged]).toEqual([0, EVENTS]);
    await quick.done.promise;
    // 50 MB are more than the kernel buffers of a connection hold: the rest waits in the log.
    expect(stalled.received).toBeLessThan(EVENTS);
    // Whoever runs the server hears of it, and when it is over.
    expect(await server.logged(/Subscriber 127.0.0.1:\d+ falls behind/)).toMatch(/is \d+ events behind/);
    stalled.client.resume();
    await stalled.done.promise;
    expect([stalled.gaps, quick.gaps]).toEqual([0, 0]);
    await server.logged(/Subscriber 127.0.0.1:\d+ has caught up/);
    quick.client.abort();
    stalled.client.abort();
  },
  60_000,
);

test(
  "subscribers by SSE and WebSocket that read nothing are named and counted, and heard of when they catch up",
  async () => {
    const headers = "Host: localhost\r\n";
    const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const open = async (more: string) => {
      const socket = connect(server.httpPort, "127.0.0.1");
      socket.write(`GET /api/v1/subscribe?topics=slow.http&from=latest HTTP/1.1\r\n${headers}${more}\r\n`);
      await new Promise<void>((resolve) => socket.once("data", () => resolve()));
      socket.pause();
      return socket;
    };
    const stalled = [await open("Accept: text/event-stream\r\n"), await open(upgrade)];
    const names = stalled.map((socket) => `127\\.0\\.0\\.1:${socket.localPort}`);
    const slow = async () => {
      const text = await (await fetch(server.url("/metrics"))).text();
      return [...text.matchAll(/^esc_slow_subscribers\{listener="(http|ws)"\} (\d)$/gm)].map(([, name, n]) =>
        `${name} ${n}`
      );
    };
    expect(await slow()).toEqual(["http 0", "ws 0"]);
    const { status } = await runEsc([
      "send",
      ...["--topic=slow.http", `--payload=${PAYLOAD}`, `--count=${EVENTS}`, "--priority=low"],
      `--port=${server.tcpPort}`,
    ]);
    expect(status).toBe(0);
    for (const name of names) await server.logged(new RegExp(`Subscriber ${name} falls behind`));
    expect(await slow()).toEqual(["http 1", "ws 1"]);
    for (const socket of stalled) socket.resume();
    for (const name of names) await server.logged(new RegExp(`Subscriber ${name} has caught up`));
    while ((await slow()).join() !== "http 0,ws 0") await Bun.sleep(20);
    for (const socket of stalled) socket.destroy();
  },
  60_000,
);
