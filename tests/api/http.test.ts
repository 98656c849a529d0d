import { afterAll, beforeAll, expect, test } from "bun:test";
import { CheckedApi } from "./document.ts";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
let api: CheckedApi;

beforeAll(async () => {
  rig = await startApi("", { maxBodyBytes: 100_000 });
  api = await CheckedApi.of(rig.url);
}, 30_000);
afterAll(() => rig.stop());

const NDJSON = { "content-type": "application/x-ndjson" };
const JSON_TYPE = { "content-type": "application/json" };
const post = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
  api.fetch(path, { method: "POST", body, headers });

test("/openapi.json is OpenAPI 3.1 and lists every path of SPEC section 7", async () => {
  expect(api.document.openapi).toBe("3.1.0");
  const listed = Object.entries(api.document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
  );
  for (
    const wanted of [
      "GET /healthz",
      "GET /readyz",
      "GET /metrics",
      "GET /openapi.json",
      "GET /api/v1/stats",
      "POST /api/v1/publish/{topic}",
      "POST /api/v1/publish",
      "GET /api/v1/events",
      "GET /api/v1/subscribe",
      "GET /api/v1/topics",
      "GET /api/v1/consumers",
      "DELETE /api/v1/consumers",
      "GET /api/v1/dlq",
      "POST /api/v1/dlq/requeue",
      "DELETE /api/v1/dlq",
      "GET /api/v1/config",
      "POST /api/v1/control/pause",
      "POST /api/v1/control/resume",
      "POST /api/v1/control/drain",
      "POST /api/v1/control/reload",
    ]
  ) expect(listed).toContain(wanted);
  const ids = Object.values(api.document.paths).flatMap((operations) =>
    Object.values(operations).map((operation) => (operation as { operationId?: string }).operationId)
  );
  expect(new Set(ids).size).toBe(ids.length);
});

test("health, readiness, topics, consumers, config and control answer as documented", async () => {
  expect((await api.fetch("/healthz")).body).toMatchObject({ status: "ok", version: "0.0.0-test" });
  expect((await api.fetch("/readyz")).body).toEqual({ ready: true, reasons: [] });
  expect((await api.fetch("/api/v1/config")).body).toEqual({ http: { port: 0 }, auth: { secret: "***" } });
  expect((await api.fetch("/api/v1/control/pause", { method: "POST" })).body).toMatchObject({
    state: "PAUSED",
  });
  expect((await api.fetch("/api/v1/control/resume", { method: "POST" })).body).toMatchObject({
    state: "RUNNING",
  });
  expect((await api.fetch("/api/v1/control/drain", { method: "POST" })).status).toBe(200);
  expect((await api.fetch("/api/v1/control/reload", { method: "POST" })).body)
    .toEqual({ applied: ["topics"], needs_restart: [] });
  expect(rig.asked).toEqual(["drain", "reload"]);
  expect((await api.fetch("/api/v1/consumers")).body).toEqual({ consumers: [] });
  expect((await api.fetch("/api/v1/consumers?name=nobody", { method: "DELETE" })).status).toBe(404);
  expect((await api.fetch("/api/v1/consumers", { method: "DELETE" })).status).toBe(400);
});

test("publish: one event comes back as it was sent, durable when it is answered", async () => {
  const bytes = Uint8Array.of(0xef, 0xbb, 0xbf, 0x00, 0xff, 0xfe);
  const sent = await post("/api/v1/publish/sensor/a%20b", bytes, {
    "esc-priority": "HIGH",
    "esc-message-id": "m-1",
    "esc-key": "k",
    "esc-event-time": "2024-01-02T03:04:05Z",
  });
  expect(sent.status).toBe(200);
  const page = await api.fetch("/api/v1/events?topic=sensor/*");
  const { events } = page.body as { events: Record<string, unknown>[] };
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({
    lane: "realtime",
    shard: 0,
    offset: 0,
    topic: "sensor/a b",
    priority: 3,
    id: "m-1",
    key: "k",
    time_us: Date.parse("2024-01-02T03:04:05Z") * 1000,
    payload: Buffer.from(bytes).toString("base64"),
    encoding: "base64",
  });
});

test("publish: a text payload keeps its byte order mark", async () => {
  await post("/api/v1/publish/bom", "\ufeffhello");
  const { body } = await api.fetch("/api/v1/events?topic=bom");
  expect((body as { events: { payload: string }[] }).events.map((event) => event.payload)).toEqual([
    "\ufeffhello",
  ]);
});

