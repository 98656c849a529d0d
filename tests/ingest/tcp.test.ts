import { afterEach, expect, test } from "bun:test";
import { ackFrame, controlFrame, jsonFrame } from "../../src/event/control-frame.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { LISTENERS, OP_HELLO, OP_PING, OP_PONG, OP_WELCOME, REJECT_REASONS } from "../../src/event/frame.ts";
import type { RejectReason } from "../../src/event/frame.ts";
import {
  SOURCE_CONNECTIONS,
  SOURCE_CONNECTIONS_REFUSED,
  SOURCE_PAUSED,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
} from "../../src/metrics/layout.ts";
import { STATUS_DROPPED, STATUS_FAILED } from "../../src/queue/completions.ts";
import { EngineEnd } from "./engine-end.ts";
import { RawClient, TcpRig, until } from "./tcp-rig.ts";

const TCP = LISTENERS.indexOf("tcp");
const open: { close(): void }[] = [];

function start(...args: ConstructorParameters<typeof TcpRig>): TcpRig {
  const rig = new TcpRig(...args);
  open.push(rig);
  return rig;
}

async function connect(rig: TcpRig): Promise<RawClient> {
  const client = await RawClient.connect(rig.listener.port);
  open.push(client);
  return client;
}

function hello(acks: string): Uint8Array {
  return jsonFrame(OP_HELLO, { acks });
}

function rejected(rig: TcpRig, reason: RejectReason): number {
  return rig.engine.counter(SOURCE_REJECTED + REJECT_REASONS.indexOf(reason));
}

afterEach(() => {
  for (const part of open.splice(0)) part.close();
});

const plain = encodeFrame({ topic: "a.b", priority: 2, payload: "hello" });
const rich = encodeFrame({
  topic: "größe/°",
  priority: 4,
  payload: "x".repeat(300),
  id: "id-1",
  timeUs: 1_700_000_000_000_000,
  key: "k",
  headers: [["h", "v"]],
  crc: true,
});

test("plain frames without HELLO reach the engine byte for byte and get no answer", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(Buffer.concat([plain, plain, rich]));
  client.finish();
  await until(() => client.ended && rig.engine.eventCount === 3);
  expect(rig.engine.frames().equals(Buffer.concat([plain, plain, rich]))).toBe(true);
  expect(client.received.length).toBe(0);
  expect(rig.engine.counter(SOURCE_RECEIVED + TCP)).toBe(3);
  expect(rig.engine.counter(SOURCE_CONNECTIONS + TCP)).toBe(0);
  expect(rig.engine.runs.every((run) => run.hasIds)).toBe(true);
});

test("receive() finds the same frames wherever the stream is split", async () => {
  const stream = Buffer.concat([hello("durable"), plain, rich, controlFrame(OP_PING, "p"), plain]);
  const rig = start({ maxConnections: stream.length + 1 }, new EngineEnd({ slots: 1000 }));
  for (let split = 1; split < stream.length; split++) {
    const client = await connect(rig);
    const before = rig.engine.eventCount;
    await until(() => rig.listener.sessions.size === 1);
    const [session] = rig.listener.sessions;
    const openedUs = session?.receivedUs;
    client.write(stream.subarray(0, split));
    // The second part follows in a packet of its own: the first has been read.
    await until(() => session?.receivedUs !== openedUs);
    client.write(stream.subarray(split));
    await until(() => client.acked() === 3, `acknowledgements at split ${split}`);
    expect(rig.engine.eventCount - before).toBe(3);
    expect(client.frames().map((frame) => frame.opcode)).toContain(OP_PONG);
    client.close();
    await until(() => rig.listener.sessions.size === 0);
  }
  expect(rig.engine.eventCount).toBe(3 * (stream.length - 1));
  expect(rig.engine.frames().subarray(0, plain.length).equals(plain)).toBe(true);
  expect(rig.defects).toEqual([]);
});

test("receive() takes one byte a packet", async () => {
  const stream = Buffer.concat([hello("accepted"), plain, rich]);
  const rig = start();
  const client = await connect(rig);
  for (const byte of stream) {
    client.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => client.acked() === 2);
  expect(rig.engine.frames().equals(Buffer.concat([plain, rich]))).toBe(true);
});

