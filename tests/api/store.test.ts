import { afterAll, beforeAll, expect, test } from "bun:test";
import { SqliteStore } from "../../src/store/sqlite.ts";
import { T0_US } from "../store/rows.ts";
import { type ApiRig, startApi } from "./rig.ts";

const MINUTE_US = 60_000_000;
let rig: ApiRig;

beforeAll(async () => {
  rig = await startApi(`store: { topics: ["shop.>"], flush_interval: 1ms }\n`);
  const body = [
    {
      topic: "shop.a",
      payload: "1",
      key: "ann",
      id: "x1",
      time_us: T0_US,
      headers: { h: ["1", "2"], i: "3" },
    },
    { topic: "shop.a", payload: "2", key: "bob" },
    { topic: "other", payload: "no" },
    { topic: "shop.b/c", payload: "/w==", encoding: "base64", key: "ann", priority: 3 },
  ];
  const answer = await rig.fetch("/api/v1/publish", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  await stored(3);
  const store = await SqliteStore.open({
    path: `${rig.engine.config.data.dir}/store.db`,
    origin: "windows",
    nowUs: () => T0_US,
    autoMigrate: false,
  });
  const [log] = await store.positions("w", [{ lane: "w", shard: 0, startOffset: 0 }]);
  await store.commit({
    consumer: "w",
    moves: [{ logId: log?.logId ?? -1, fromOffset: 0, nextOffset: 1 }],
    windows: Array.from({ length: 6 }, (_, minute) => ({
      name: "load",
      key: minute % 2 === 0 ? "eu" : "us",
      startUs: minute * MINUTE_US,
      endUs: (minute + 1) * MINUTE_US,
      count: minute,
      sum: minute * 2,
      min: minute,
      max: minute + 0.5,
      result: `{"avg":2}`,
    })),
    alerts: Array.from({ length: 3 }, (_, index) => ({
      id: `a${index}`,
      rule: index === 1 ? "cold" : "hot",
      severity: "WARNING",
      raisedUs: index,
      topic: "t",
      key: null,
      message: "m",
      context: "{}",
    })),
  });
  await store.close();
});
afterAll(() => rig.stop());

interface Answer {
  readonly [name: string]: unknown;
}

async function get<T extends object = Answer>(path: string): Promise<T & { readonly status: number }> {
  const response = await rig.fetch(`/api/v1/${path.startsWith("windows/") ? path : `query/${path}`}`);
  const body: T = await response.json();
  return { ...body, status: response.status };
}

async function stored(count: number): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    const answer = await get("events");
    if (Array.isArray(answer["events"]) && answer["events"].length >= count) return;
    if (Date.now() > deadlineMs) throw new Error(`not stored: ${JSON.stringify(answer)}`);
    await Bun.sleep(10);
  }
}

const payloads = (answer: Answer) =>
  (answer["events"] as { payload: string }[]).map(({ payload }) => payload);

test("an event comes back as it was published", async () => {
  const { events } = await get<{ events: Record<string, unknown>[] }>("events?topic=shop.a&key=ann");
  expect(events).toHaveLength(1);
  const [{ origin, received_us, offset, ...event } = { origin: "", received_us: 0, offset: -1 }] = events;
  expect(event).toEqual({
    lane: "batch",
    shard: 0,
    topic: "shop.a",
    priority: 0,
    time_us: T0_US,
    id: "x1",
    key: "ann",
    headers: { h: ["1", "2"], i: "3" },
    payload: "1",
  });
  expect(origin).toMatch(/^[0-9a-f]{16}$/);
  expect([typeof received_us, typeof offset]).toEqual(["number", "number"]);
});

