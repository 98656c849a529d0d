import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonFrame } from "../../src/event/control-frame.ts";
import { decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { OP_EVENTS, OP_HELLO, OP_SUBSCRIBE } from "../../src/event/frame.ts";
import type { IngestWorkerOptions } from "../../src/ingest/worker.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { ThreadControl } from "../../src/queue/control.ts";
import { Doorbell } from "../../src/queue/doorbell.ts";
import { append as appendBatch } from "../log/runs.ts";
import { splitFrames } from "./engine-end.ts";
import { RawClient, until } from "./tcp-rig.ts";
import { WorkerRig } from "./worker-rig.ts";

let folder = "";
const open: { close(): unknown }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esc-worker-"));
});

afterEach(async () => {
  for (const part of open.splice(0).reverse()) await part.close();
  rmSync(folder, { recursive: true });
});

async function start(options: Partial<IngestWorkerOptions> = {}): Promise<WorkerRig> {
  const rig = await WorkerRig.start(folder, options);
  open.push(rig);
  return rig;
}

async function connect(rig: WorkerRig): Promise<RawClient> {
  const client = await RawClient.connect(rig.tcpPort);
  open.push(client);
  return client;
}

const event = encodeFrame({ topic: "a", payload: "x" });

test("the worker takes events from TCP, UDP and a file, and acknowledges", async () => {
  writeFileSync(join(folder, "lines"), "one\ntwo\n");
  const rig = await start({
    files: [{ name: "lines", path: join(folder, "lines"), topic: "lines", priority: 0, pollIntervalMs: 10 }],
  });
  const client = await connect(rig);
  client.write(Buffer.concat([jsonFrame(OP_HELLO, { acks: "durable" }), event, event]));
  const sender = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: rig.udpPort } });
  open.push(sender);
  sender.send(event);
  await until(() => client.acked() === 2 && rig.engine.eventCount === 5);
  const topics = rig.engine.frameList().map((bytes) => decodeFrame(bytes, 0).topic).sort();
  expect(topics).toEqual(["a", "a", "a", "lines", "lines"]);
});

test("a port in use is told in a sentence, and the thread ends", async () => {
  const rig = await start();
  const second = await start({
    tcp: { host: "127.0.0.1", port: rig.tcpPort, maxConnections: 1, idleTimeoutMs: null, portShares: 1 },
  });
  expect(second.messages).toEqual([{
    type: "failed",
    code: "ADDRESS_IN_USE",
    message: `Cannot listen on TCP 127.0.0.1:${rig.tcpPort}: the port is in use`,
    hint: "Stop the other program, or configure another port",
  }]);
  await until(() => second.exitCode !== undefined);
});

test("quiesce takes what had arrived, finish gives the last answers, and the thread ends by itself", async () => {
  const rig = await start();
  const client = await connect(rig);
  client.write(jsonFrame(OP_HELLO, { acks: "durable" }));
  await until(() => client.frames().length === 1);
  const many = Buffer.concat(Array.from({ length: 10_000 }, () => event));
  client.write(many);
  await until(() => client.isFlushed);
  rig.post({ type: "quiesce" });
  await until(() => rig.messages.some((message) => "type" in message && message.type === "quiesced"));
  await until(() => client.ended);
  expect(client.acked()).toBe(10_000);
  expect(client.errors()).toEqual([{ code: "SHUTTING_DOWN", message: "The server is shutting down" }]);
  rig.post({ type: "finish" });
  await until(() => rig.exitCode !== undefined);
  expect(rig.exitCode).toBe(0);
  expect(RawClient.connect(rig.tcpPort)).rejects.toThrow();
});

test("a subscriber gets the log, then what becomes visible, and CONFIRM opens its window", async () => {
  const writer = LogWriter.open(
    nodeFiles,
    join(folder, "log"),
    { ...LOG_OPTIONS_DEFAULT, minFreeBytes: 0 },
    () => {},
  );
  const state = { value: undefined as ShardState | undefined };
  const append = (texts: string[]) => {
    appendBatch(writer, texts);
    writer.sync();
    if (state.value) state.value.visibleOffset = writer.nextOffset;
  };
  append(["one", "two"]);
  const rig = await start();
  state.value = new ShardState(rig.shardState);
  state.value.visibleOffset = writer.nextOffset;
  const client = await connect(rig);
  client.write(jsonFrame(OP_SUBSCRIBE, { id: "s", topics: [">"], from: "earliest", max_in_flight: 3 }));
  await until(() => events(client).length === 2);
  expect(new ThreadControl(rig.control).subscriptionCount).toBe(1);
  append(["three", "four"]);
  new Doorbell(rig.engine.sourceDoorbell).ring();
  await until(() => events(client).length === 3);
  client.write(jsonFrame(7, { id: "s", offsets: { "batch/0": 3 } }));
  await until(() => events(client).length === 4);
  expect(events(client)).toEqual(
    ["one", "two", "three", "four"].map((text) => Buffer.from(encodeFrame({ topic: "t", payload: text }))),
  );
  client.write(jsonFrame(OP_SUBSCRIBE, { id: "s", topics: [">"] }));
  client.write(jsonFrame(OP_SUBSCRIBE, { id: "t", topics: ["a.>.b"] }));
  client.write(jsonFrame(7, { id: "nobody", offsets: {} }));
  await until(() => client.errors().length === 3);
  expect(client.errors().map((error) => Reflect.get(Object(error), "code"))).toEqual(
    ["BAD_CONTROL", "BAD_CONTROL", "BAD_CONTROL"],
  );
  client.close();
  await until(() => new ThreadControl(rig.control).subscriptionCount === 0);
  writer.close();
});

/** Event frames in all EVENTS received: this reads the layout as `docs/protocol.md` has it. */
function events(client: RawClient): Buffer[] {
  const found: Buffer[] = [];
  for (const { opcode, payload } of client.frames()) {
    if (opcode !== OP_EVENTS) continue;
    let at = 1 + payload.readUInt8(0);
    at += 1 + payload.readUInt8(at) + 2;
    while (at < payload.length) {
      const bytes = payload.readUInt32BE(at + 20);
      found.push(...splitFrames(payload.subarray(at + 24, at + 24 + bytes)));
      at += 24 + bytes;
    }
  }
  return found;
}

test("an idle worker uses next to no processor time", async () => {
  const rig = await start();
  const client = await connect(rig);
  client.write(jsonFrame(OP_HELLO, { acks: "durable" }));
  await until(() => client.frames().length === 1);
  const control = new ThreadControl(rig.control);
  const before = control.heartbeat;
  const startedMs = Date.now();
  await until(() => Date.now() - startedMs > 1000);
  // Its loop turns only when its sleep of 200 ms is over.
  expect(control.heartbeat - before).toBeLessThan(12);
});