test("HELLO is answered with WELCOME, and ACK is cumulative", async () => {
  const rig = start();
  rig.takes = false;
  const client = await connect(rig);
  client.write(jsonFrame(OP_HELLO, { acks: "durable", producer: "p" }));
  await until(() => client.frames().length === 1);
  expect(client.json(OP_WELCOME)).toEqual([
    { server: "esc", version: "1.2.3", max_frame_bytes: 65536, acks: "durable" },
  ]);
  for (let event = 0; event < 3; event++) {
    client.write(plain);
    await until(() => rig.engine.take({ answers: false }) === 1);
  }
  const [first, second, third] = rig.engine.runs;
  if (!first || !second || !third) throw new Error("Three runs were expected");
  rig.engine.answer(second);
  rig.engine.answer(third);
  rig.turn();
  rig.engine.answer(first);
  await until(() => client.acked() === 3);
  // The two that came first had nothing to say: event 1 was missing.
  expect(client.received.subarray(-14).equals(Buffer.from(ackFrame(3)))).toBe(true);
  expect(client.frames().length).toBe(2);
});

const bad: [RejectReason, Uint8Array][] = [
  ["bad_head", frame("08 0001 61")],
  ["bad_head", frame("10 0001 61")],
  ["bad_head", frame("28 0001 61")],
  ["bad_priority", frame("05 0001 61")],
  ["bad_priority", frame("87 0001 61 00000000")],
  ["bad_topic_length", frame("00 0000 61")],
  ["bad_topic_length", frame("00 0002 61")],
  ["bad_topic_length", frame("00 0100" + "61".repeat(256))],
  ["bad_topic_length", frame("80 0001 61 000000")],
  ["bad_topic_utf8", frame("00 0001 ff")],
  ["bad_topic_utf8", frame("00 0002 c080")],
  ["bad_topic_utf8", frame("00 0003 eda080")],
  ["bad_ext", frame("40 0001 61")],
  ["bad_ext", frame("40 0001 61 0001")],
  ["bad_ext", frame("40 0001 61 0004 05 0001 00")],
  ["bad_ext", frame("40 0001 61 0003 01 0000")],
  ["bad_ext", frame("40 0001 61 0044 01 0041" + "61".repeat(65))],
  ["bad_ext", frame("40 0001 61 0004 02 0001 00")],
  ["bad_ext", frame("40 0001 61 0004 04 0001 61")],
  ["bad_ext", frame("40 0001 61 0004 04 0001 00")],
  ["bad_crc", frame("80 0001 61 00000000")],
];

function frame(hex: string): Uint8Array {
  const body = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return Buffer.concat([Uint8Array.of(0, 0, body.length >>> 8, body.length), body]);
}

test("a bad event is refused, counted by reason, answered with its number, and the connection goes on", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(hello("accepted"));
  for (const [, bytes] of bad) client.write(Buffer.concat([plain, bytes]));
  client.write(plain);
  const total = bad.length * 2 + 1;
  await until(() => client.acked() === total);
  expect(client.errors()).toEqual(bad.map(([reason], index) => ({
    code: "BAD_EVENT",
    message: expect.stringContaining(`(${reason})`),
    seq: index * 2 + 2,
  })));
  for (const reason of new Set(bad.map(([name]) => name))) {
    expect(rejected(rig, reason)).toBe(bad.filter(([name]) => name === reason).length);
  }
  expect(rig.engine.counter(SOURCE_RECEIVED + TCP)).toBe(total);
  expect(rig.engine.eventCount).toBe(bad.length + 1);
});

test("a bad event without HELLO is skipped in silence", async () => {
  const rig = start();
  const client = await connect(rig);
  for (const [, bytes] of bad) client.write(bytes);
  client.write(plain);
  client.finish();
  await until(() => client.ended && rig.engine.eventCount === 1);
  expect(client.received.length).toBe(0);
  expect(rig.engine.frames().equals(Buffer.from(plain))).toBe(true);
});

