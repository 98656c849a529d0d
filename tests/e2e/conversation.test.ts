import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { queryEvents, statsOf, statsUntil } from "./read-log.ts";
import { control, event, frame, Wire } from "./wire.ts";

let server: EscServer;
const wires: Wire[] = [];

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterEach(() => wires.splice(0).forEach((wire) => wire.close()));
afterAll(() => server.remove());

async function connect(): Promise<Wire> {
  const wire = await Wire.connect(server.tcpPort);
  wires.push(wire);
  return wire;
}

test("HELLO is answered by WELCOME, events by cumulative ACKs of eight bytes", async () => {
  const wire = await connect();
  wire.send(control(1, { acks: "durable", producer: "conversation" }));
  await wire.until(() => wire.bodies.length === 1);
  expect(wire.json(2)).toEqual([{
    server: "esc",
    version: expect.any(String),
    max_frame_bytes: 1_048_576,
    acks: "durable",
  }]);
  wire.send(event("talk.a", "1"), event("talk.b", "2", 4), event("talk.c", "3", 0));
  await wire.until(() => wire.acknowledged === 3);
  for (const ack of wire.controls(3)) expect(ack.length).toBe(8);
  const numbers = wire.controls(3).map((ack) => Number(ack.readBigUInt64BE(0)));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  expect(wire.controls(4)).toEqual([]);
  const stored = await queryEvents(server, "talk.*");
  expect(stored.map(({ topic, payload }) => `${topic} ${payload}`).toSorted()).toEqual([
    "talk.a 1",
    "talk.b 2",
    "talk.c 3",
  ]);
});

test("a bad event is refused by number, its neighbours are stored, and the connection goes on", async () => {
  const wire = await connect();
  const before = await statsOf(server);
  wire.send(
    control(1, { acks: "durable" }),
    event("bad.good", "first"),
    event("bad.priority", "x", 5),
    event("bad.good", "second"),
    frame([0x01, 0, 0], "no topic"),
    frame([0x81, 0, 1], "t", "payload", [1, 2, 3, 4]),
    event("bad.good", "third"),
  );
  await wire.until(() => wire.acknowledged === 6);
  const errors = wire.json(4);
  expect(errors.map(({ code, seq }) => [code, seq])).toEqual([
    ["BAD_EVENT", 2],
    ["BAD_EVENT", 4],
    ["BAD_EVENT", 5],
  ]);
  expect(errors.map(({ message }) => /\((\w+)\)$/.exec(String(message))?.[1])).toEqual([
    "bad_priority",
    "bad_topic_length",
    "bad_crc",
  ]);
  expect((await queryEvents(server, "bad.*")).map(({ payload }) => payload)).toEqual([
    "first",
    "second",
    "third",
  ]);
  const after = await statsOf(server);
  expect(after.events.rejected - before.events.rejected).toBe(3);
  expect(after.events.received - before.events.received).toBe(6);
});

test("a length out of range is answered by ERROR and the end; what came before is stored", async () => {
  const wire = await connect();
  wire.send(control(1, { acks: "durable" }), event("lost.framing", "kept"), Buffer.from("ffffffff00", "hex"));
  await wire.until(() => wire.hasEnded);
  // The lost frame has a number, too: it is refused, and refused frames count.
  expect(wire.json(4).map(({ code, seq }) => [code, seq])).toEqual([["BAD_LENGTH", 2]]);
  expect(wire.acknowledged).toBe(2);
  expect((await queryEvents(server, "lost.framing")).length).toBe(1);
});

test("plain frames without HELLO are stored and get no answer", async () => {
  const wire = await connect();
  wire.send(event("plain.client", "a"), event("plain.client", "b", 9), event("plain.client", "c"));
  await statsUntil(server, ({ lanes }) => Object.values(lanes).every(({ depth }) => depth === 0));
  while ((await queryEvents(server, "plain.client")).length < 2) await Bun.sleep(1);
  expect((await queryEvents(server, "plain.client")).map(({ payload }) => payload)).toEqual(["a", "c"]);
  expect(wire.bodies).toEqual([]);
});

test("a conversation cut at every byte is understood all the same", async () => {
  const conversation = Buffer.concat([
    control(1, { acks: "durable" }),
    event("cut.here", "one", 3),
    event("cut.here", "two", 3),
  ]);
  const wire = await connect();
  for (const byte of conversation) {
    wire.send(Buffer.from([byte]));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await wire.until(() => wire.acknowledged === 2);
  expect((await queryEvents(server, "cut.here")).map(({ payload }) => payload)).toEqual(["one", "two"]);
});

test("a message id that was seen before is acknowledged and not stored again", async () => {
  const withId = (payload: string) => frame([0x41, 0, 2], "id", [0, 6, 1, 0, 3], "abc", payload);
  const wire = await connect();
  wire.send(control(1, { acks: "durable" }), withId("first"), withId("again"));
  await wire.until(() => wire.acknowledged === 2);
  expect(wire.controls(4)).toEqual([]);
  const stored = await queryEvents(server, "id");
  expect(stored.map(({ id, payload }) => [id, payload])).toEqual([["abc", "first"]]);
});

test("PING is answered by PONG with the same bytes", async () => {
  const wire = await connect();
  wire.send(frame([0x20, 8], "opaque"));
  await wire.until(() => wire.bodies.length === 1);
  expect(wire.controls(9).map(String)).toEqual(["opaque"]);
});

test("a subscriber gets EVENTS as documented: id, lane, shard, block, frames as they were sent", async () => {
  const sent = event("sub.scribe", "payload", 3);
  const wire = await connect();
  wire.send(control(5, { id: "x", topics: ["sub.*"], from: "latest" }), frame([0x20, 8], "p"));
  await wire.until(() => wire.controls(9).length === 1);
  wire.send(control(1, { acks: "durable" }));
  await wire.until(() => wire.json(2).length === 1);
  wire.send(sent);
  await wire.until(() => wire.controls(6).length === 1);
  const [events] = wire.controls(6);
  if (events === undefined) throw new Error("no EVENTS came");
  expect(events.subarray(0, 13).toString("latin1")).toBe("\x01x\x08realtime\0\0");
  const block = events.subarray(13);
  const [stored] = await queryEvents(server, "sub.scribe");
  expect(Number(block.readBigUInt64BE(0))).toBe(stored?.offset ?? -1);
  expect(block.readUInt32BE(8)).toBe(1);
  expect(block.readUInt32BE(20)).toBe(sent.length);
  expect(block.subarray(24).equals(sent)).toBe(true);
});

test.each([
  ["unknown opcode", frame([0x20, 99], "x")],
  ["HELLO that is not JSON", frame([0x20, 1], "{")],
  ["SUBSCRIBE with a bad pattern", control(5, { id: "x", topics: [">.a"], from: "latest" })],
  [
    "SUBSCRIBE to a shard that is not there",
    control(5, { id: "x", topics: [">"], from: { offsets: { "no/7": 1 } } }),
  ],
])("%s is answered by ERROR BAD_CONTROL and the connection goes on", async (_name, bytes) => {
  const wire = await connect();
  wire.send(bytes, frame([0x20, 8], "alive"));
  await wire.until(() => wire.controls(9).length === 1 && wire.json(4).length === 1);
  expect(wire.json(4).map(({ code }) => code)).toEqual(["BAD_CONTROL"]);
  expect(wire.hasEnded).toBe(false);
});
