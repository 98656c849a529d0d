import { afterEach, expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { control, frame, Wire } from "./wire.ts";

let server: EscServer | undefined;
afterEach(() => server?.remove());

const OP_HELLO = 1;
const OP_WELCOME = 2;
const OP_ACK = 3;
const HEAD_EXT_MEDIUM = 0x42;
const TAG_ID = 1;

/** An event of priority MEDIUM with a message id. */
function eventWithId(id: string): Buffer {
  const ext = [TAG_ID, 0, id.length, ...Buffer.from(id)];
  return frame([HEAD_EXT_MEDIUM, 0, 1], "t", [0, ext.length, ...ext], "payload");
}

/** `[n, d]` of the last ACK, `[n]` of a plain one. */
async function lastAck(wire: Wire, done: number): Promise<number[]> {
  const numbers = () => {
    const payload = wire.controls(OP_ACK).at(-1) ?? Buffer.alloc(0);
    return Array.from({ length: payload.length / 8 }, (_, at) => Number(payload.readBigUInt64BE(at * 8)));
  };
  await wire.until(() => numbers()[0] === done);
  return numbers();
}

test("ACKs count duplicates for who asks, across SIGKILL, and are plain for everybody else", async () => {
  server = await EscServer.start();
  const first = await Wire.connect(server.tcpPort);
  first.send(control(OP_HELLO, { acks: "durable", ack_details: true }));
  first.send(eventWithId("a"), eventWithId("b"), eventWithId("a"));
  expect(await lastAck(first, 3)).toEqual([3, 1]);
  expect(first.json(OP_WELCOME)).toMatchObject([{ acks: "durable", ack_details: true }]);
  first.send(eventWithId("c"));
  expect(await lastAck(first, 4)).toEqual([4, 1]);
  await server.kill();

  server = await EscServer.start({ folder: server.folder });
  const second = await Wire.connect(server.tcpPort);
  second.send(control(OP_HELLO, { acks: "durable", ack_details: true }));
  second.send(...["a", "b", "c", "d"].map(eventWithId));
  expect(await lastAck(second, 4)).toEqual([4, 3]);

  const plain = await Wire.connect(server.tcpPort);
  plain.send(control(OP_HELLO, { acks: "durable" }), eventWithId("a"));
  expect(await lastAck(plain, 1)).toEqual([1]);
  expect(plain.json(OP_WELCOME)[0]).not.toHaveProperty("ack_details");

  // Over HTTP the answer also says where the first lies.
  const http = await fetch(server.url("/api/v1/publish/t"), {
    method: "POST",
    headers: { "esc-message-id": "b", "esc-priority": "2" },
    body: "payload",
  });
  expect(await http.json()).toEqual({ lane: "transactional", shard: 0, offset: 1, duplicate: true });
}, 40_000);
