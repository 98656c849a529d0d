/** Rules, handlers and windows as a user has them: a configuration, the executable, and all the ways to look. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ConfigTree, EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { queryEvents, type StoredEvent } from "./read-log.ts";

const PATIENCE_MS = 30_000;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

/** What these tests look at of an alert. */
interface ShownAlert {
  readonly id: string;
  readonly rule: string;
  readonly severity: string;
  readonly message: string;
  readonly source: string;
  readonly key: string;
}

/** A configuration of `config/examples`, on the test's own ports and folder. */
function example(name: string): ConfigTree {
  const text = readFileSync(join(import.meta.dir, "../../config/examples", name), "utf8");
  const { data: _, ...rest } = Bun.YAML.parse(text) as ConfigTree;
  return rest;
}

async function serve(config: ConfigTree): Promise<EscServer> {
  const server = await EscServer.start({ config });
  cleanups.push(() => server.remove());
  return server;
}

async function send(server: EscServer, topic: string, payload: string, ...args: string[]) {
  const result = await runEsc([
    "send",
    `--port=${server.tcpPort}`,
    `--topic=${topic}`,
    `--payload=${payload}`,
    ...args,
  ]);
  expect(result.stderr).toBe("");
}

async function publish(server: EscServer, topic: string, body: BodyInit) {
  const url = server.url(`/api/v1/publish/${topic}?acks=durable`);
  const response = await fetch(url, { method: "POST", body });
  expect([response.status, await response.text()]).toEqual([200, expect.anything()]);
}

const alertsOf = async (server: EscServer, query = ""): Promise<ShownAlert[]> =>
  (await (await fetch(server.url(`/api/v1/alerts${query}`))).json()).alerts;

/** Asks until the answer satisfies; fails with the last answer. */
async function until<T>(ask: () => Promise<T>, isGood: (answer: T) => boolean): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (isGood(answer)) return answer;
    if (performance.now() > deadlineMs) throw new Error(`it stays at ${JSON.stringify(answer)}`);
    await Bun.sleep(20);
  }
}

const shown = (events: readonly StoredEvent[]) =>
  events.map(({ topic, priority, payload }) => [topic, priority, payload]);

/** Events of a topic pattern, once there are so many. */
const eventsUntil = (server: EscServer, topic: string, count: number) =>
  until(() => queryEvents(server, topic), (events) => events.length >= count);

test(
  "rules.yaml: every action and every stateful form, seen on topics, in the API, the DLQ and the metrics",
  async () => {
    const config = example("rules.yaml");
    const rules = sectionOf(config, "rules");
    const silent = { ...sectionOf(rules, "silent"), absence: { for: "300ms" } };
    const server = await serve({ ...config, rules: { ...rules, silent } });
    const stream = await alertStream(server, "?rule=probed-card");
    const reading = (celsius: number) => JSON.stringify({ celsius });
    await send(server, "sensor.test.temperature", reading(99));
    await send(server, "sensor.mixer.temperature", reading(95), "--key=k", "--header=site=Ulm");
    await send(server, "sensor.mixer.temperature", reading(96));
    await send(server, "sensor.mixer.temperature", reading(-300));
    await send(server, "sensor.mixer.temperature", `{"celcius": 99}`);
    await send(server, "legacy.orders", "as it was");
    await send(server, "login.failed", `{"user":"eve"}`, "--count=21");
    await send(server, "card.payment", `{"amount":1}`, "--key=4711");
    await send(server, "card.payment", `{"amount":2000}`, "--key=4712");
    await send(server, "card.payment", `{"amount":3000}`, "--key=4711");
    for (const percent of [91, 95, 80, 92, 69, 93]) {
      await send(server, "tank.1.level", JSON.stringify({ percent }));
    }
    await send(server, "heartbeat.mixer", "1");

    const alerts = await until(() => alertsOf(server), (all) => all.length >= 6);
    expect(alerts.map(({ rule, severity, key }) => [rule, severity, key]).sort()).toEqual([
      ["guessing", "WARNING", "eve"],
      ["overheated", "CRITICAL", ""],
      ["probed-card", "CRITICAL", "4711"],
      ["silent", "EMERGENCY", "heartbeat.mixer"],
      ["tank-full", "WARNING", "tank.1.level"],
      ["tank-full", "WARNING", "tank.1.level"],
    ]);
    expect(alerts.find(({ rule }) => rule === "overheated")?.message).toBe("mixer is at 95 C");
    expect((await alertsOf(server, "?severity=EMERGENCY")).map(({ rule }) => rule)).toEqual(["silent"]);
    expect(await stream.next()).toEqual(alerts.find(({ rule }) => rule === "probed-card") ?? null);
    stream.close();
    // The same alerts, from the store, and on their topic.
    const stored = async () => (await (await fetch(server.url("/api/v1/query/alerts"))).json()).alerts;
    expect(idsOf(await until(stored, (all) => all.length >= 6))).toEqual(idsOf(alerts));
    const published = await eventsUntil(server, "alerts.>", 6);
    expect(idsOf(published.map(({ payload }) => JSON.parse(payload)))).toEqual(idsOf(alerts));

    const hot = (celsius: number, fahrenheit: number) => [
      "hot.mixer",
      4,
      JSON.stringify({ celsius, fahrenheit, machine: "mixer" }),
    ];
    expect(shown(await eventsUntil(server, "hot.>", 2))).toEqual([hot(95, 203), hot(96, 204.8)]);
    expect(shown(await eventsUntil(server, "archive.>", 1))).toEqual([[
      "archive.legacy.orders",
      2,
      "as it was",
    ]]);
    const letters = await runEsc(["--json", "dlq", "list", `--http-port=${server.httpPort}`]);
    const dead = letters.stdout.trim().split("\n").map((line) => JSON.parse(line));
    expect(dead.map(({ reason, topic }) => [reason, topic])).toEqual([
      ["processing_failed", "sensor.mixer.temperature"],
    ]);
    const metrics = await until(
      async () => (await fetch(server.url("/metrics"))).text(),
      (text) => text.includes(`esc_rule_fired_total{rule="silent"} 1`),
    );
    expect(metrics).toContain(`esc_rule_fired_total{rule="overheated"} 2`);
    expect(metrics).toContain(`esc_alerts_total{rule="tank-full",severity="WARNING"} 2`);
    // 20 of 21 failures made two alerts, the second within the cooldown.
    expect(metrics).toContain(`esc_rule_fired_total{rule="guessing"} 2`);
    expect(await server.stop()).toBe(0);
  },
  60_000,
);

