import { afterAll, beforeAll, expect, test } from "bun:test";
import { controlFrame, jsonFrame, parseAck } from "../../src/event/control-frame.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import {
  OP_ACK,
  OP_CONFIRM,
  OP_ERROR,
  OP_EVENTS,
  OP_HELLO,
  OP_PING,
  OP_PONG,
  OP_SUBSCRIBE,
  OP_WELCOME,
} from "../../src/event/frame.ts";
import { readEventsFrames } from "../deliver/events-reader.ts";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
beforeAll(async () => {
  rig = await startApi();
}, 30_000);
afterAll(() => rig.stop());

/** A WebSocket whose messages are awaited one by one. */
class Client {
  readonly #socket: WebSocket;
  readonly #messages: (string | Uint8Array)[] = [];
  #waiting: (() => void) | undefined;
  closeCode = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      this.#messages.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
      this.#waiting?.();
    });
    socket.addEventListener("close", ({ code }) => {
      this.closeCode = code;
      this.#waiting?.();
    });
  }

  static async open(query = ""): Promise<Client> {
    const socket = new WebSocket(`${rig.url.replace("http", "ws")}/api/v1/subscribe${query}`);
    const client = new Client(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", reject);
    });
    return client;
  }

  async #next(): Promise<string | Uint8Array> {
    while (this.#messages.length === 0) {
      if (this.closeCode !== 0) throw new Error(`Closed with ${this.closeCode}`);
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
    return this.#messages.shift() ?? "";
  }

  async json(): Promise<Record<string, unknown>> {
    const message = await this.#next();
    if (typeof message !== "string") throw new Error("The message is binary");
    return JSON.parse(message);
  }

  async frame(): Promise<{ opcode: number; payload: Uint8Array; bytes: Uint8Array }> {
    const bytes = await this.#next();
    if (typeof bytes === "string") throw new Error(`The message is text: ${bytes}`);
    expect(new DataView(bytes.buffer).getUint32(0)).toBe(bytes.length - 4);
    return { opcode: bytes[5] ?? 0, payload: bytes.subarray(6), bytes };
  }

  async closed(): Promise<number> {
    while (this.closeCode === 0) await new Promise<void>((resolve) => this.#waiting = resolve);
    return this.closeCode;
  }

  send(message: object | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(message instanceof Uint8Array ? message : JSON.stringify(message));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#socket.close();
  }
}

const jsonOf = (payload: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(payload));

test("a WebSocket counts as a connection whatever it carries, and until it closes", async () => {
  const figures = async () => {
    const page = await (await fetch(`${rig.url}/metrics`)).text();
    return ["esc_connections", "esc_connections_total"].map((name) =>
      Number(page.match(new RegExp(`^${name}\\{listener="ws"\\} (\\d+)$`, "m"))?.[1])
    );
  };
  const [openBefore = NaN, totalBefore = NaN] = await figures();
  const silent = await Client.open();
  const speaking = await Client.open();
  speaking.send(jsonFrame(OP_HELLO, { acks: "none" }));
  expect((await speaking.frame()).opcode).toBe(OP_WELCOME);
  expect(await figures()).toEqual([openBefore + 2, totalBefore + 2]);
  for (const client of [silent, speaking]) {
    client.close();
    await client.closed();
  }
  while ((await figures())[0] !== openBefore) await Bun.sleep(5);
  expect((await figures())[1]).toBe(totalBefore + 2);
});

test("the query subscribes; events published over the same socket come back as JSON", async () => {
  const client = await Client.open("?topics=ws.*&from=latest");
  expect(await client.json()).toEqual({ type: "subscribed", id: "query" });
  client.send({ type: "publish", ref: 1, topic: "ws.a", payload: "hello", priority: 4, id: "m" });
  const messages = [await client.json(), await client.json()];
  expect(messages.find((message) => message["type"] === "published")).toMatchObject({ ref: 1 });
  expect(messages.find((message) => message["type"] === "event"))
    .toMatchObject({
      subscription: "query",
      lane: "realtime",
      topic: "ws.a",
      payload: "hello",
      id: "m",
      offset: 0,
    });
  client.close();
});

