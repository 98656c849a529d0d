/** The control plane of the executable: what it does under load, what an operator does, and what is late. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { EscServer } from "../support/esc.ts";
import { Blaster } from "./blaster.ts";

/** Waits are for conditions; this long is a failure. */
const WAIT_MS_MAX = 60_000;

let server: EscServer | undefined;
const blasters: Blaster[] = [];
afterEach(async () => {
  await Promise.all(blasters.splice(0).map((blaster) => blaster.stop()));
  await server?.remove();
});

interface Stats {
  readonly events: Readonly<Record<string, number>>;
  readonly lanes: Readonly<Record<string, { readonly state: string }>>;
  readonly pipeline: { readonly state: string; readonly health: string; readonly reasons: readonly string[] };
}

async function answer<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(server?.url(path) ?? "", init);
  return await response.json() as T;
}

const stats = () => answer<Stats>("/api/v1/stats");
const control = (verb: string) => answer<Stats["pipeline"]>(`/api/v1/control/${verb}`, { method: "POST" });

async function publish(topic: string, priority: number, acks = "durable"): Promise<number> {
  const response = await fetch(server?.url(`/api/v1/publish/${topic}?acks=${acks}`) ?? "", {
    method: "POST",
    headers: { "esc-priority": `${priority}` },
    body: `{"n":${priority}}`,
  });
  await response.text();
  return response.status;
}

async function until<T>(look: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const value = await look();
    if (isDone(value)) return value;
    if (performance.now() > deadlineMs) throw new Error(`still ${JSON.stringify(value)}\n${server?.log}`);
  }
}