test("a rule that cannot be evaluated says so once, with the reason, and the event goes on", async () => {
  const server = await serve({
    rules: {
      typo: { topics: "in", when: "payload.celcius > 80", drop: true },
      copy: { topics: "in", publish: { topic: "out" } },
    },
  });
  await send(server, "in", `{"celsius":90}`, "--count=50");
  expect(await eventsUntil(server, "out", 50)).toHaveLength(50);
  expect(await server.logged(/Rule typo cannot judge/)).toContain("No such key: celcius");
  const metrics = await until(
    async () => (await fetch(server.url("/metrics"))).text(),
    (text) => text.includes(`esc_rule_failures_total{rule="typo"} 50`),
  );
  expect(metrics).toContain(`esc_rule_fired_total{rule="copy"} 50`);
}, 60_000);

test("handlers.yaml: the four built-in handlers, on both sides of each of their limits", async () => {
  const server = await serve(example("handlers.yaml"));
  for (const value of [80, 81, 100, 101, 150, 151]) {
    await send(server, `sensors.t${value}.temperature`, String(value));
  }
  for (const value of [150, 151, 200, 201]) {
    await send(server, `sensors.p${value}.pressure`, JSON.stringify({ pressure: value }));
  }
  const amount = (value: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return bytes;
  };
  for (const value of [0, 1, 1_000_000, 1_000_001]) await publish(server, "payments.card", amount(value));
  await publish(server, "payments.card", new Uint8Array(3));
  await send(server, "audit.login", "somebody came");
  await publish(server, "audit.login", "");

  const alerts = await until(() => alertsOf(server), (all) => all.length >= 7);
  expect(alerts.map(({ rule, severity, key }) => `${rule} ${severity} ${key}`).sort()).toEqual([
    "pressure EMERGENCY sensors.p201.pressure",
    "pressure WARNING sensors.p151.pressure",
    "pressure WARNING sensors.p200.pressure",
    "temperature CRITICAL sensors.t101.temperature",
    "temperature CRITICAL sensors.t150.temperature",
    "temperature WARNING sensors.t100.temperature",
    "temperature WARNING sensors.t81.temperature",
  ]);
  const dead = await until(async () => {
    const letters = await runEsc(["--json", "dlq", "list", `--http-port=${server.httpPort}`]);
    return letters.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }, (lines) => lines.length >= 5);
  expect(dead.map(({ error }) => error).sort()).toEqual([
    "Audit record is empty",
    "Payment of 1000001 is above 1000000",
    "Payment of 3 bytes has no amount",
    "Payment of nothing",
    "Temperature 151 is above 150",
  ]);
}, 60_000);

