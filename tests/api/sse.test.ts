import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
beforeAll(async () => {
  rig = await startApi();
}, 30_000);
afterAll(() => rig.stop());

interface Message {
  readonly id: string;
  readonly event: { readonly topic: string; readonly payload: string; readonly offset: number } | undefined;
}

/** A client of server-sent events: reads messages one by one. */
class SseClient {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  private constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  static async open(query: string, headers: Record<string, string> = {}): Promise<SseClient> {
    const response = await rig.fetch(`/api/v1/subscribe?${query}`, { headers });
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
    ]);
    if (response.body === null) throw new Error("No body");
    const client = new SseClient(response.body);
    // The first message has no data: it says where the stream begins.
    expect((await client.next()).event).toBeUndefined();
    return client;
  }

  async next(): Promise<Message> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const message = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        const field = (name: string) =>
          message.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = field("data");
        return { id: field("id") ?? "", event: data === undefined ? undefined : JSON.parse(data) };
      }
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("The stream has ended");
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  async take(count: number): Promise<Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}

async function publish(topic: string, payloads: readonly string[], priority = 1): Promise<void> {
  const body = payloads.map((payload) => JSON.stringify({ topic, payload, priority })).join("\n");
  const answer = await rig.fetch("/api/v1/publish", {
    method: "POST",
    body,
    headers: { "content-type": "application/x-ndjson" },
  });
  expect(await answer.json()).toMatchObject({ published: payloads.length });
}

const payloadsOf = (messages: readonly Message[]) => messages.map((message) => message.event?.payload);
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `${index + from}`);

test("a stream shows what is there, then what comes in, of its topics only", async () => {
  await publish("live.a", numbers(5));
  const client = await SseClient.open("topics=live.*&from=earliest");
  expect(payloadsOf(await client.take(5))).toEqual(numbers(5));
  await publish("other", ["x"]);
  await publish("live.b", numbers(3, 5));
  expect(payloadsOf(await client.take(3))).toEqual(numbers(3, 5));
  await client.close();
});

test("Last-Event-ID resumes exactly behind that event, in every shard", async () => {
  await publish("resume", numbers(10));
  await publish("resume", numbers(10, 10), 4);
  const first = await SseClient.open("topics=resume&from=earliest");
  const seen = await first.take(7);
  await first.close();
  await publish("resume", numbers(5, 20), 0);
  const id = seen.at(-1)?.id ?? "";
  const second = await SseClient.open("topics=resume", { "last-event-id": id });
  const rest = await second.take(18);
  await second.close();
  const all = [...payloadsOf(seen), ...payloadsOf(rest)].map(Number).toSorted((a, b) => a - b);
  expect(all).toEqual(numbers(25).map(Number));
});

test("the same id resumes when it is given in the query", async () => {
  await publish("query", numbers(4));
  const first = await SseClient.open("topics=query&from=earliest");
  const [, second] = await first.take(2);
  await first.close();
  const again = await SseClient.open(`topics=query&last_event_id=${encodeURIComponent(second?.id ?? "")}`);
  expect(payloadsOf(await again.take(2))).toEqual(["2", "3"]);
  await again.close();
});

test("bad subscriptions are refused with problem details", async () => {
  const status = async (query: string, headers: Record<string, string> = {}) => {
    const response = await rig.fetch(`/api/v1/subscribe?${query}`, { headers });
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    return response.status;
  };
  expect(await status("topics=a.>.b")).toBe(400);
  expect(await status("topics=")).toBe(400);
  expect(await status("from=yesterday")).toBe(400);
  expect(await status("lanes=nope")).toBe(400);
  expect(await status("topics=a", { "last-event-id": "nope/0=1" })).toBe(400);
  expect(await status("topics=a", { "last-event-id": "batch/0=-1" })).toBe(400);
});

test("a client that does not read costs nothing: the log is not read on for it", async () => {
  const payload = "z".repeat(50_000);
  const total = 600;
  for (let round = 0; round < total / 20; round++) {
    await publish(
      "flood",
      Array.from({ length: 20 }, () => payload),
    );
  }
  const before = await delivered();
  let received = 0;
  const stalled = await Bun.connect({
    hostname: "127.0.0.1",
    port: rig.http.port,
    socket: {
      data: (_, chunk) => void (received += chunk.length),
    },
  });
  stalled.pause();
  stalled.write("GET /api/v1/subscribe?topics=flood&from=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // Another client at the same time gets everything, while the first one stands still.
  const reader = await SseClient.open("topics=flood&from=earliest");
  await reader.take(total);
  await reader.close();
  // What the first client's kernel buffers and one chunk hold, of 30 MB.
  expect(await delivered() - before - total).toBeLessThan(total / 2);
  stalled.resume();
  while (received < total * payload.length) await new Promise((resolve) => setTimeout(resolve, 5));
  stalled.terminate();
}, 60_000);

test("streams that are closed are not served any more", async () => {
  const count = async () =>
    Number(/^esc_subscribers (\d+)$/m.exec(await (await rig.fetch("/metrics")).text())?.[1]);
  const client = await SseClient.open("topics=gone");
  expect(await count()).toBeGreaterThan(0);
  await client.close();
  // The server hears of it with the next event it cannot send, or before.
  while (await count() > 0) await publish("gone", ["x"]);
}, 60_000);

async function delivered(): Promise<number> {
  const text = await (await rig.fetch("/metrics")).text();
  return Number(/^esc_events_delivered_total (\d+)$/m.exec(text)?.[1]);
}