test("publish: NDJSON and JSON list every event's result in its order", async () => {
  const lines = [
    `{"topic": "list.a", "payload": "text", "headers": {"h": ["1", "2"], "g": "p"}}`,
    `not json`,
    ``,
    `{"topic": "list.b", "payload": {"deep": [1]}, "priority": 2}`,
    `{"topic": "list.c", "payload": "x", "priority": 5}`,
    `{"topic": "list.d", "payload": "?", "encoding": "base64"}`,
    `{"topic": "list.e", "payload": "aGk=", "encoding": "base64", "unknown": 1}`,
    `{"topic": "list.f", "payload": "aGk=", "encoding": "base64"}`,
  ];
  const answer = await post("/api/v1/publish?acks=durable", lines.join("\r\n"), NDJSON);
  expect(answer.status).toBe(200);
  const { results, published, failed } = answer.body as {
    results: { error?: { code: string; message: string } }[];
    published: number;
    failed: number;
  };
  expect(results.map((result) => result.error?.code ?? "ok"))
    .toEqual(["ok", "BAD_EVENT", "ok", "BAD_EVENT", "BAD_EVENT", "BAD_EVENT", "ok"]);
  expect([published, failed]).toEqual([3, 4]);
  const { body } = await api.fetch("/api/v1/events?topic=list.>");
  const { events } = body as { events: { topic: string; payload: string; headers?: object }[] };
  expect(Object.fromEntries(events.map((event) => [event.topic, event.payload])))
    .toEqual({ "list.a": "text", "list.b": '{"deep":[1]}', "list.f": "hi" });
  const headers = events.find((event) => event.topic === "list.a")?.headers;
  expect(JSON.stringify(headers)).toBe('{"h":["1","2"],"g":"p"}');

  const array = await post("/api/v1/publish?acks=accepted", '[{"topic": "arr", "payload": null}]', JSON_TYPE);
  expect(array.body).toMatchObject({ acks: "accepted", published: 1, failed: 0 });
});

test("publish: a repeated message id is acknowledged, counted, and not stored again", async () => {
  const before = await stats();
  for (let time = 0; time < 3; time++) {
    expect((await post("/api/v1/publish/dup", "once", { "esc-message-id": "same" })).status).toBe(200);
  }
  const { body } = await api.fetch("/api/v1/events?topic=dup");
  expect((body as { events: unknown[] }).events).toHaveLength(1);
  expect((await stats()).events.duplicates - before.events.duplicates).toBe(2);
});

test("publish: each result says where its event lies", async () => {
  const events = Array.from({ length: 40 }, (_, index) => ({
    topic: `place.${index % 6}`,
    payload: `${index}`,
    priority: index % 5,
    id: `place-${index % 35}`,
  }));
  const answer = await post("/api/v1/publish", JSON.stringify(events), JSON_TYPE);
  const { results } = answer.body as {
    results: { lane: string; shard: number; offset: number; duplicate?: true }[];
  };
  expect(results).toHaveLength(40);
  for (const [index, { lane, shard, offset, duplicate }] of results.entries()) {
    const { body } = await api.fetch(
      `/api/v1/events?lane=${lane}&shard=${shard}&from_offset=${offset}&limit=1`,
    );
    const [event] = (body as { events: { offset: number; payload: string }[] }).events;
    // A repeated id lies where it was stored the first time; ids are known within a shard.
    const isRepeated = duplicate === true;
    expect(event).toMatchObject({ offset, payload: `${isRepeated ? index % 35 : index}` });
    expect(isRepeated && index < 35).toBe(false);
  }
  const accepted = await post("/api/v1/publish/place.x?acks=accepted", "x", { "esc-priority": "HIGH" });
  expect(accepted.body).toEqual({ lane: "realtime", shard: 0 });
  expect((await post("/api/v1/publish/place.x?acks=none", "x")).body).toEqual({});
});

