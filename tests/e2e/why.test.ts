/** `esc why`: each ending that the life of an event can have. */
import { afterEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newToken, tokenHash } from "../../src/auth/token.ts";
import { type ConfigTree, EscServer, runEsc } from "../support/esc.ts";
import { statsUntil } from "./read-log.ts";

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

async function serve(config: ConfigTree = {}, folder?: EscServer["folder"]): Promise<EscServer> {
  const server = await EscServer.start(folder === undefined ? { config } : { config, folder });
  servers.push(server);
  return server;
}

async function publish(server: EscServer, topic: string, headers: Record<string, string> = {}, body = "x") {
  const response = await fetch(server.url(`/api/v1/publish/${topic}`), { method: "POST", headers, body });
  expect([response.status, await response.json()]).toMatchObject([200, {}]);
}

async function why(server: EscServer, ...args: string[]) {
  const { status, stdout, stderr } = await runEsc([
    "--json",
    "why",
    ...args,
    `--http-port=${server.httpPort}`,
  ]);
  return { status, stderr, answer: stdout === "" ? undefined : JSON.parse(stdout) };
}

/** Asks until the answer is the one that will come. */
async function whyUntil(
  server: EscServer,
  event: string,
  isDone: (answer: Answer) => boolean,
): Promise<Answer> {
  const deadlineMs = Date.now() + 20_000;
  for (;;) {
    const { answer } = await why(server, event);
    if (isDone(answer)) return answer;
    if (Date.now() > deadlineMs) throw new Error(`it stays so: ${JSON.stringify(answer)}`);
  }
}

interface Answer {
  readonly events: readonly {
    readonly processing: { readonly state: string };
    readonly store: { readonly state: string };
    readonly consumers: readonly { readonly is_behind: boolean }[];
  }[];
  readonly dead_letters: readonly { readonly is_handled: boolean; readonly offset: number }[];
}

const COURSE: ConfigTree = {
  topics: { "orders.>": { priority: "HIGH" }, "metrics.>": { lane: "batch" } },
  rules: {
    big: { topics: "orders.>", when: "payload.amount > 100", alert: { severity: "info", message: "big" } },
    poison: { topics: "poison", dead_letter: true },
  },
  windows: { per_minute: { topics: "orders.>", tumbling: "1m", aggregates: { n: "count" } } },
  store: { topics: ["orders.>"] },
};

test(
  "esc why tells the way of a stored event: listener, lane and rule, dedup, processing, store, consumers",
  async () => {
    const server = await serve(COURSE);
    const timeUs = Date.parse("2026-03-01T12:00:30Z") * 1000;
    const headers = {
      "esc-message-id": "o-1",
      "esc-key": "k",
      "esc-event-time": String(timeUs),
      "esc-priority": "1",
    };
    await publish(server, "orders.eu", headers, `{"amount":7}`);
    await publish(server, "orders.eu", headers, `{"amount":7}`);
    await publish(server, "metrics.cpu", { "esc-priority": "2" });
    const body = { member: "m", topics: [">"], from: "earliest" };
    const ask = (path: string, json: object) =>
      fetch(server.url(`/api/v1/consumers/billing/${path}`), { method: "POST", body: JSON.stringify(json) });
    const answer = await whyUntil(
      server,
      "o-1",
      ({ events: [event] }) => event?.processing.state === "processed" && event.store.state === "stored",
    );
    expect(answer).toMatchObject({
      ending: "stored",
      dead_letters: [],
      events: [{
        lane: "realtime",
        topic: "orders.eu",
        id: "o-1",
        key: "k",
        time_us: timeUs,
        payload_bytes: 12,
        received: { listener: "http", acks: "durable" },
        route: { priority: 3, lane_now: "realtime", priority_rule: "orders.>" },
        dedup: { state: "remembered" },
        log: { durable: true, visible: true },
        processing: {
          rules: [{ name: "big", has_condition: true }],
          windows: [{ name: "per_minute", spans: [{ start_us: timeUs - 30e6, end_us: timeUs + 30e6 }] }],
        },
      }],
    });
    expect(answer.events).toHaveLength(1);
    const { lane, shard, offset } = (answer.events as unknown[])[0] as {
      lane: string;
      shard: number;
      offset: number;
    };
    // A group reads the logs a little at a time: what is ready is asked for again.
    for (let pulled = 0; pulled < 2;) {
      pulled += (await (await ask("pull", body)).json()).events.length;
    }
    const settled = await ask("settle", { member: "m", done: [{ lane, shard, offset }] });
    expect(await settled.json()).toMatchObject({ done: 1 });
    await whyUntil(server, "o-1", ({ events: [event] }) => event?.consumers[0]?.is_behind === false);
    const { stdout } = await runEsc(["why", `${lane}/${shard}@${offset}`, `--http-port=${server.httpPort}`]);
    expect(stdout).toContain("priority HIGH (topic rule orders.> raises to it)");
    expect(stdout).toContain("billing: has confirmed it");
    expect(stdout).toContain("rule big (on its condition), window per_minute 2026-03-01T12:00:00.000Z");
    const other = await why(server, "batch/0@0");
    expect(other.answer.events[0]).toMatchObject({
      dedup: { state: "no_id" },
      route: { lane_rule: "metrics.>", lane_now: "batch" },
      store: { state: "not_chosen" },
      processing: { rules: [], windows: [] },
    });
  },
  60_000,
);

