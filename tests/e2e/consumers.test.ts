/** Consumer groups as their operators see them: `esc consumers`, through the executable. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { EscServer, runEsc } from "../support/esc.ts";
import { GroupWorker } from "./group-worker.ts";
import { control, Wire } from "./wire.ts";

const ERROR = 4, SUBSCRIBE = 5;
let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
});
afterAll(() => server.remove());

const consumers = (...args: readonly string[]) =>
  runEsc(["consumers", ...args, "--http-port", String(server.httpPort)]);

async function publish(topic: string, count: number): Promise<void> {
  const list = Array.from({ length: count }, (_, index) => ({ topic, payload: String(index) }));
  const response = await fetch(server.url("/api/v1/publish"), {
    method: "POST",
    body: JSON.stringify(list),
    headers: { "content-type": "application/json" },
  });
  expect(response.status).toBe(200);
}

/** What is said of a consumer now. */
async function standing(name: string): Promise<string> {
  const { stdout } = await consumers("show", name, "--json");
  return JSON.parse(stdout).standing;
}

/** Waits until it is said. Positions and leases are looked at ten times a second. */
async function untilStanding(name: string, wanted: RegExp): Promise<string> {
  for (;;) {
    const said = await standing(name);
    if (wanted.test(said)) return said;
    await Bun.sleep(20);
  }
}

test("why a group stands still is said in plain words, at every stage", async () => {
  const { stderr } = await consumers("list");
  expect(stderr).toContain("No consumer has confirmed anything yet");
  const join = { group: "billing", topics: ["orders.>"], from: "earliest", member: "w1", lease_ms: 60_000 };
  const worker = await GroupWorker.join(server.addresses.http, { ...join, max_in_flight: 2 });
  expect(await untilStanding("billing", /Has everything/)).toBe("Has everything");
  await publish("orders.new", 5);
  await worker.until(() => worker.events.length === 2);
  const held = await untilStanding("billing", /held/);
  expect(held).toMatch(
    /^Waits for "w1", which has held batch\/0@0 for .* \(lease 60 s\); 2 held, 3 ready$/,
  );
  const shown = (await consumers("show", "billing")).stdout;
  expect(shown).toContain("member     w1: holds 2, full");
  expect(shown).toContain("mode queue, lease 60 s, 5 deliveries, topics orders.>");

  for (let done = 0; done < 5; done++) {
    await worker.until(() => worker.events.length > done);
    const event = worker.events[done];
    if (event !== undefined) worker.ack(event);
  }
  expect(await untilStanding("billing", /Has everything/)).toBe("Has everything");
  await publish("other.topic", 3);
  // What does not match is passed over, and counts as done.
  expect(await untilStanding("billing", /Has everything/)).toBe("Has everything");

  const list = await consumers("list");
  expect(list.stdout).toMatch(/billing +0 +1 +Has everything/);
  worker.close();
  await publish("orders.new", 1);
  await untilStanding("billing", /No member is connected/);
}, 30_000);

test("reset and delete: refused while members work, done when they are gone", async () => {
  const join = { group: "moved", topics: ["moved.>"], from: "earliest", member: "w" };
  await publish("moved.a", 3);
  const worker = await GroupWorker.join(server.addresses.http, join, (member, event) => member.ack(event));
  await worker.until(() => worker.events.length === 3);
  await untilStanding("moved", /Has everything/);
  const refused = await consumers("reset", "moved", "--to", "earliest");
  expect([refused.status, refused.stderr.includes("stop its members first")]).toEqual([1, true]);
  expect((await consumers("delete", "moved")).status).toBe(1);
  worker.close();
  await worker.gone;
  while ((await consumers("reset", "moved", "--to", "earliest")).status !== 0) await Bun.sleep(20);

  const again = await GroupWorker.join(server.addresses.http, join, (member, event) => member.ack(event));
  await again.until(() => again.events.length === 3);
  await untilStanding("moved", /Has everything/);
  again.close();
  await again.gone;
  while ((await consumers("delete", "moved")).status !== 0) await Bun.sleep(20);
  const missing = await consumers("show", "moved");
  expect([missing.status, missing.stderr.includes('Consumer "moved" does not exist')]).toEqual([1, true]);
  expect((await consumers("reset", "moved", "--to", "latest")).status).toBe(1);
  expect((await consumers("reset", "moved", "--to", "noon")).status).toBe(2);
}, 30_000);

test(
  "an event that fails every delivery is listed by esc dlq with its group, attempts and origin",
  async () => {
    const join = {
      group: "fragile",
      topics: ["fragile.>"],
      from: "earliest",
      member: "w",
      max_deliveries: 3,
    };
    const worker = await GroupWorker.join(server.addresses.http, join, (member, event) => {
      if (event.payload === "1") member.nack(event);
      else member.ack(event);
    });
    await publish("fragile.a", 3);
    await worker.until(() => worker.events.filter(({ payload }) => payload === "1").length === 3);
    expect(worker.events.filter(({ payload }) => payload === "1").map(({ attempts }) => attempts)).toEqual([
      1,
      2,
      3,
    ]);
    await untilStanding("fragile", /Has everything/);
    const listed = await runEsc([
      ...["dlq", "list", "--reason", "max_deliveries", "--topic", "fragile.>", "--json"],
      ...["--http-port", String(server.httpPort)],
    ]);
    expect(listed.stderr).toBe("");
    const { lane, shard, offset } = worker.events.find(({ payload }) => payload === "1") ?? {};
    expect(JSON.parse(listed.stdout)).toMatchObject({
      ...{ topic: "fragile.a", payload: "1", reason: "max_deliveries", group: "fragile", attempts: 3 },
      origin: { lane, shard, offset },
    });
    worker.close();
  },
  30_000,
);

test("a SUBSCRIBE frame that names a group is refused with where to go", async () => {
  const wire = await Wire.connect(server.tcpPort);
  wire.send(control(1, { acks: "none" }), control(SUBSCRIBE, { id: "a", topics: [">"], group: "billing" }));
  await wire.until(() => wire.controls(ERROR).length > 0);
  expect(wire.json(ERROR)).toEqual([{
    code: "BAD_CONTROL",
    message: "A group's events come as JSON: join it by a WebSocket's text messages, or pull them by HTTP",
  }]);
  wire.close();
});