test(
  "windows.yaml: results close by the clock alone, are stored, corrected, and what is late has its topic",
  async () => {
    const config = example("windows.yaml");
    const windows = sectionOf(config, "windows");
    const soon = { idle_timeout: "200ms", max_out_of_orderness: "0ms" };
    const server = await serve({
      ...config,
      windows: {
        ...windows,
        revenue: { ...sectionOf(windows, "revenue"), ...soon, tumbling: "1s" },
        trend: { ...sectionOf(windows, "trend"), ...soon, hopping: { size: "2s", every: "1s" } },
        visits: { ...sectionOf(windows, "visits"), ...soon, session: "500ms" },
        payments: { ...sectionOf(windows, "payments"), count: 2, interval: "50ms" },
      },
    });
    const startUs = Math.floor(Date.now() / 1000) * 1_000_000;
    // In one request: the clock must not come between them.
    const publishAll = async (
      topic: string,
      payloads: readonly (readonly [payload: unknown, atMs: number])[],
    ) => {
      const events = payloads.map(([payload, atMs]) => ({ topic, payload, time_us: startUs + atMs * 1000 }));
      const response = await fetch(server.url("/api/v1/publish?acks=durable"), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(events),
      });
      expect([response.status, await response.text()]).toEqual([200, expect.anything()]);
    };
    const order = (amount: number, user: string) => ({ product: "p1", amount, user });
    await publishAll("orders.web", [[order(10, "u1"), 0], [order(30, "u2"), 20], [order(20, "u1"), 10]]);
    const rows = async (name: string) =>
      (await (await fetch(server.url(`/api/v1/windows/${name}`))).json()).windows;
    // No further event comes: time goes on by the clock.
    const [revenue] = await until(() => rows("revenue"), (found) => found.length === 1);
    expect(revenue).toEqual({
      key: "p1",
      start_us: startUs,
      end_us: startUs + 1_000_000,
      count: 3,
      sum: 60,
      min: 10,
      max: 30,
      result: {
        count: 3,
        orders: 3,
        revenue: 60,
        smallest: 10,
        largest: 30,
        average: 20,
        spread: 10,
        median: expect.closeTo(20, 0),
        p99: expect.closeTo(30, 0),
        buyers: 2,
        "best-buyers": [{ value: "u1", count: 2 }, { value: "u2", count: 1 }],
        opening: 10,
        closing: 30,
        revision: 1,
        closed: true,
      },
    });
    const [told] = await eventsUntil(server, "window.revenue", 1);
    expect(JSON.parse(told?.payload ?? "")).toMatchObject({ window: "revenue", key: "p1", revenue: 60 });
    // Two windows of the trend hold them; a late event corrects both, and is too late for the revenue.
    await until(() => rows("trend"), (found) => found.length === 2);
    await publishAll("orders.web", [[order(5, "u3"), 30]]);
    const trend = await until(() => rows("trend"), (found) => found.every(({ sum }: Row) => sum === 65));
    expect(trend.map(({ count, result }: Row) => [count, result.revision])).toEqual([[4, 2], [4, 2]]);
    const [late] = await eventsUntil(server, "orders-late", 1);
    expect(JSON.parse(late?.payload ?? "")).toEqual({ product: "p1", amount: 5, user: "u3" });
    expect((await rows("revenue"))[0].sum).toBe(60);

    const page = (name: string) => ({ user: "u1", page: name });
    await publishAll("shop.page", [[page("/"), 0]]);
    await eventsUntil(server, "window.visits", 1);
    await publishAll("shop.page", [[page("/cart"), 100]]);
    const [visit] = await until(() => rows("visits"), ([row]) => row?.result.closed === true);
    expect([visit.count, visit.start_us, visit.end_us, visit.result["last-page"]]).toEqual([
      2,
      startUs,
      startUs + 600_000,
      "/cart",
    ]);
    // The session has grown: of what was told on the way, one row is left.
    expect(await rows("visits")).toHaveLength(1);
    await publishAll("payments.card", [[{ amount: 1 }, 0], [{ amount: 2 }, 1], [{ amount: 3 }, 2]]);
    const payments = await until(() => rows("payments"), (found) => found.length === 2);
    expect(payments.map(({ sum, result }: Row) => [sum, result.closed])).toEqual([[3, true], [3, false]]);
    const unknown = await fetch(server.url("/api/v1/windows/revenu"));
    expect([unknown.status, (await unknown.json()).detail]).toEqual([
      404,
      `There is no window "revenu"; there are revenue, trend, visits, payments`,
    ]);
    expect(await server.stop()).toBe(0);
  },
  60_000,
);