test("a durable consumer is resumed where it confirmed, by JSON", async () => {
  const publisher = await Client.open();
  for (let index = 0; index < 6; index++) {
    publisher.send({ type: "publish", topic: "durable", payload: `${index}`, priority: 1, acks: "durable" });
    expect(await publisher.json()).toMatchObject({ type: "published" });
  }
  const subscribe = {
    type: "subscribe",
    id: "d",
    topics: ["durable"],
    from: "earliest",
    consumer: "c1",
    max_in_flight: 3,
  };
  const first = await Client.open();
  first.send(subscribe);
  expect(await first.json()).toEqual({ type: "subscribed", id: "d" });
  const seen = [await first.json(), await first.json(), await first.json()];
  expect(seen.map((event) => event["payload"])).toEqual(["0", "1", "2"]);
  const { lane, shard, offset } = seen[1] as { lane: string; shard: number; offset: number };
  first.send({ type: "confirm", id: "d", offsets: { [`${lane}/${shard}`]: offset + 1 } });
  // Room for two more, and not for a third.
  expect([await first.json(), await first.json()].map((event) => event["payload"])).toEqual(["3", "4"]);
  first.close();

  const second = await Client.open();
  second.send({ ...subscribe, max_in_flight: 10 });
  expect(await second.json()).toEqual({ type: "subscribed", id: "d" });
  const again = [await second.json(), await second.json(), await second.json(), await second.json()];
  expect(again.map((event) => event["payload"])).toEqual(["2", "3", "4", "5"]);
  second.close();
  publisher.close();
  const { consumers } = await (await rig.fetch("/api/v1/consumers")).json() as {
    consumers: { name: string; lag: number }[];
  };
  expect(consumers).toMatchObject([{ name: "c1", lag: 4 }]);
  expect((await rig.fetch("/api/v1/consumers?name=c1", { method: "DELETE" })).status).toBe(200);
});

test("text that makes no sense is answered with an error, and the socket goes on", async () => {
  const client = await Client.open();
  const bad: [string, string][] = [
    ["{", "USAGE"],
    ["[]", "USAGE"],
    ['{"type": "dance"}', "USAGE"],
    ['{"type": "subscribe", "id": "a"}', "USAGE"],
    ['{"type": "subscribe", "id": "a", "topics": [">.x"]}', "USAGE"],
    ['{"type": "confirm", "id": "a", "offsets": {}}', "USAGE"],
    ['{"type": "publish", "topic": "", "payload": ""}', "BAD_EVENT"],
    ['{"type": "publish", "topic": "t", "payload": "", "acks": "maybe"}', "USAGE"],
    ["[".repeat(1000), "USAGE"],
  ];
  for (const [text, code] of bad) {
    client.sendText(text);
    let answer = await client.json();
    if (answer["type"] === "subscribed") answer = await client.json();
    expect(answer, text).toMatchObject({ type: "error", code });
  }
  client.send({ type: "ping" });
  expect(await client.json()).toEqual({ type: "pong" });
  client.close();
});

test("binary messages carry the frames of the wire protocol both ways", async () => {
  const client = await Client.open();
  client.send(jsonFrame(OP_HELLO, { acks: "durable" }));
  const welcome = await client.frame();
  expect(welcome.opcode).toBe(OP_WELCOME);
  expect(jsonOf(welcome.payload)).toMatchObject({ server: "esc", acks: "durable" });
  client.send(controlFrame(OP_PING, "abc"));
  const pong = await client.frame();
  expect([pong.opcode, new TextDecoder().decode(pong.payload)]).toEqual([OP_PONG, "abc"]);

  client.send(jsonFrame(OP_SUBSCRIBE, { id: "b", topics: ["bin"], from: "earliest" }));
  const frames = ["1", "2", "3"].map((payload) => encodeFrame({ topic: "bin", payload, priority: 2 }));
  client.send(Buffer.concat(frames));
  let acknowledged = 0;
  const payloads: string[] = [];
  const offsets: Record<string, number> = {};
  while (acknowledged < 3 || payloads.length < 3) {
    const { opcode, payload, bytes } = await client.frame();
    if (opcode === OP_ACK) acknowledged = parseAck(payload) ?? 0;
    else {
      expect(opcode).toBe(OP_EVENTS);
      for (const event of readEventsFrames(bytes, bytes.length).flatMap((frame) => frame.events)) {
        payloads.push(event.payload);
        offsets[event.key] = event.offset + 1;
      }
    }
  }
  expect(payloads).toEqual(["1", "2", "3"]);
  client.send(jsonFrame(OP_CONFIRM, { id: "b", offsets }));
  // A bad event is refused by its number; the connection goes on.
  const bad = encodeFrame({ topic: "bin", payload: "" });
  bad[4] = 7;
  client.send(bad);
  const error = await client.frame();
  expect([error.opcode, jsonOf(error.payload)]).toEqual([
    OP_ERROR,
    expect.objectContaining({ code: "BAD_EVENT", seq: 4 }),
  ]);
  client.close();
});

test("lost framing is answered with an error, then the socket closes", async () => {
  const client = await Client.open();
  client.send(jsonFrame(OP_HELLO, { acks: "none" }));
  expect((await client.frame()).opcode).toBe(OP_WELCOME);
  client.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0));
  const error = await client.frame();
  expect(jsonOf(error.payload)).toMatchObject({ code: "BAD_LENGTH" });
  expect(await client.closed()).toBe(1000);
});

test("events by WebSocket and by HTTP are counted at their listeners", async () => {
  const text = await (await rig.fetch("/metrics")).text();
  expect(Number(/^esc_events_received_total\{listener="ws"\} (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(10);
});

test("a page of another site cannot open a WebSocket", async () => {
  const answer = await fetch(`${rig.url}/api/v1/subscribe`, {
    headers: { upgrade: "websocket", connection: "upgrade", origin: "http://evil.example" },
  });
  expect(answer.status).toBe(403);
});
