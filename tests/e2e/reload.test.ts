/** A running server takes over a changed file, all of it or nothing, and nobody who is connected notices. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { type ConfigTree, EscServer, EXECUTABLE } from "../support/esc.ts";

let server: EscServer;
afterEach(() => server.remove());

interface Reloaded {
  readonly applied: readonly string[];
  readonly needs_restart: readonly string[];
}

/** Writes the server's file anew, with these sections in place of its own. */
function rewrite(sections: ConfigTree): void {
  const path = server.folder.path("config.yaml");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...sections }));
}

async function reload(sections: ConfigTree): Promise<Reloaded> {
  rewrite(sections);
  const answer = await fetch(server.url("/api/v1/control/reload"), { method: "POST" });
  const body = await answer.json();
  if (answer.status !== 200) throw new Error(JSON.stringify(body));
  return body;
}

interface Place {
  readonly lane: string;
  readonly offset: number;
  readonly duplicate?: boolean;
}

async function publish(topic: string, headers: Record<string, string> = {}, body = "x"): Promise<Place> {
  return await (await fetch(server.url(`/api/v1/publish/${topic}`), { method: "POST", headers, body }))
    .json();
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await Bun.sleep(10);
}

async function firstOffset(lane: string): Promise<number> {
  const stats = await (await fetch(server.url("/api/v1/stats"))).json();
  return stats.lanes[lane].shards[0].first_offset;
}

async function metric(series: string): Promise<number> {
  const text = await (await fetch(server.url("/metrics"))).text();
  return Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.split(" ")[1] ?? 0);
}

test("topics, lanes' topics and the topics file decide about the next event", async () => {
  server = await EscServer.start();
  expect([(await publish("a.b")).lane, (await publish("c")).lane, (await publish("d")).lane])
    .toEqual(["batch", "batch", "batch"]);
  writeFileSync(server.folder.path("topics.conf"), "d:CRITICAL\n");
  const { applied, needs_restart } = await reload({
    topics: { "a.*": "transactional" },
    lanes: { realtime: { topics: ["c"] } },
    topics_file: "topics.conf",
  });
  expect(needs_restart).toEqual([]);
  expect(applied).toContain("topics_file");
  // The dispatcher reads its message in the next turn.
  await until(async () => (await publish("a.b")).lane === "transactional");
  expect([(await publish("c")).lane, (await publish("d")).lane]).toEqual(["realtime", "realtime"]);
}, 60_000);

test("dedup.window and retention are those of the file at once", async () => {
  server = await EscServer.start({ config: { log: { segment_bytes: "256KiB", batch_bytes: "64KiB" } } });
  const id = { "Esc-Message-Id": "one" };
  await publish("t", id);
  expect((await publish("t", id)).duplicate).toBe(true);
  for (let index = 0; index < 16; index++) await publish("t", {}, "x".repeat(60_000));
  expect(await firstOffset("batch")).toBe(0);
  const { applied } = await reload({
    dedup: { window: "1s" },
    lanes: { batch: { retention: { max_bytes: "512KiB" } } },
  });
  expect(applied.toSorted()).toEqual(["dedup.window", "lanes.batch.retention.max_bytes"]);
  await until(async () => await firstOffset("batch") > 0);
  await until(async () => (await publish("t", id)).duplicate === undefined);
}, 60_000);

test("auth.udp decides about the next datagram", async () => {
  const sha256 = new Bun.CryptoHasher("sha256").update("esc_token").digest("hex");
  const tokens = [{ name: "all", sha256, publish: [">"], subscribe: [">"], read: [">"], admin: true }];
  server = await EscServer.start({ config: { auth: { enabled: true, tokens } } });
  const frame = Buffer.from([0, 0, 0, 5, 2, 0, 1, 0x74, 0x78]);
  const socket = createSocket("udp4");
  const headers = { authorization: "Bearer esc_token" };
  const counted = async (series: string) => {
    const text = await (await fetch(server.url("/metrics"), { headers })).text();
    return Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.split(" ")[1] ?? 0);
  };
  const send = () => socket.send(frame, server.udpPort, "127.0.0.1");
  send();
  await until(async () => await counted('esc_events_rejected_total{reason="unauthorized"}') === 1);
  rewrite({ auth: { enabled: true, tokens, udp: { sources: ["127.0.0.1"], publish: ["t"] } } });
  const answer = await fetch(server.url("/api/v1/control/reload"), { method: "POST", headers });
  expect((await answer.json() as Reloaded).applied.toSorted()).toEqual([
    "auth.udp.publish",
    "auth.udp.sources",
  ]);
  await until(async () => {
    send();
    return await counted('esc_events_accepted_total{lane="transactional"}') > 0;
  });
  socket.close();
}, 60_000);