test(
  "esc why shows the dead letters of an event, by id and by place, and when they were dealt with",
  async () => {
    const server = await serve(COURSE);
    await publish(server, "poison", { "esc-message-id": "bad", "esc-priority": "2" });
    const dead = await whyUntil(server, "bad", ({ dead_letters }) => dead_letters.length > 0);
    expect(dead.dead_letters).toMatchObject([
      { reason: "processing_failed", origin: "transactional/0@0", is_handled: false },
    ]);
    const { answer } = await why(server, "transactional/0@0");
    expect(answer.dead_letters).toEqual(dead.dead_letters);
    expect((await runEsc(["dlq", "purge", "--all", `--http-port=${server.httpPort}`])).status).toBe(0);
    const handled = await why(server, "bad");
    expect(handled.answer.dead_letters).toMatchObject([{ is_handled: true }]);
    const { stdout } = await runEsc(["why", "bad", `--http-port=${server.httpPort}`]);
    expect(stdout).toContain("processing_failed, of transactional/0@0");
    expect(stdout).toContain("requeued or purged");
  },
  60_000,
);

test(
  "esc why says that an event never reached the log of its lane, and that another one was never seen",
  async () => {
    const server = await serve({
      ingestion: { max_frame_bytes: "64KiB" },
      lanes: { transactional: { shards: 1, queue_bytes: "256KiB", overflow: "drop_new" } },
    });
    const unseen = await why(server, "nobody-knows");
    expect(unseen).toMatchObject({
      status: 1,
      stderr: "",
      answer: { ending: "unknown", events: [], dead_letters: [] },
    });
    expect(unseen.answer.explanation).toContain("never received or was refused");
    await fetch(server.url("/api/v1/control/pause"), { method: "POST" });
    let refused = "";
    for (let number = 0; refused === ""; number++) {
      const response = await fetch(server.url("/api/v1/publish/t?acks=accepted"), {
        method: "POST",
        headers: { "esc-priority": "1", "esc-message-id": `id-${number}` },
        body: "f".repeat(8000),
      });
      if (response.status === 429) refused = `id-${number}`;
      await response.text();
    }
    await fetch(server.url("/api/v1/control/resume"), { method: "POST" });
    const answer = await whyUntil(server, refused, ({ dead_letters }) => dead_letters.length > 0);
    expect(answer).toMatchObject({
      events: [],
      explanation: "It has become a dead letter before it reached the log of its lane",
      dead_letters: [{ reason: "queue_full", origin: "transactional/0" }],
    });
    expect((await why(server, refused)).status).toBe(0);
  },
  60_000,
);

