import { afterEach, expect, test } from "bun:test";
import { Client, type ClientOptions } from "../../src/client/client.ts";
import type { Refusal } from "../../src/client/connection.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { EscError } from "../../src/errors.ts";
import { ack, control, Peer, type PeerOptions } from "./peer.ts";

const open: { peers: Peer[]; clients: Client[] } = { peers: [], clients: [] };

afterEach(() => {
  for (const client of open.clients.splice(0)) client.abort();
  for (const peer of open.peers.splice(0)) peer.stop();
});

function listen(options: PeerOptions = {}): Peer {
  const peer = new Peer(options);
  open.peers.push(peer);
  return peer;
}

async function connect(peer: Peer, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await Client.connect({
    dial: dialTcp({ host: "127.0.0.1", port: peer.port }),
    acks: "durable",
    ...options,
  });
  open.clients.push(client);
  return client;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(() => undefined, (reason) => reason);
  return error instanceof EscError ? error.code : `no EscError: ${error}`;
}

/** Events the peer has received on a connection: their payloads as text. */
function payloads(peer: Peer, index: number): string[] {
  return peer.connection(index).frames.filter((frame) => frame.opcode === undefined)
    .map(({ body }) => body.subarray(3 + body.readUInt16BE(1)).toString());
}

test("connect() sends HELLO and publish() the frame, byte by byte as specified", async () => {
  const peer = listen();
  const client = await connect(peer, { producer: "golden" });
  expect(client.publisher.publish({ topic: "a.b", priority: 3, payload: "hi" })).toBe(true);
  client.publisher.publish({ topic: "a", priority: 0, payload: "", id: "7", timeUs: 1, key: "k" });
  await peer.until(() => peer.connection(0).frames.length === 3);
  const hello = '{"acks":"durable","producer":"golden"}';
  expect(peer.connection(0).received.toString("hex")).toBe(
    [
      `000000${(hello.length + 2).toString(16)}`,
      "2001",
      Buffer.from(hello).toString("hex"),
      "00000008 03 0003 612e62 6869",
      "00000019 40 0001 61 0013 01 0001 37 02 0008 0000000000000001 03 0001 6b",
    ].join("").replaceAll(" ", ""),
  );
});

test("connect() fails with SERVER_UNREACHABLE and a hint when nobody listens", async () => {
  const peer = new Peer();
  const { port } = peer;
  peer.stop();
  const error = await Client.connect({ dial: dialTcp({ host: "127.0.0.1", port }), acks: "none" }).catch((
    e,
  ) => e);
  expect(error).toBeInstanceOf(EscError);
  expect([error.code, error.message]).toEqual([
    "SERVER_UNREACHABLE",
    `Cannot connect to 127.0.0.1:${port}: nobody listens there`,
  ]);
  expect(error.hint).toContain("esc serve");
});

test("connect() fails with the server's code when the greeting is refused", async () => {
  const peer = listen({
    onFrame(connection) {
      connection.send(control(4, '{"code":"UNAUTHORIZED","message":"token unknown"}'));
      return "handled";
    },
  });
  expect(await codeOf(connect(peer))).toBe("UNAUTHORIZED");
});

test("connect() fails when what listens is not an esc server", async () => {
  const peer = listen({
    onFrame(connection) {
      connection.send(Buffer.from("-ERR unknown command\r\n"));
      return "handled";
    },
  });
  expect(await codeOf(connect(peer))).toBe("BAD_LENGTH");
});

test("acknowledgements are cumulative and settled() waits for the last", async () => {
  const peer = listen();
  const answered: number[] = [];
  const client = await connect(peer, { onAnswered: (count) => answered.push(count) });
  for (let i = 1; i <= 10; i++) client.publisher.publish({ topic: "t", payload: `${i}` });
  await peer.until(() => payloads(peer, 0).length === 10);
  peer.connection(0).send(ack(4));
  let isSettled = false;
  const settled = client.publisher.settled().then(() => isSettled = true);
  await client.ping();
  expect([client.publisher.answeredCount, isSettled]).toEqual([4, false]);
  peer.connection(0).send(ack(10));
  await settled;
  expect(answered).toEqual([4, 10]);
});

test("an ACK of more than was sent ends the client with BAD_CONTROL", async () => {
  const peer = listen();
  const client = await connect(peer);
  client.publisher.publish({ topic: "t", payload: "1" });
  peer.connection(0).send(ack(2));
  expect((await client.ended)?.code).toBe("BAD_CONTROL");
  expect(() => client.publisher.publish({ topic: "t", payload: "2" })).toThrow(EscError);
});

test("publish() says false at inFlightMax and room() resolves when the server catches up", async () => {
  const peer = listen();
  const client = await connect(peer, { inFlightMax: 4 });
  for (let i = 0; i < 4; i++) expect(client.publisher.publish({ topic: "t", payload: "x" })).toBe(true);
  expect(client.publisher.publish({ topic: "t", payload: "x" })).toBe(false);
  expect(client.publisher.publishedCount).toBe(4);
  const room = client.publisher.room();
  await peer.until(() => payloads(peer, 0).length === 4);
  peer.connection(0).send(ack(2));
  await room;
  expect(client.publisher.publish({ topic: "t", payload: "x" })).toBe(true);
});