test("logging.level is taken over, and debug can be taken back", async () => {
  server = await EscServer.start();
  await reload({ logging: { format: "json", level: "error" } });
  const before = server.log;
  await fetch(server.url("/api/v1/control/pause"), { method: "POST" });
  await fetch(server.url("/api/v1/control/resume"), { method: "POST" });
  await reload({ logging: { format: "json", level: "info" } });
  expect(server.log.slice(before.length)).not.toContain("lanes paused");
  expect(server.log.slice(before.length)).toContain('"applied":["logging.level"]');
}, 60_000);

test("what needs a restart is said each time, is not half done, and is not shown as in effect", async () => {
  server = await EscServer.start();
  const wanted = {
    topics: { "a.>": "audit" },
    lanes: { audit: { priorities: ["CRITICAL"] }, transactional: { shards: 3 } },
    shutdown_timeout: "7s",
  };
  const first = await reload(wanted);
  expect(first.applied).toEqual([]);
  for (
    const key of ["topics.a.>.lane", "lanes.audit.topics", "lanes.transactional.shards", "shutdown_timeout"]
  ) {
    expect(first.needs_restart).toContain(key);
  }
  expect(await reload(wanted)).toEqual(first);
  expect(JSON.parse(await server.logged(/"needs_restart":\["/)).needs_restart).toEqual(first.needs_restart);
  expect((await publish("a.b")).lane).toBe("batch");
  expect((await publish("now", { "Esc-Priority": "CRITICAL" })).lane).toBe("realtime");
  const shown = await (await fetch(server.url("/api/v1/config"))).json();
  expect([shown.shutdown_timeout, shown.lanes.transactional.shards, shown.lanes.audit]).toEqual([
    "10s",
    1,
    undefined,
  ]);
}, 60_000);

test(
  "a file with a problem changes nothing: 400 with its place, one line in the log, the server goes on",
  async () => {
    server = await EscServer.start();
    rewrite({ topics: { t: "realtime" }, lanes: { batch: { overflo: "block" } } });
    const answer = await fetch(server.url("/api/v1/control/reload"), { method: "POST" });
    expect(answer.status).toBe(400);
    expect((await answer.json()).detail).toContain(
      'unknown key "overflo" in lanes.batch; did you mean "overflow"?',
    );
    expect((await publish("t")).lane).toBe("batch");
    const seen = server.log.length;
    server.signal("SIGHUP");
    await until(async () => server.log.length > seen && server.log.endsWith("\n"));
    const line = JSON.parse(server.log.slice(seen).trim());
    expect(line).toMatchObject({
      level: "error",
      msg: "configuration not reloaded, everything stays as it is",
    });
    expect(line.reason).toContain("overflo");
  },
  60_000,
);

test("reloads that come together follow each other, and no connection ends", async () => {
  server = await EscServer.start();
  const stream = await fetch(server.url("/api/v1/subscribe?topics=line"));
  const reader = stream.body?.getReader();
  await reader?.read();
  const sending = Bun.spawn(
    [EXECUTABLE, "send", "--port", String(server.tcpPort), "--topic", "line", "--acks", "durable", "-"],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  sending.stdin.write("before\n");
  await sending.stdin.flush();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"payload":"before"');
  rewrite({ topics: { line: "HIGH" }, dedup: { window: "2h" } });
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => fetch(server.url("/api/v1/control/reload"), { method: "POST" })),
  );
  const applied = (await Promise.all(answers.map((each) => each.json()))).map((body: Reloaded) =>
    body.applied
  );
  // One of them has done it; to the others there was nothing left.
  expect(applied.map((keys) => keys.length).toSorted()).toEqual([0, 0, 0, 0, 2]);
  sending.stdin.write("after\n");
  await sending.stdin.end();
  expect(await sending.exited).toBe(0);
  expect(await new Response(sending.stdout).text()).toContain("sent 2, acknowledged 2, errors 0");
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"payload":"after"');
  expect(await metric('esc_connections{listener="tcp"}')).toBe(0);
  await reader?.cancel();
}, 60_000);