async function deadLetters(reason: string): Promise<number> {
  const text = await (await fetch(server?.url("/metrics") ?? "")).text();
  return Number(new RegExp(`esc_dlq_events_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1]);
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(server?.url("/metrics") ?? "")).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? NaN);
}

/** Every event is where the books say. */
async function expectBalance(): Promise<void> {
  const ledger = await until(
    () => answer<{ is_settled: boolean; imbalance: number }>("/api/v1/ledger"),
    ({ is_settled }) => is_settled,
  );
  expect(ledger.imbalance).toBe(0);
}

const SMALL_QUEUES = {
  realtime: { queue_bytes: "256KiB" },
  transactional: { shards: 1, queue_bytes: "256KiB" },
  batch: { queue_bytes: "256KiB", durability: "fsync" },
};

test(
  "too many BATCH events: they are shed into the DLQ, CRITICAL ones are taken, and it recovers",
  async () => {
    server = await EscServer.start({
      config: {
        ingestion: { max_frame_bytes: "64KiB" },
        lanes: SMALL_QUEUES,
        control: { health_check_interval_sec: "200ms", thresholds: { min_events_for_evaluation: 100 } },
      },
    });
    blasters.push(await Blaster.start(server.tcpPort, "bulk", 0, 500));
    const dropping = await until(stats, ({ pipeline }) => pipeline.state === "DROPPING");
    expect(dropping.pipeline).toMatchObject({ health: "DEGRADED" });
    expect(dropping.pipeline.reasons.length).toBeGreaterThan(0);
    expect(await metric("esc_pipeline_state")).toBe(3);
    await until(() => deadLetters("shed"), (count) => count > 0);
    const critical = await Promise.all(Array.from({ length: 20 }, () => publish("alarm", 4)));
    expect(critical).toEqual(critical.map(() => 200));
    expect(await publish("order", 2)).toBe(200);
    await Promise.all(blasters.splice(0).map((blaster) => blaster.stop()));
    await until(stats, ({ pipeline }) => pipeline.state === "RUNNING" && pipeline.health === "HEALTHY");
    expect(await publish("bulk", 0)).toBe(200);
    await expectBalance();
    // Each decision is said once: no line says what the one before it said.
    const said = [...server.log.matchAll(/"msg":"health ([A-Z]+)"/g)].map(([, level]) => level);
    expect(said).toContain("DEGRADED");
    expect(said.at(-1)).toBe("HEALTHY");
    expect(said.filter((level, index) => level === said[index - 1])).toEqual([]);
    const { alerts } = await answer<{ alerts: { rule: string; message: string }[] }>("/api/v1/alerts");
    expect(alerts.filter(({ rule }) => rule === "control")).not.toHaveLength(0);
  },
  120_000,
);

test(
  "EMERGENCY keeps CRITICAL events going, holds the others' processing, and ends when it is resumed",
  async () => {
    server = await EscServer.start({
      config: {
        ingestion: { max_frame_bytes: "64KiB" },
        lanes: { ...SMALL_QUEUES, realtime: { queue_bytes: "256KiB", durability: "fsync" } },
        control: {
          health_check_interval_sec: "200ms",
          thresholds: { min_events_for_evaluation: 100, max_drop_rate: 0.001 },
          policies: { auto_resume: false },
        },
        rules: {
          order: { topics: "order", alert: { message: "order", cooldown: "0s" } },
          alarm: { topics: "alarm", alert: { message: "alarm", cooldown: "0s" } },
        },
      },
    });
    blasters.push(await Blaster.start(server.tcpPort, "noise", 3, 500));
    await until(stats, ({ pipeline }) => pipeline.state === "EMERGENCY");
    await Promise.all(blasters.splice(0).map((blaster) => blaster.stop()));
    // Without auto_resume it stays so until somebody says otherwise, though nothing is wrong any more.
    const calm = await until(stats, ({ pipeline }) => pipeline.health === "HEALTHY");
    expect(calm.pipeline).toEqual({
      state: "EMERGENCY",
      health: "HEALTHY",
      reasons: ["EMERGENCY until resumed: auto_resume is off"],
    });
    expect([calm.lanes["transactional"]?.state, calm.lanes["realtime"]?.state]).toEqual([
      "paused",
      "running",
    ]);

    const before = { emergency: await deadLetters("emergency_drop"), shed: await deadLetters("shed") };
    expect(await publish("noise", 3)).toBe(429);
    expect(await publish("bulk", 0)).toBe(429);
    expect(await deadLetters("emergency_drop")).toBe(before.emergency + 1);
    expect(await deadLetters("shed")).toBe(before.shed + 1);
    // A lane that blocks loses nothing: the event is stored, and not processed.
    expect(await publish("order", 2)).toBe(200);
    expect(await publish("alarm", 4)).toBe(200);
    const rules = async () => {
      const { alerts } = await answer<{ alerts: { rule: string }[] }>("/api/v1/alerts");
      return alerts.map(({ rule }) => rule);
    };
    await until(rules, (raised) => raised.includes("alarm"));
    expect(await rules()).not.toContain("order");

    expect(await control("resume")).toEqual({ state: "RUNNING", health: "HEALTHY", reasons: [] });
    await until(rules, (raised) => raised.includes("order"));
    expect([await publish("noise", 3), await publish("bulk", 0)]).toEqual([200, 200]);
    await expectBalance();
  },
  120_000,
);

test("an operator's pause goes first: nothing is judged, shed or lost until it is resumed", async () => {
  server = await EscServer.start({
    config: {
      lanes: { batch: { overflow: "block" } },
      control: {
        health_check_interval_sec: "100ms",
        thresholds: { max_queue_depth: 1, min_events_for_evaluation: 0 },
      },
    },
  });
  expect(await control("pause")).toEqual({ state: "PAUSED", health: "HEALTHY", reasons: [] });
  const waiting = Array.from({ length: 50 }, () => publish("job", 1));
  const lanes = await until(
    () => answer<{ lanes: Record<string, { depth: number; state: string }> }>("/api/v1/stats"),
    ({ lanes }) => (lanes["transactional"]?.depth ?? 0) > 2000,
  );
  expect(lanes.lanes["transactional"]?.state).toBe("paused");
  // Several checks would have been made meanwhile.
  await Bun.sleep(500);
  expect((await stats()).pipeline).toEqual({ state: "PAUSED", health: "HEALTHY", reasons: [] });
  expect((await control("resume")).state).toBe("RUNNING");
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => 200));
  expect(await deadLetters("shed")).toBe(0);
}, 60_000);

test("the keys of control are taken over by a reload", async () => {
  server = await EscServer.start({ config: { control: { health_check_interval_sec: "1h" } } });
  const path = server.folder.path("config.yaml");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.control = { health_check_interval_sec: "100ms", policies: { verbose_logging: true } };
  writeFileSync(path, JSON.stringify(config));
  const reloaded = await answer<{ applied: string[]; needs_restart: string[] }>("/api/v1/control/reload", {
    method: "POST",
  });
  expect(reloaded.applied).toContain("control.policies.verbose_logging");
  const line = JSON.parse(await server.logged(/"msg":"health check"/));
  expect(line).toMatchObject({ health: "HEALTHY", queue_percent: 0, drop_percent: 0 });
}, 60_000);

test("events of the realtime lane that are late are counted, and alert once per cooldown", async () => {
  server = await EscServer.start({ config: { control: { sla: { max_latency: "10ms", cooldown: "1h" } } } });
  for (let round = 1; round <= 2; round++) {
    await control("pause");
    for (let index = 0; index < 5; index++) expect(await publish("alarm", 4, "accepted")).toBe(200);
    // This is what makes them late.
    await Bun.sleep(30);
    await control("resume");
    await until(() => metric(`esc_sla_late_total{lane="realtime"}`), (late) => late >= round * 5);
  }
  const { alerts } = await answer<{ alerts: { rule: string; severity: string; message: string }[] }>(
    "/api/v1/alerts",
  );
  const late = alerts.filter(({ rule }) => rule === "sla");
  expect(late).toHaveLength(1);
  expect(late[0]).toMatchObject({ severity: "WARNING" });
  expect(late[0]?.message).toMatch(/^SLA breach: \d+ of \d+ events of lane realtime took longer than 10 ms$/);
}, 60_000);