test("esc why tells expired from not yet there from damaged, and refuses nonsense", async () => {
  const config = {
    log: { segment_bytes: "64KiB", batch_bytes: "64KiB" },
    lanes: { transactional: { shards: 1, retention: { max_bytes: "128KiB" } } },
  };
  let server = await serve(config);
  for (let round = 0; round < 12; round++) {
    const events = Array.from(
      { length: 4 },
      (_, n) => ({ topic: "t", priority: 1, id: `${round}-${n}`, payload: "f".repeat(8000) }),
    );
    const response = await fetch(server.url("/api/v1/publish"), {
      method: "POST",
      body: JSON.stringify(events),
    });
    expect(response.status).toBe(200);
  }
  const first = (stats: Awaited<ReturnType<typeof statsUntil>>) =>
    (stats.lanes["transactional"]?.shards[0] as { first_offset?: number } | undefined)?.first_offset ?? 0;
  await statsUntil(server, (stats) => first(stats) > 0);
  const expired = await why(server, "transactional/0@0");
  expect(expired).toMatchObject({ status: 1, answer: { ending: "expired" } });
  expect(expired.answer.explanation).toMatch(
    /Retention has removed it: the log of transactional\/0 begins at offset \d+/,
  );
  expect((await why(server, "0-0")).answer).toMatchObject({ ending: "unknown", events: [] });
  expect((await why(server, "11-3")).answer.events).toMatchObject([{ offset: 47, id: "11-3" }]);
  expect((await why(server, "11-3", "--since", "2000000000000000")).answer.events).toEqual([]);
  expect((await why(server, "transactional/0@48")).answer).toMatchObject({ ending: "not_yet" });
  expect((await why(server, "nowhere/0@1")).stderr).toContain("does not exist");
  expect((await why(server, "11-3", "--since", "noon")).status).toBe(2);
  expect((await fetch(server.url("/api/v1/why"))).status).toBe(400);
  expect((await fetch(server.url("/api/v1/why?id=a&cursor=xyz"))).status).toBe(400);

  await server.kill();
  const directory = server.folder.path("data", "log", "transactional", "0");
  const [name = ""] = readdirSync(directory).filter((file) => file.endsWith(".log")).sort();
  const bytes = readFileSync(join(directory, name));
  // In the payload of the segment's first batch.
  bytes[4096] = (bytes[4096] ?? 0) ^ 1;
  writeFileSync(join(directory, name), bytes);
  server = await serve(config, server.folder);
  const { answer } = await why(server, `transactional/0@${Number(name.slice(0, 20))}`);
  expect(answer).toMatchObject({ ending: "damaged", events: [] });
}, 60_000);

test("esc why does not tell of topics that the token may not read", async () => {
  const [admin, reader] = [newToken(), newToken()];
  const server = await serve({
    auth: {
      enabled: true,
      tokens: [
        { name: "admin", sha256: tokenHash(admin), publish: [">"], read: [">"], admin: true },
        { name: "reader", sha256: tokenHash(reader), read: ["orders.>"] },
      ],
    },
  });
  await publish(server, "orders.eu", { authorization: `Bearer ${admin}`, "esc-message-id": "mine" });
  await publish(server, "secret", { authorization: `Bearer ${admin}`, "esc-message-id": "theirs" });
  expect((await why(server, "mine", "--token", reader)).answer.events).toHaveLength(1);
  expect((await why(server, "theirs", "--token", reader)).answer).toMatchObject({
    ending: "unknown",
    events: [],
  });
  expect((await why(server, "theirs", "--token", admin)).answer.events).toHaveLength(1);
  expect((await why(server, "mine")).status).toBe(1);
}, 60_000);
