/** `esc chaos proxy` between a producer and a server: what acknowledgements and message ids promise, over a bad link. */
import { afterEach, expect, test } from "bun:test";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { EscServer, EXECUTABLE } from "../support/esc.ts";
import { queryEvents, statsUntil } from "./read-log.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A running `esc chaos proxy`, told what to do by lines. */
class ChaosProxy {
  readonly port: number;
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;

  private constructor(
    process: Bun.Subprocess<"pipe", "pipe", "inherit">,
    lines: AsyncGenerator<string>,
    port: number,
  ) {
    this.#process = process;
    this.#lines = lines;
    this.port = port;
  }

  static async start(...args: string[]): Promise<ChaosProxy> {
    const process = Bun.spawn([EXECUTABLE, "--json", "chaos", "proxy", ...args], {
      stdin: "pipe",
      stdout: "pipe",
    });
    ends.push(() => process.kill("SIGKILL"));
    const lines = linesOf(process.stdout);
    const { value } = await lines.next();
    return new ChaosProxy(process, lines, Number(JSON.parse(value ?? "{}").listening.split(":")[1]));
  }

  /** Gives one order. @returns Faults and counts. */
  async tell(line: string): Promise<{ readonly counts: Record<string, number>; readonly faults: object }> {
    this.#process.stdin.write(`${line}\n`);
    await this.#process.stdin.flush();
    const { value } = await this.#lines.next();
    return JSON.parse(value ?? "{}");
  }

  async quit(): Promise<number> {
    this.#process.stdin.write("quit\n");
    await this.#process.stdin.flush();
    return this.#process.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function serve(): Promise<EscServer> {
  const server = await EscServer.start();
  ends.push(() => server.remove());
  return server;
}

test(
  "acknowledged publishing with message ids over latency, jitter and resets loses nothing and doubles nothing",
  async () => {
    const server = await serve();
    const proxy = await ChaosProxy.start(
      `--to=127.0.0.1:${server.tcpPort}`,
      "--latency=5ms",
      "--jitter=4ms",
      "--reset-every=150ms",
      "--seed=11",
    );
    let breaks = 0;
    const client = await Client.connect({
      dial: dialTcp({ host: "127.0.0.1", port: proxy.port }),
      acks: "durable",
      reconnect: { delayMs: 5, delayMsMax: 20 },
      onDisconnected: () => breaks++,
    });
    ends.push(() => client.abort());
    let sent = 0;
    while (breaks < 5 || sent < 500) {
      await client.publish({ topic: "chaos", priority: 2, id: `e-${sent}`, payload: `${sent}` });
      sent++;
      if (sent % 50 === 0) await client.flush();
    }
    await proxy.tell("reset-every 0s");
    await client.flush();
    await client.close();
    const stored = (await queryEvents(server, "chaos")).map(({ payload }) => Number(payload));
    expect(stored.sort((a, b) => a - b)).toEqual(Array.from({ length: sent }, (_, n) => n));
    expect((await proxy.tell("show")).counts["resets"]).toBeGreaterThanOrEqual(5);
    expect(await proxy.quit()).toBe(0);
  },
  60_000,
);

test("a stalled link holds a bounded number of bytes, and delivers them when it is free again", async () => {
  const server = await serve();
  const proxy = await ChaosProxy.start(`--to=127.0.0.1:${server.tcpPort}`);
  const client = await Client.connect({
    dial: dialTcp({ host: "127.0.0.1", port: proxy.port }),
    acks: "durable",
  });
  ends.push(() => client.abort());
  await proxy.tell("stall on");
  const payload = new Uint8Array(60_000);
  for (let n = 0; n < 100; n++) client.publisher.publish({ topic: "much", priority: 2, payload });
  let { counts } = await proxy.tell("show");
  while ((counts["waitingBytes"] ?? 0) < 200_000) ({ counts } = await proxy.tell("show"));
  await proxy.tell("stall off");
  await client.flush();
  ({ counts } = await proxy.tell("show"));
  // 256 KiB and what one read brings, of the 6 MB that were sent.
  expect(counts["waitingBytesMax"]).toBeLessThan(2_000_000);
  expect(counts["waitingBytes"]).toBe(0);
  await client.close();
}, 60_000);

test("datagrams are lost and damaged as told, and what the server takes is intact", async () => {
  const server = await serve();
  const proxy = await ChaosProxy.start("--udp", `--to=127.0.0.1:${server.udpPort}`, "--loss=0", "--seed=3");
  const { encodeFrame } = await import("../../src/event/encode.ts");
  const socket = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: proxy.port } });
  ends.push(() => socket.close());
  const send = (n: number) =>
    socket.send(encodeFrame({ topic: "udp", priority: 2, payload: `payload ${n}`, crc: true }));
  send(0);
  await statsUntil(server, ({ events }) => events.durable === 1);
  await proxy.tell("loss 1");
  for (let n = 1; n <= 20; n++) send(n);
  while ((await proxy.tell("show")).counts["lost"] !== 20);
  await proxy.tell("loss 0");
  await proxy.tell("corrupt 1");
  send(21);
  while ((await proxy.tell("show")).counts["corrupted"] !== 1);
  await proxy.tell("corrupt 0");
  send(22);
  await statsUntil(server, ({ events }) => events.durable === 2);
  expect((await queryEvents(server, "udp")).map(({ payload }) => payload)).toEqual([
    "payload 0",
    "payload 22",
  ]);
}, 60_000);