test("a webhook gets the alerts; what it has not taken is sent by the next process", async () => {
  const taken: string[] = [];
  let isDown = true;
  const endpoint = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      if (isDown) return new Response(null, { status: 503 });
      const alert: { id: string; text: string } = await request.json();
      expect(request.headers.get("idempotency-key")).toBe(alert.id);
      taken.push(alert.text);
      return new Response();
    },
  });
  cleanups.push(() => endpoint.stop(true));
  const config = {
    rules: { hot: { topics: "in", alert: { severity: "critical", message: "{payload}", cooldown: "0s" } } },
    alerts: { webhooks: [{ url: `http://127.0.0.1:${endpoint.port}/hook`, headers: { "x-token": "t" } }] },
  };
  const first = await serve(config);
  await send(first, "in", "1");
  await send(first, "in", "2");
  await first.logged(/Webhook 127.0.0.1:\d+ does not take alerts, which wait: status 503/);
  await until(() => alertsOf(first), (all) => all.length === 2);
  expect(await first.stop()).toBe(0);
  isDown = false;
  await EscServer.start({ folder: first.folder, config }).then((second) =>
    cleanups.push(() => second.remove())
  );
  await until(() => Promise.resolve(taken), (texts) => texts.length === 2);
  expect(taken).toEqual(["CRITICAL hot: 1", "CRITICAL hot: 2"]);
}, 60_000);

test("wrong expressions are refused at start and by validate, each with its line and column", async () => {
  const folder = new TemporaryFolder("expressions");
  cleanups.push(() => folder.remove());
  const path = folder.path("wrong.yaml");
  await Bun.write(
    path,
    [
      "rules:",
      "  a:",
      "    topics: x",
      "    when: payload.celsius >> 80",
      "    alert: { message: '{payload.x' }",
      "  b: { topics: x, when: topc == 'x', drop: true }",
      "  c: { topics: x, filter: size(topic) }",
      "  d: { topics: x, publish: { topic: y }, route: z }",
      "  e: { topics: x, when: payload.v > 1 }",
      "windows:",
      "  w:",
      "    topics: x",
      "    tumbling: 1s",
      "    aggregates: { start: count, p: 'p95(topic)', s: summ(payload.v) }",
      "",
    ].join("\n"),
  );
  for (const args of [["config", "validate", path], ["serve", "--config", path]]) {
    const { status, stderr } = await runEsc(args);
    expect(status).toBe(78);
    const lines = stderr.split("\n").filter((line) => line.startsWith(path)).map((line) =>
      line.slice(path.length + 1)
    );
    expect(lines).toEqual([
      "4:11: rules.a.when: Unexpected token: GT, at character 18",
      `5:23: rules.a.alert.message: "{" has no counterpart, at character 1`,
      "6:25: rules.b.when: Unknown variable: topc, at character 1",
      "7:27: rules.c.filter: gives int, not true or false, at character 1",
      "8:49: rules.d has both route and publish: route publishes, too",
      "9:3: rules.e does nothing: give it alert, publish, route, enrich, priority, filter, drop or dead_letter",
      `14:19: "start" is part of every result: give the aggregate another name`,
      "14:36: windows.w.aggregates.p: gives string, not a number, at character 1",
      `14:53: "summ(payload.v)" is no aggregate; did you mean "sum"?; there are count, sum, min, max, avg, first, ` +
      "last, stddev, distinct, p99, top3",
    ]);
  }
}, 60_000);

/** What these tests look at of a window's row. */
interface Row {
  readonly count: number;
  readonly sum: number;
  readonly result: { readonly revision: number; readonly closed: boolean };
}

function sectionOf(config: ConfigTree, name: string): ConfigTree {
  return config[name] as ConfigTree;
}

function idsOf(alerts: readonly { id: string }[]): string[] {
  return alerts.map(({ id }) => id).sort();
}

/** Alerts as they come over SSE. */
async function alertStream(server: EscServer, query: string) {
  const response = await fetch(server.url(`/api/v1/alerts${query}`), {
    headers: { accept: "text/event-stream" },
  });
  if (response.body === null) throw new Error("there is no stream");
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const next = async (): Promise<ShownAlert | null> => {
    for (;;) {
      const data = /^data: (.*)\n\n/m.exec(text)?.[1];
      if (data !== undefined) return JSON.parse(data);
      const { value, done } = await reader.read();
      if (done) return null;
      text += decoder.decode(value, { stream: true });
    }
  };
  return { next, close: () => void reader.cancel() };
}