test("a peer that reads nothing stops the publisher at its window, and everything arrives in order later", async () => {
  const peer = listen();
  const client = await connect(peer, { acks: "none", windowBytes: 1 << 20, inFlightMax: 1e9 });
  peer.connection(0).pause();
  const filler = "x".repeat(10_000);
  let count = 0;
  while (client.publisher.publish({ topic: "t", payload: `${count} ${filler}` })) {
    count++;
    // Kernel buffers take some megabytes; the window is 4 MiB, as max_frame_bytes asks.
    expect(count).toBeLessThan(10_000);
    if (count % 100 === 0) client.publisher.flush();
  }
  expect(count).toBeGreaterThan(100);
  peer.connection(0).resume();
  await client.publisher.settled();
  expect(payloads(peer, 0).map((text) => Number.parseInt(text))).toEqual([...Array(count).keys()]);
});

test("a refused event is reported with its number and still counts as answered", async () => {
  const refusals: Refusal[] = [];
  const peer = listen();
  const client = await connect(peer, { onRefused: (refusal) => refusals.push(refusal) });
  for (let i = 0; i < 3; i++) client.publisher.publish({ topic: "t", payload: "x" });
  await peer.until(() => payloads(peer, 0).length === 3);
  peer.connection(0).send(control(4, '{"code":"QUEUE_FULL","message":"lane full","seq":2}'));
  peer.connection(0).send(ack(3));
  await client.publisher.settled();
  expect(refusals).toEqual([{ code: "QUEUE_FULL", message: "lane full", seq: 2, count: 1 }]);
  expect(client.publisher.refusedCount).toBe(1);
});

test("publish() throws USAGE for an event no server takes", async () => {
  const client = await connect(listen());
  for (const event of [{ topic: "", payload: "" }, { topic: "t", payload: new Uint8Array(1 << 20) }]) {
    expect(() => client.publisher.publish(event)).toThrow(EscError);
  }
  expect(client.publisher.publishedCount).toBe(0);
});

test("after a broken connection exactly the unanswered events are sent again, in order", async () => {
  const peer = listen();
  const client = await connect(peer, { reconnect: { delayMs: 1 } });
  for (let i = 1; i <= 10; i++) client.publisher.publish({ topic: "t", payload: `${i}` });
  await peer.until(() => payloads(peer, 0).length === 10);
  peer.connection(0).send(ack(4));
  peer.connection(0).close();
  await peer.until(() => peer.connections.length === 2 && payloads(peer, 1).length === 6);
  expect(payloads(peer, 1)).toEqual(["5", "6", "7", "8", "9", "10"]);
  peer.connection(1).send(ack(6));
  await client.publisher.settled();
  expect(client.publisher.answeredCount).toBe(10);
});

test("without reconnect a broken connection ends the client and everybody who waits learns it", async () => {
  const peer = listen();
  const client = await connect(peer);
  client.publisher.publish({ topic: "t", payload: "x" });
  const settled = codeOf(client.publisher.settled());
  peer.connection(0).close();
  expect((await client.ended)?.code).toBe("SERVER_UNREACHABLE");
  expect(await settled).toBe("SERVER_UNREACHABLE");
});

test("reconnecting gives up after giveUpMs", async () => {
  const peer = listen();
  const client = await connect(peer, { reconnect: { delayMs: 1, delayMsMax: 2, giveUpMs: 20 } });
  peer.connection(0).close();
  peer.stop();
  expect((await client.ended)?.code).toBe("SERVER_UNREACHABLE");
});

test("close() waits for the answers, then ends without error", async () => {
  const peer = listen({
    onFrame(connection, frame) {
      if (frame.opcode === undefined) connection.send(ack(1));
    },
  });
  const client = await connect(peer);
  client.publisher.publish({ topic: "t", payload: "x" });
  await client.close();
  expect(await client.ended).toBeUndefined();
  expect(client.publisher.answeredCount).toBe(1);
});

test("close() without acknowledgements waits until the server has read everything", async () => {
  const peer = listen();
  const client = await connect(peer, { acks: "none" });
  client.publisher.publish({ topic: "t", payload: "x" });
  await client.close();
  expect(peer.connection(0).frames.map((frame) => frame.opcode)).toEqual([1, undefined, 8]);
});

test("a control frame never lands inside an event frame that is half written", async () => {
  const peer = listen();
  const client = await connect(peer, { acks: "none", windowBytes: 32 << 20, inFlightMax: 1e9 });
  peer.connection(0).pause();
  const payload = new Uint8Array(1_000_000);
  let count = 0;
  while (client.publisher.publish({ topic: "t", payload })) count++;
  const pong = client.ping();
  peer.connection(0).resume();
  await pong;
  client.publisher.publish({ topic: "t", payload: "last" });
  await client.publisher.settled();
  const { frames } = peer.connection(0);
  expect(frames.filter((frame) => frame.opcode === undefined).length).toBe(count + 1);
  expect(frames.filter((frame) => frame.opcode === 8).length).toBe(2);
  expect(frames.length).toBe(count + 4);
});
