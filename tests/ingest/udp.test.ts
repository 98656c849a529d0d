import { afterEach, expect, test } from "bun:test";
import { controlFrame } from "../../src/event/control-frame.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { LISTENERS, OP_PING, REJECT_REASONS } from "../../src/event/frame.ts";
import type { RejectReason } from "../../src/event/frame.ts";
import { SOURCE_DATAGRAMS, SOURCE_RECEIVED, SOURCE_REJECTED } from "../../src/metrics/layout.ts";
import { UdpListener } from "../../src/ingest/udp.ts";
import { EngineEnd } from "./engine-end.ts";
import { until } from "./tcp-rig.ts";

const UDP = LISTENERS.indexOf("udp");
const open: { close(): void }[] = [];

afterEach(() => {
  for (const part of open.splice(0)) part.close();
});

async function start(engine = new EngineEnd()) {
  const defects: unknown[] = [];
  const listener = await UdpListener.open(
    { host: "127.0.0.1", port: 0, maxFrameBytes: 1 << 20, receiveBufferBytes: 4 << 20 },
    { source: engine.openSource(), nowUs: () => Date.now() * 1000, onDefect: (error) => defects.push(error) },
  );
  const sender = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: listener.port } });
  open.push(listener, sender);
  const rejected = (reason: RejectReason) => engine.counter(SOURCE_REJECTED + REJECT_REASONS.indexOf(reason));
  const datagrams = () => engine.counter(SOURCE_DATAGRAMS);
  return { listener, sender, engine, defects, rejected, datagrams };
}

const event = encodeFrame({ topic: "a", priority: 3, payload: "x" });
const batch = encodeFrame({ topic: "a", priority: 0, payload: "x" });
const bad = Buffer.from("0000000405000161", "hex");

test("a datagram carries several frames; a bad one is skipped and counted", async () => {
  const { sender, engine, rejected, datagrams } = await start();
  sender.send(Buffer.concat([event, bad, event, controlFrame(OP_PING, "x"), event]));
  await until(() => datagrams() === 1);
  engine.take();
  expect(engine.frames().equals(Buffer.concat([event, event, event]))).toBe(true);
  expect(rejected("bad_priority")).toBe(1);
  expect(rejected("bad_control")).toBe(1);
  expect(engine.counter(SOURCE_RECEIVED + UDP)).toBe(5);
});

test("receive() counts every datagram cut anywhere as truncated, and keeps its whole frames", async () => {
  const { listener, engine, rejected } = await start();
  const stream = Buffer.concat([event, event]);
  for (let length = 0; length < stream.length; length++) {
    listener.receive(stream.subarray(0, length), "127.0.0.1");
  }
  engine.take();
  expect(engine.eventCount).toBe(event.length);
  // All but the one cut exactly between the frames.
  expect(rejected("truncated")).toBe(stream.length - 1);
});

test("a lost framing ends its datagram only", async () => {
  const { sender, engine, rejected, datagrams } = await start();
  sender.send(Buffer.concat([event, Buffer.from("00000002aaaa", "hex"), event]));
  sender.send(event);
  await until(() => datagrams() === 2);
  engine.take();
  expect(engine.eventCount).toBe(2);
  expect(rejected("bad_length")).toBe(1);
});

test("a full lane refuses its own priority and no other", async () => {
  const { sender, engine, rejected, datagrams } = await start();
  sender.send(batch);
  await until(() => datagrams() === 1);
  engine.take();
  const slot = (engine.runs[0]?.connection ?? 0) & 0xffff;
  Atomics.store(new Int32Array(engine.blocked), slot, 1);
  sender.send(Buffer.concat([batch, batch]));
  sender.send(event);
  await until(() => datagrams() === 3);
  engine.take();
  expect(engine.eventCount).toBe(2);
  expect(rejected("backpressure")).toBe(2);
  expect(engine.counter(SOURCE_RECEIVED + UDP)).toBe(4);
});

test("a full ring refuses datagrams and counts them", async () => {
  const engine = new EngineEnd({ ringBytes: 4096 });
  const { listener, rejected } = await start(engine);
  for (let index = 0; index < 200; index++) listener.receive(event, "127.0.0.1");
  engine.take();
  expect(rejected("backpressure")).toBeGreaterThan(0);
  expect(engine.eventCount + rejected("backpressure")).toBe(200);
});

test("the largest datagram passes", async () => {
  const { sender, engine } = await start();
  const largest = encodeFrame({ topic: "t", payload: new Uint8Array(65_507 - 8) });
  expect(largest.length).toBe(65_507);
  sender.send(largest);
  await until(() => engine.take() === 1);
  expect(engine.frames().equals(Buffer.from(largest))).toBe(true);
});

test("what is sent is received, refused or dropped by the kernel", async () => {
  const engine = new EngineEnd({ ringBytes: 1 << 20 });
  engine.keeps = false;
  const { listener, sender, rejected, datagrams, defects } = await start(engine);
  expect(listener.receiveBufferBytes).toBeGreaterThan(0);
  const total = Number(process.env["ESC_TEST_DATAGRAMS"] ?? 20_000);
  let sent = 0;
  while (sent < total) {
    for (let burst = 0; burst < 500 && sent < total; burst++) if (sender.send(event)) sent++;
    engine.take();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => datagrams() + listener.kernelDrops() === sent, "all datagrams");
  engine.take();
  expect(engine.eventCount + rejected("backpressure") + listener.kernelDrops()).toBe(sent);
  expect(defects).toEqual([]);
});
