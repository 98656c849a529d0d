/** Consumer groups by WebSocket and HTTP, over a whole engine. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ApiRig, startApi } from "./rig.ts";

let api: ApiRig;
beforeAll(async () => {
  api = await startApi("grpc: { enable: false }");
});
afterAll(() => api.stop());

interface Message {
  readonly type: string;
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly key: string;
  readonly payload: string;
  readonly attempts: number;
  readonly message: string;
}

/** A WebSocket that works for a group. */
class Worker {
  readonly #socket: WebSocket;
  readonly #waiting: (() => void)[] = [];
  readonly messages: Message[] = [];

  private constructor(socket: WebSocket, readonly onEvent: (worker: Worker, event: Message) => void) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data));
      this.messages.push(message);
      if (message.type === "event") this.onEvent(this, message);
      for (const settle of this.#waiting.splice(0)) settle();
    };
  }

  static async join(
    request: Record<string, unknown>,
    onEvent: (worker: Worker, event: Message) => void = () => {},
  ): Promise<Worker> {
    const socket = new WebSocket(`${api.url.replace("http", "ws")}/api/v1/subscribe`);
    await new Promise((resolve) => socket.onopen = resolve);
    const worker = new Worker(socket, onEvent);
    worker.send({ type: "subscribe", id: "w", from: "earliest", ...request });
    await worker.until(() => worker.messages.some(({ type }) => type === "subscribed" || type === "error"));
    return worker;
  }

  get events(): Message[] {
    return this.messages.filter(({ type }) => type === "event");
  }

  send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  answer(type: "ack" | "nack", { lane, shard, offset }: Message): void {
    this.send({ type, id: "w", events: [[`${lane}/${shard}`, offset]] });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#socket.close();
  }
}

async function publish(topic: string, count: number, keyOf: (index: number) => string): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => ({
    topic,
    payload: String(index),
    priority: 2,
    key: keyOf(index),
  }));
  const response = await api.fetch("/api/v1/publish", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  expect(response.status).toBe(200);
}