test("publish: bad requests are refused with problem details", async () => {
  const status = async (answer: Promise<{ status: number }>) => (await answer).status;
  expect(await status(post("/api/v1/publish/t", "x", { "esc-priority": "9" }))).toBe(400);
  expect(await status(post("/api/v1/publish/t", "x", { "esc-priority": "soon" }))).toBe(400);
  expect(await status(post("/api/v1/publish/t", "x", { "esc-event-time": "soon" }))).toBe(400);
  expect(await status(post("/api/v1/publish/t", "x", { "esc-message-id": "i".repeat(65) }))).toBe(400);
  expect(await status(post("/api/v1/publish/t?acks=maybe", "x"))).toBe(400);
  expect(await status(post("/api/v1/publish/t?acs=none", "x"))).toBe(400);
  expect(await status(post(`/api/v1/publish/${"t".repeat(256)}`, "x"))).toBe(400);
  expect(await status(post("/api/v1/publish", "", NDJSON))).toBe(400);
  expect(await status(post("/api/v1/publish", "[]", JSON_TYPE))).toBe(400);
  expect(await status(post("/api/v1/publish", "{}", JSON_TYPE))).toBe(400);
  expect(await status(post("/api/v1/publish", "[", JSON_TYPE))).toBe(400);
  expect(await status(post("/api/v1/publish", "[".repeat(90_000), JSON_TYPE))).toBe(400);
  expect(await status(post("/api/v1/publish", "a=b", { "content-type": "text/plain" }))).toBe(415);
  expect(await status(api.fetch("/api/v1/publish", { method: "POST", headers: NDJSON }))).toBe(400);
});

test("publish: a body over the limit is refused with 413, with and without a length", async () => {
  const body = "x".repeat(100_001);
  expect((await post("/api/v1/publish/t", body)).status).toBe(413);
  expect((await post("/api/v1/publish", body, { "content-type": "application/json" })).status).toBe(413);
  const chunked = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(body));
      controller.close();
    },
  });
  expect((await post("/api/v1/publish/t", chunked)).status).toBe(413);
  expect((await post("/api/v1/publish/limit", "x".repeat(100_000))).status).toBe(200);
});

test("publish: a payload that fits and whose frame does not is refused with 413", async () => {
  const small = await startApi("", { maxFrame: "64KiB" });
  const status = async (bytes: number) =>
    (await fetch(`${small.url}/api/v1/publish/frame`, { method: "POST", body: "x".repeat(bytes) })).status;
  const room = 65_536 - 3 - "frame".length;
  try {
    expect([await status(room), await status(room + 1), await status(65_536)]).toEqual([200, 413, 413]);
  } finally {
    await small.stop();
  }
});

test("publish: a topic that is no UTF-8 in percent encoding is refused, and is not taken for another", async () => {
  for (const topic of ["%ff%fe", "%zz", "a%", "%c0%80"]) {
    const answer = await post(`/api/v1/publish/${topic}`, "x");
    expect([topic, answer.status, answer.headers.get("content-type")]).toEqual([
      topic,
      400,
      "application/problem+json",
    ]);
  }
});

test("unknown paths are 404, wrong methods 405 with Allow", async () => {
  expect((await api.fetch("/nothing")).status).toBe(404);
  expect((await api.fetch("/api/v1/publish/")).status).toBe(404);
  const wrong = await api.fetch("/api/v1/stats", { method: "DELETE" });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  const dlq = await api.fetch("/api/v1/dlq", { method: "PUT" });
  expect([dlq.status, dlq.headers.get("allow")]).toEqual([405, "GET, DELETE, HEAD"]);
  expect((await fetch(`${rig.url}/healthz`, { method: "HEAD" })).status).toBe(200);
});

test("requests under a foreign name or from another site are refused", async () => {
  const under = (host: string) =>
    fetch(`${rig.url}/healthz`, { headers: { host } }).then((answer) => answer.status);
  expect(await under("evil.example")).toBe(421);
  expect(await under("localhost.evil.example")).toBe(421);
  expect(await under("127.0.0.1.evil.example:80")).toBe(421);
  expect(await under("localhost:8080")).toBe(200);
  expect(await under("[::1]:1")).toBe(200);
  const from = (origin: string) =>
    fetch(`${rig.url}/api/v1/publish/t`, { method: "POST", body: "x", headers: { origin } })
      .then((answer) => answer.status);
  expect(await from("http://evil.example")).toBe(403);
  expect(await from("null")).toBe(403);
  expect(await from(rig.url)).toBe(200);
  const answer = await fetch(`${rig.url}/healthz`, { headers: { origin: "http://evil.example" } });
  expect(answer.headers.get("access-control-allow-origin")).toBe(null);
});