test.each([0, 1, 2, 65537, 0x7fffffff, 0x80000000, 0xffffffff])(
  "a length of %d ends the connection after ERROR and keeps what came before",
  async (length) => {
    const rig = start();
    const client = await connect(rig);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(length);
    client.write(Buffer.concat([hello("durable"), plain, plain, prefix, Buffer.alloc(20)]));
    await until(() => client.ended);
    expect(client.errors()).toEqual([
      { code: "BAD_LENGTH", message: expect.stringContaining(`${length} is not from 3 to 65536`), seq: 3 },
    ]);
    expect(client.acked()).toBe(3);
    expect(rig.engine.eventCount).toBe(2);
    expect(rejected(rig, "bad_length")).toBe(1);
    client.close();
    await until(() => rig.listener.sessions.size === 0);
  },
);

test("frames of exactly max_frame_bytes pass", async () => {
  const rig = start();
  const client = await connect(rig);
  const largest = encodeFrame({ topic: "t", payload: new Uint8Array(65536 - 4) });
  expect(largest.length).toBe(65540);
  client.write(largest);
  await until(() => rig.engine.eventCount === 1);
  expect(rig.engine.frames().equals(Buffer.from(largest))).toBe(true);
});

test("a connection that ends inside a frame is counted as truncated", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(Buffer.concat([plain, plain.subarray(0, 6)]));
  client.finish();
  await until(() => client.ended && rig.engine.eventCount === 1);
  expect(rejected(rig, "truncated")).toBe(1);
});

test("control frames that make no sense are answered with ERROR and not numbered", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(controlFrame(77, "x"));
  client.write(controlFrame(OP_HELLO, "{"));
  client.write(jsonFrame(OP_HELLO, { acks: "maybe" }));
  client.write(jsonFrame(OP_HELLO, { acks: "accepted" }));
  client.write(jsonFrame(OP_HELLO, { acks: "accepted" }));
  client.write(plain);
  await until(() => client.acked() === 1);
  expect(client.errors()).toEqual([
    { code: "BAD_CONTROL", message: "Opcode 77 is not one that a client sends" },
    { code: "BAD_CONTROL", message: "HELLO is not a JSON object" },
    { code: "BAD_CONTROL", message: "acks must be one of none, accepted, durable" },
    { code: "BAD_CONTROL", message: "HELLO was sent before" },
  ]);
  expect(rejected(rig, "bad_control")).toBe(4);
});

test("HELLO after the first event is refused", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(Buffer.concat([plain, hello("durable")]));
  await until(() => client.errors().length === 1);
  expect(client.errors()).toEqual([{
    code: "BAD_CONTROL",
    message: "HELLO must come before the first event",
  }]);
});

test("PING is answered with the same bytes", async () => {
  const rig = start();
  const client = await connect(rig);
  client.write(controlFrame(OP_PING, "opaque"));
  await until(() => client.frames().length === 1);
  expect(client.frames()).toEqual([{ opcode: OP_PONG, payload: Buffer.from("opaque") }]);
});

test("events refused behind the listener are reported before the ACK that covers them", async () => {
  const rig = start();
  rig.takes = false;
  const client = await connect(rig);
  client.write(Buffer.concat([hello("durable"), plain, plain, plain]));
  await until(() => rig.engine.eventCount + rig.engine.take({ answers: false }) === 3);
  const { connection } = rig.engine.runs[0] ?? { connection: 0 };
  rig.engine.answer({ connection, firstSeq: 1, count: 2 }, STATUS_DROPPED, 0);
  rig.engine.answer({ connection, firstSeq: 3, count: 1 }, STATUS_FAILED);
  await until(() => client.acked() === 3);
  expect(client.errors()).toEqual([
    { code: "QUEUE_FULL", message: "Not stored in its lane (queue_full)", seq: 1, count: 2 },
    { code: "LOG_UNAVAILABLE", message: "The log cannot be written", seq: 3 },
  ]);
  expect(client.frames().map((received) => received.opcode)).toEqual([OP_WELCOME, 4, 4, 3]);
});