async function post(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await api.fetch(path, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

async function standingOf(name: string): Promise<{ standing: string; lag: number }> {
  const { consumers } = await (await api.fetch("/api/v1/consumers")).json();
  return consumers.find((consumer: { name: string }) => consumer.name === name);
}

test(
  "workers of an ordered group share the keys; each key keeps its order while workers come and go",
  async () => {
    const done = new Map<string, number[]>();
    const finished = Promise.withResolvers<void>();
    let total = 0;
    const onEvent = (worker: Worker, event: Message) => {
      const list = done.get(event.key) ?? [];
      done.set(event.key, list);
      // A worker that dies without an answer lets others see the event again.
      if (total === 150 && !list.includes(-1)) {
        list.push(-1);
        worker.close();
        void Worker.join(request, onEvent);
        return;
      }
      if (!list.includes(Number(event.payload))) total++;
      list.push(Number(event.payload));
      worker.answer("ack", event);
      if (total === 400) finished.resolve();
    };
    const request = { group: "ordered", mode: "ordered", topics: ["jobs.>"], max_in_flight: 5 };
    await publish("jobs.a", 400, (index) => `k${index % 7}`);
    await Promise.all([Worker.join(request, onEvent), Worker.join(request, onEvent)]);
    await finished.promise;
    for (const list of done.values()) {
      // Once over, in order; repeats lie between.
      const first = list.filter((value, index) => value >= 0 && list.indexOf(value) === index);
      expect(first).toEqual(first.toSorted((a, b) => a - b));
    }
    expect(total).toBe(400);
  },
  20_000,
);

test("an event that fails every delivery is a dead letter, can be requeued, and the group goes on", async () => {
  await publish("bad.job", 3, () => "one");
  const finished = Promise.withResolvers<void>();
  const attempts: string[] = [];
  const worker = await Worker.join(
    { group: "failing", topics: ["bad.>"], max_deliveries: 2 },
    (worker, event) => {
      attempts.push(`${event.payload}#${event.attempts}`);
      worker.answer(event.payload === "1" ? "nack" : "ack", event);
      if (attempts.length === 4) finished.resolve();
    },
  );
  await finished.promise;
  expect(attempts.toSorted()).toEqual(["0#1", "1#1", "1#2", "2#1"]);
  const letters = async () => (await (await api.fetch("/api/v1/dlq?reason=max_deliveries")).json()).events;
  while ((await letters()).length === 0) await Bun.sleep(10);
  expect(await letters()).toMatchObject([{
    topic: "bad.job",
    payload: "1",
    key: "one",
    reason: "max_deliveries",
    error: 'No member of group "failing" could deal with it',
    group: "failing",
    origin: { lane: "transactional", shard: 0, offset: worker.events[1]?.offset },
    attempts: 2,
  }]);
  expect(await api.fetch("/metrics").then((answer) => answer.text())).toContain(
    'esc_dlq_events_total{reason="max_deliveries"} 1',
  );
  while (!(await standingOf("failing")).standing.startsWith("Has everything")) await Bun.sleep(10);
  const requeued = await post("/api/v1/dlq/requeue?reason=max_deliveries", {});
  expect(requeued.body).toMatchObject({ requeued: 1, failed: 0 });
  await worker.until(() => worker.events.at(-1)?.payload === "1" && worker.events.length >= 5);
  expect(await letters()).toEqual([]);
  worker.close();
});

test("members must agree about their group", async () => {
  const one = await Worker.join({ group: "agreed", topics: ["x.>"], mode: "queue" });
  const other = await Worker.join({ group: "agreed", topics: ["x.>"], mode: "ordered" });
  expect(other.messages[0]?.message).toStartWith('Group "agreed" works with mode queue');
  one.close();
  other.close();
});

test("HTTP: pull, settle, what is stale, and why the group stands still", async () => {
  await publish("pull.job", 3, () => "k");
  const asks = { topics: ["pull.>"], from: "earliest", member: "w1", lease_ms: 60_000 };
  const first = await post("/api/v1/consumers/pulled/pull", { ...asks, count: 2 });
  const events = first.body["events"] as Message[];
  expect(events.map(({ payload, attempts }) => [payload, attempts])).toEqual([["0", 1], ["1", 1]]);
  const places = events.map(({ lane, shard, offset }) => ({ lane, shard, offset }));
  expect((await standingOf("pulled")).standing).toContain("1 ready");
  const second = await post("/api/v1/consumers/pulled/pull", { ...asks, member: "w2" });
  expect((second.body["events"] as Message[]).map(({ payload }) => payload)).toEqual(["2"]);
  expect((await standingOf("pulled")).standing).toMatch(
    /^Waits for "w1", which has held transactional\/0@\d+ for a moment \(lease 60 s\); 3 held, 0 ready$/,
  );
  expect(await post("/api/v1/consumers/pulled/settle", { member: "w1", done: places })).toEqual({
    status: 200,
    body: { done: 2, retry: 0, stale: 0 },
  });
  const again = await post("/api/v1/consumers/pulled/settle", { member: "w1", done: places });
  expect(again.body).toEqual({ done: 0, retry: 0, stale: 2 });
  expect((await post("/api/v1/consumers/pulled/reset?to=earliest", {})).status).toBe(409);
  const last = (second.body["events"] as Message[]).map(({ lane, shard, offset }) => ({
    lane,
    shard,
    offset,
  }));
  await post("/api/v1/consumers/pulled/settle", { member: "w2", done: last });
  expect((await post("/api/v1/consumers/pulled/reset?to=earliest", {})).status).toBe(200);
  const repeated = await post("/api/v1/consumers/pulled/pull", asks);
  expect((repeated.body["events"] as Message[]).map(({ payload }) => payload)).toEqual(["0", "1", "2"]);
});