test("stats add up: received = accepted + rejected + duplicates, accepted = durable + dropped", async () => {
  let seen = await stats();
  // Lanes with `durability: interval` sync a little later.
  while (
    seen.events.durable + seen.events.dropped + seen.events.duplicates + seen.events.rejected <
      seen.events.received
  ) {
    seen = await stats();
  }
  const { events, rejected, lanes } = seen;
  expect(events.received).toBe(events.accepted + events.rejected + events.duplicates);
  expect(events.accepted).toBe(events.durable + events.dropped);
  expect(events.rejected).toBe(Object.values(rejected).reduce((sum, count) => sum + count, 0));
  expect(events.rejected).toBeGreaterThan(0);
  const next = Object.values(lanes).flatMap((lane) => lane.shards.map((shard) => shard.next_offset));
  expect(next.reduce((sum, offset) => sum + offset, 0)).toBe(events.durable);
});

test("events: pages by cursor give every event once and end without a cursor", async () => {
  const lines = Array.from(
    { length: 250 },
    (_, index) => JSON.stringify({ topic: `page.${index % 7}`, payload: `${index}`, priority: index % 5 }),
  );
  await post("/api/v1/publish", lines.join("\n"), NDJSON);
  const seen: string[] = [];
  let cursor = "";
  let pages = 0;
  do {
    const { body } = await api.fetch(`/api/v1/events?topic=page.*&limit=40${cursor && `&cursor=${cursor}`}`);
    const page = body as { events: { payload: string; received_us: number }[]; cursor?: string };
    expect(page.events.length).toBeLessThanOrEqual(40);
    seen.push(...page.events.map((event) => event.payload));
    cursor = page.cursor ?? "";
    pages++;
  } while (cursor);
  expect(pages).toBe(7);
  expect(seen.toSorted((a, b) => Number(a) - Number(b))).toEqual(
    Array.from({ length: 250 }, (_, index) => `${index}`),
  );
  // Exactly as many as the limit: still no cursor at the end.
  const exact = await api.fetch("/api/v1/events?topic=page.*&limit=250");
  expect(exact.body).not.toHaveProperty("cursor");
});

test("events: lane, shard, offset and time narrow the query; nonsense is refused", async () => {
  const count = async (query: string) =>
    ((await api.fetch(`/api/v1/events?limit=10000&${query}`)).body as { events: unknown[] }).events.length;
  const all = await count("topic=page.*");
  const batch = await count("topic=page.*&lane=batch");
  expect(batch).toBe(50);
  expect(await count("topic=page.*&lane=batch&shard=0")).toBe(50);
  expect(await count("topic=page.1,page.2")).toBe(72);
  expect(await count(`topic=page.*&from_time=${Date.now() * 1000 + 1e9}`)).toBe(0);
  expect(await count(`topic=page.*&to_time=2001-01-01`)).toBe(0);
  expect(await count(`topic=page.*&from_time=2001-01-01T00:00:00Z`)).toBe(all);
  const offsets = (await api.fetch("/api/v1/events?lane=batch&from_offset=3&limit=2")).body as {
    events: { offset: number }[];
  };
  expect(offsets.events.map((event) => event.offset)).toEqual([3, 4]);
  const status = async (query: string) => (await api.fetch(`/api/v1/events?${query}`)).status;
  expect(await status("lane=nope")).toBe(404);
  expect(await status("shard=0")).toBe(400);
  expect(await status("limit=0")).toBe(400);
  expect(await status("limit=10001")).toBe(400);
  expect(await status("limit=1e3")).toBe(400);
  expect(await status("topic=")).toBe(400);
  expect(await status("from_time=yesterday")).toBe(400);
  expect(await status("cursor=abc")).toBe(400);
  expect(await status(`cursor=${Buffer.from('{"x/0": 1}').toString("base64url")}`)).toBe(400);
  expect(await status("tpoic=x")).toBe(400);
});

test("topics: listed with their lane and count, filtered by pattern", async () => {
  const { body } = await api.fetch("/api/v1/topics?match=page.*");
  const { topics, total } = body as {
    topics: { topic: string; events: number; lane: string }[];
    total: number;
  };
  expect(total).toBe(7);
  expect(topics.reduce((sum, topic) => sum + topic.events, 0)).toBe(250);
});

test("metrics: the page is served as Prometheus text", async () => {
  const { headers, body } = await api.fetch("/metrics");
  expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(body).toContain('esc_events_received_total{listener="http"} ');
});

test("the server met no defect", () => expect(rig.logged).toEqual([]));

interface StatsBody {
  readonly events: Record<
    "received" | "accepted" | "durable" | "dropped" | "rejected" | "duplicates",
    number
  >;
  readonly rejected: Record<string, number>;
  readonly lanes: Record<string, { shards: { next_offset: number }[] }>;
}

async function stats(): Promise<StatsBody> {
  return (await api.fetch("/api/v1/stats")).body as StatsBody;
}