test("a full ring pauses the socket and loses nothing", async () => {
  const engine = new EngineEnd({ ringBytes: 256 * 1024 });
  engine.keeps = false;
  const rig = start({}, engine);
  rig.takes = false;
  const client = await connect(rig);
  const event = encodeFrame({ topic: "t", payload: new Uint8Array(1000) });
  const batch = Buffer.concat(Array.from({ length: 1000 }, () => event));
  let crc = 0;
  for (let index = 0; index < 20; index++) {
    client.write(batch);
    crc = Bun.hash.crc32(batch, crc);
  }
  await until(() => engine.counter(SOURCE_PAUSED) === 1);
  rig.takes = true;
  await until(() => engine.eventCount === 20_000);
  expect(engine.crc).toBe(crc);
  expect(engine.counter(SOURCE_PAUSED)).toBe(0);
  expect(rig.defects).toEqual([]);
});

test("a blocked connection is not read, and others are", async () => {
  const rig = start();
  const [one, other] = [await connect(rig), await connect(rig)];
  one.write(plain);
  await until(() => rig.engine.eventCount === 1);
  const slot = (rig.engine.runs[0]?.connection ?? 0) & 0xffff;
  const words = new Int32Array(rig.engine.blocked);
  Atomics.store(words, slot, 1);
  one.write(plain);
  await until(() => rig.engine.counter(SOURCE_PAUSED) === 1);
  other.write(rich);
  await until(() => rig.engine.eventCount === 2);
  expect(rig.engine.frameList()[1]?.equals(Buffer.from(rich))).toBe(true);
  // The blocked client leaves; what it has sent is still taken.
  one.close();
  Atomics.store(words, slot, 0);
  await until(() => rig.engine.eventCount === 3);
  await until(() => rig.listener.sessions.size === 1);
});

test("the connection over the limit is refused with a reason and counted", async () => {
  const rig = start({ maxConnections: 2 });
  const clients = [await connect(rig), await connect(rig)];
  await until(() => rig.listener.sessions.size === 2);
  const third = await connect(rig);
  await until(() => third.ended);
  expect(third.errors()).toEqual([
    { code: "TOO_MANY_CONNECTIONS", message: "The limit of 2 connections is reached" },
  ]);
  expect(rig.engine.counter(SOURCE_CONNECTIONS_REFUSED)).toBe(1);
  clients[0]?.close();
  await until(() => rig.listener.sessions.size === 1);
  const fourth = await connect(rig);
  fourth.write(plain);
  await until(() => rig.engine.eventCount === 1);
});

test("a client that does not read its answers is not read either", async () => {
  const rig = start();
  const client = await connect(rig);
  client.pause();
  const ping = controlFrame(OP_PING, new Uint8Array(60_000));
  const count = 400;
  for (let index = 0; index < count; index++) client.write(ping);
  await until(() => rig.engine.counter(SOURCE_PAUSED) === 1);
  const [session] = rig.listener.sessions;
  expect(session?.outbox.length).toBeLessThan(2 * 1024 * 1024);
  client.resume();
  await until(() => client.received.length === ping.length * count, "all PONGs");
});

test("a client may end its direction and still gets its acknowledgements", async () => {
  const rig = start();
  rig.takes = false;
  const client = await connect(rig);
  client.write(Buffer.concat([hello("durable"), plain]));
  client.finish();
  await until(() => rig.engine.take({ answers: false }) === 1);
  expect(client.ended).toBe(false);
  rig.engine.answer({ connection: rig.engine.runs[0]?.connection ?? 0, firstSeq: 1, count: 1 });
  await until(() => client.ended);
  expect(client.acked()).toBe(1);
  await until(() => rig.listener.sessions.size === 0);
});

test("end() gives the last answers, says why, and closes", async () => {
  const rig = start();
  rig.takes = false;
  const client = await connect(rig);
  client.write(Buffer.concat([hello("durable"), plain]));
  await until(() => rig.engine.take({ answers: false }) === 1);
  rig.listener.stopAccepting();
  rig.listener.end();
  rig.engine.answer({ connection: rig.engine.runs[0]?.connection ?? 0, firstSeq: 1, count: 1 });
  await until(() => client.ended);
  expect(client.acked()).toBe(1);
  expect(client.errors()).toEqual([{ code: "SHUTTING_DOWN", message: "The server is shutting down" }]);
});

test("a second listener on the same port says that it is in use", () => {
  const rig = start();
  expect(() => new TcpRig({ port: rig.listener.port })).toThrow("the port is in use");
});
