import { afterEach, expect, test } from "bun:test";
import { Client } from "../../src/client/client.ts";
import type { EventCursor } from "../../src/client/events.ts";
import type { SubscribeOptions } from "../../src/client/subscription.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { EscError } from "../../src/errors.ts";
import { control, Peer, type PeerOptions } from "./peer.ts";

const open: { peers: Peer[]; clients: Client[] } = { peers: [], clients: [] };

afterEach(() => {
  for (const client of open.clients.splice(0)) client.abort();
  for (const peer of open.peers.splice(0)) peer.stop();
});

async function connect(
  options: PeerOptions = {},
  { reconnects } = { reconnects: true },
): Promise<{ peer: Peer; client: Client }> {
  const peer = new Peer(options);
  open.peers.push(peer);
  const client = await Client.connect({
    dial: dialTcp({ host: "127.0.0.1", port: peer.port }),
    acks: "none",
    reconnect: reconnects ? { delayMs: 1 } : undefined,
  });
  open.clients.push(client);
  return { peer, client };
}

/** An EVENTS frame of one block, written from the drawing in docs/protocol.md. */
function events(id: string, lane: string, shard: number, baseOffset: number, payloads: string[]): Buffer {
  const frames = payloads.map((payload) => {
    const frame = Buffer.from(`\0\0\0\0\x01\0\x01t${payload}`);
    frame.writeUInt32BE(frame.length - 4, 0);
    return frame;
  });
  const block = Buffer.alloc(24);
  block.writeBigUInt64BE(BigInt(baseOffset), 0);
  block.writeUInt32BE(payloads.length, 8);
  block.writeBigUInt64BE(1_700_000_000_000_000n, 12);
  block.writeUInt32BE(frames.reduce((bytes, frame) => bytes + frame.length, 0), 20);
  const head = Buffer.from([id.length, ...Buffer.from(id), lane.length, ...Buffer.from(lane), 0, shard]);
  return control(6, Buffer.concat([head, block, ...frames]));
}

/** JSON payloads of the frames with this opcode on a connection. */
function sent(peer: Peer, index: number, opcode: number): unknown[] {
  return peer.connection(index).frames.filter((frame) => frame.opcode === opcode)
    .map(({ body }) => JSON.parse(body.subarray(2).toString()));
}

function collect(into: string[]): (events: EventCursor) => void {
  return (cursor) => {
    while (cursor.next()) {
      into.push(`${cursor.lane}/${cursor.shard}@${cursor.offset} ${Buffer.from(cursor.payload())}`);
    }
  };
}

test.each<[SubscribeOptions, unknown]>([
  [{ topics: ["a.*", ">"], from: "latest" }, { id: "s1", topics: ["a.*", ">"], from: "latest" }],
  [{ topics: ["a"], from: { timeUs: 5 } }, { id: "s1", topics: ["a"], from: { time_us: 5 } }],
  [{ topics: ["a"], from: { offsets: { "batch/0": 7 } }, consumer: "c", maxInFlight: 10, lanes: ["batch"] }, {
    id: "s1",
    topics: ["a"],
    from: { offsets: { "batch/0": 7 } },
    consumer: "c",
    max_in_flight: 10,
    lanes: ["batch"],
  }],
])("subscribe(%j) asks as specified", async (options, expected) => {
  const { peer, client } = await connect();
  await client.subscribe(options, () => {});
  expect(sent(peer, 0, 5)).toEqual([expected]);
});

test("events reach the handler of their subscription with lane, shard and offset", async () => {
  const { peer, client } = await connect();
  const first: string[] = [];
  const second: string[] = [];
  await client.subscribe({ topics: ["t"], from: "earliest" }, collect(first));
  await client.subscribe({ topics: ["t"], from: "earliest" }, collect(second));
  peer.connection(0).send(events("s1", "batch", 0, 4, ["a", "b"]));
  peer.connection(0).send(events("s2", "realtime", 1, 9, ["c"]));
  await client.ping();
  expect([first, second]).toEqual([["batch/0@4 a", "batch/0@5 b"], ["realtime/1@9 c"]]);
});

