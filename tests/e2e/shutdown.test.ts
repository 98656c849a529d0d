import { afterEach, expect, test } from "bun:test";
import { EscServer, runEsc } from "../support/esc.ts";
import { NumberedProducer, numbersBelow, storedNumbers } from "./numbered-producer.ts";
import { queryEvents, statsOf } from "./read-log.ts";

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

async function start(...given: Parameters<typeof EscServer.start>): Promise<EscServer> {
  const server = await EscServer.start(...given);
  servers.push(server);
  return server;
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s under load: exit 0, and everything acknowledged is in the log",
  async (signal) => {
    const first = await start();
    const producer = new NumberedProducer();
    let isSignalled = false;
    await producer.run(first, {
      onAcknowledged: (count) => {
        if (count <= 20_000 || isSignalled) return;
        isSignalled = true; // A second signal would end it at once.
        first.signal(signal);
      },
    });
    expect(await first.exited).toBe(0);
    expect(producer.acknowledged).toBeGreaterThan(20_000);

    const second = await start({ folder: first.folder });
    const { numbers, areOrdered } = await storedNumbers(second);
    expect(areOrdered).toBe(true);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.slice(0, producer.acknowledged)).toEqual(numbersBelow(producer.acknowledged));
  },
  60_000,
);

test("SIGTERM lets clients that wait for their answers have them", async () => {
  const server = await start();
  const sending = runEsc([
    "send",
    "--topic=last.words",
    "--count=50000",
    `--port=${server.tcpPort}`,
    "--json",
  ]);
  await (async () => {
    while ((await statsOf(server)).events.received < 1000) await Bun.sleep(1);
  })();
  expect(await server.stop()).toBe(0);
  const { acknowledged } = JSON.parse((await sending).stdout);
  const again = await start({ folder: server.folder });
  expect((await queryEvents(again, "last.words")).length).toBeGreaterThanOrEqual(acknowledged);
}, 60_000);

test("a server that has just been idle stops with 0 each time", async () => {
  for (let round = 0; round < 15; round++) {
    const server = await start();
    await runEsc(["send", "--topic=brief", "--count=100", `--port=${server.tcpPort}`]);
    expect(await server.stop()).toBe(0);
  }
}, 60_000);

test("a second signal ends the server at once", async () => {
  const server = await start();
  // Both are waiting when the process goes on: it meets the second before it can have drained.
  server.signal("SIGSTOP");
  server.signal("SIGTERM");
  server.signal("SIGINT");
  server.signal("SIGCONT");
  expect([128 + 2, 128 + 15]).toContain(await server.exited);
}, 30_000);

test("after a restart offsets go on where they stopped", async () => {
  const send = (server: EscServer) =>
    runEsc(["send", "--topic=restart", "--count=1000", "--priority=low", `--port=${server.tcpPort}`]);
  const first = await start();
  expect((await send(first)).status).toBe(0);
  expect(await first.stop()).toBe(0);
  const second = await start({ folder: first.folder });
  expect((await send(second)).status).toBe(0);
  const events = await queryEvents(second, "restart");
  expect(events.map(({ offset }) => offset)).toEqual(numbersBelow(2000));
  // Counters are of this process, offsets of the log.
  const stats = await statsOf(second);
  expect(stats.events.received).toBe(1000);
  expect(stats.lanes["transactional"]?.shards[0]?.next_offset).toBe(2000);
}, 60_000);