test("patterns, order, and pages by cursor", async () => {
  expect(
    payloads(
      await get("events?topic=shop.*"),
    ).sort(),
  ).toEqual(["1", "2"]);
  expect(payloads(await get("events?topic=shop.>")).sort()).toEqual(["/w==", "1", "2"]);
  expect(payloads(await get("events?topic=none.>"))).toEqual([]);
  const all = payloads(await get("events"));
  expect(payloads(await get("events?order=desc"))).toEqual(all.toReversed());
  const pages: string[] = [];
  let cursor: unknown;
  do {
    const page: Answer = await get(`events?limit=1${cursor === undefined ? "" : `&cursor=${cursor}`}`);
    pages.push(...payloads(page));
    cursor = page["cursor"];
  } while (cursor !== undefined);
  expect(pages).toEqual(all);
  const now = Date.now() * 1000;
  expect(payloads(await get(`events?from=${now + 60_000_000}`))).toEqual([]);
  expect(payloads(await get(`events?to=${now + 60_000_000}`))).toEqual(all);
});

test("last values by topic or pattern", async () => {
  const { values } = await get<{ values: { topic: string; payload: string }[] }>("last?topic=shop.>");
  expect(values.map(({ topic, payload }) => `${topic}=${payload}`)).toEqual(["shop.a=2", "shop.b/c=/w=="]);
});

test("window results: range, key, pages, and steps", async () => {
  const { windows, cursor } = await get<{
    windows: unknown[];
    cursor: string;
  }>("windows/load?limit=2&key=eu");
  expect(windows).toEqual([0, 2].map((minute) => ({
    key: "eu",
    start_us: minute * MINUTE_US,
    end_us: (minute + 1) * MINUTE_US,
    count: minute,
    sum: minute * 2,
    min: minute,
    max: minute + 0.5,
    result: { avg: 2 },
  })));
  const rest = await get(`windows/load?limit=2&key=eu&cursor=${cursor}`);
  expect((rest["windows"] as { start_us: number }[]).map((row) => row.start_us)).toEqual([4 * MINUTE_US]);
  expect(rest["cursor"]).toBeUndefined();
  const { steps } = await get(`windows/load?step=${3 * MINUTE_US}&to=${6 * MINUTE_US}`);
  expect(steps).toEqual([
    { start_us: 0, windows: 3, count: 3, sum: 6, min: 0, max: 2.5 },
    { start_us: 3 * MINUTE_US, windows: 3, count: 12, sum: 24, min: 3, max: 5.5 },
  ]);
  expect((await get("windows/unknown"))["windows"]).toEqual([]);
});

test("alerts by rule and time", async () => {
  const ids = (answer: Answer) => (answer["alerts"] as { id: string }[]).map(({ id }) => id);
  expect(ids(await get("alerts"))).toEqual(["a0", "a1", "a2"]);
  expect(ids(await get("alerts?rule=hot&order=desc"))).toEqual(["a2", "a0"]);
  expect(ids(await get("alerts?from=1&to=2"))).toEqual(["a1"]);
});

test("what is asked wrongly is answered 400 with its place, and what is not stored 404", async () => {
  for (
    const path of ["events?limit=0", "events?cursor=nonsense", "events?topic=a.>.b", "events?colour=red"]
  ) {
    expect((await get(path)).status).toBe(400);
  }
  const bare = await startApi();
  expect((await bare.fetch("/api/v1/query/events")).status).toBe(404);
  await bare.stop();
});

test("injection strings are values, nothing else", async () => {
  for (const text of [`' OR '1'='1`, `"; DROP TABLE events; --`, `\\'`, `$1`, `?`]) {
    const quoted = encodeURIComponent(text);
    expect(payloads(await get(`events?key=${quoted}`))).toEqual([]);
    expect(payloads(await get(`events?topic=${quoted}`))).toEqual([]);
    expect((await get(`windows/${quoted}`)).status).toBe(200);
  }
  await stored(3);
});

test("/metrics tells of queries, the sink and the cache", async () => {
  const text = await (await rig.fetch("/metrics")).text();
  expect(text).toMatch(/^esc_sink_events_total\{consumer="events"\} 3$/m);
  expect(text).toMatch(/^esc_sink_lag_events\{consumer="events",lane="batch",shard="0"\} 0$/m);
  expect(text).toMatch(/^esc_store_queries_total [1-9]\d*$/m);
  expect(text).toMatch(/^esc_store_query_errors_total 0$/m);
  expect(text).toMatch(/^esc_cache_requests_total\{result="miss"\} [1-9]\d*$/m);
});