test("subscribe() throws the server's answer when it refuses", async () => {
  const { client } = await connect({
    onFrame(connection, frame) {
      if (frame.opcode === 5) {
        connection.send(control(4, '{"code":"FORBIDDEN","message":"no topic for you"}'));
      }
    },
  });
  const error = await client.subscribe({ topics: ["t"], from: "latest" }, () => {}).catch((reason) => reason);
  expect(error).toBeInstanceOf(EscError);
  expect(error.code).toBe("FORBIDDEN");
});

test("a durable consumer confirms what was handled, at half of maxInFlight at the latest", async () => {
  const { peer, client } = await connect();
  const options = { topics: ["t"], from: "earliest", consumer: "c", maxInFlight: 4 } as const;
  await client.subscribe(options, (cursor) => void cursor.next());
  peer.connection(0).send(events("s1", "batch", 0, 10, ["a", "b", "c"]));
  peer.connection(0).send(events("s1", "batch", 0, 20, ["a"]));
  await peer.until(() => sent(peer, 0, 7).length === 1);
  // The handler steps to one event of each frame: only those count as handled.
  expect(sent(peer, 0, 7)).toEqual([{ id: "s1", offsets: { "batch/0": 21 } }]);
});

test("a quiet consumer confirms its last events in time, and close() does at once", async () => {
  const { peer, client } = await connect();
  await client.subscribe({ topics: ["t"], from: "earliest", consumer: "c" }, collect([]));
  peer.connection(0).send(events("s1", "batch", 0, 10, ["a"]));
  await peer.until(() => sent(peer, 0, 7).length === 1);
  peer.connection(0).send(events("s1", "batch", 0, 11, ["b"]));
  await client.ping();
  await client.close();
  expect(sent(peer, 0, 7).at(-1)).toEqual({ id: "s1", offsets: { "batch/0": 12 } });
});

test("after a broken connection a subscription goes on behind the last event handled", async () => {
  const { peer, client } = await connect();
  await client.subscribe({ topics: ["t"], from: "latest" }, collect([]));
  peer.connection(0).send(events("s1", "batch", 0, 10, ["a", "b"]));
  await client.ping();
  peer.connection(0).close();
  await peer.until(() => peer.connections.length === 2 && sent(peer, 1, 5).length === 1);
  // Shards that have sent nothing: what has come to them since the subscription began.
  const others = { time_us: expect.any(Number) };
  expect(sent(peer, 1, 5)).toEqual([{
    id: "s1",
    topics: ["t"],
    from: { offsets: { "batch/0": 12 }, others },
  }]);
});

test("a subscription from the earliest event goes on with the earliest of shards that have sent nothing", async () => {
  const { peer, client } = await connect();
  await client.subscribe({ topics: ["t"], from: "earliest" }, collect([]));
  peer.connection(0).send(events("s1", "batch", 0, 10, ["a"]));
  await client.ping();
  peer.connection(0).close();
  await peer.until(() => peer.connections.length === 2 && sent(peer, 1, 5).length === 1);
  const from = { offsets: { "batch/0": 11 }, others: "earliest" };
  expect(sent(peer, 1, 5)).toEqual([{ id: "s1", topics: ["t"], from }]);
});

test("an EVENTS frame that cannot be read ends the client with BAD_CONTROL", async () => {
  const { peer, client } = await connect({}, { reconnects: false });
  const broken = events("s1", "batch", 0, 0, ["abc"]);
  broken[broken.length - 11] = 0xff; // The length prefix of its only event.
  await client.subscribe({ topics: ["t"], from: "latest" }, collect([]));
  peer.connection(0).send(broken);
  expect((await client.ended)?.code).toBe("BAD_CONTROL");
});
