/** What the executable writes to stderr: for machines, for people, for the journal; and how much of it. */
import { afterEach, expect, test } from "bun:test";
import { openSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { EscServer, EXECUTABLE } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

let server: EscServer | undefined;
let folder: TemporaryFolder | undefined;
afterEach(async () => {
  await server?.remove();
  folder?.remove();
});

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!await isSo()) await Bun.sleep(10);
}

async function postEvents(events: readonly unknown[]): Promise<void> {
  const body = events.map((event) => JSON.stringify(event)).join("\n");
  const headers = { "content-type": "application/x-ndjson" };
  const answer = await fetch(server?.url("/api/v1/publish") ?? "", { method: "POST", headers, body });
  await answer.text();
}

test("events cost no line, whatever becomes of them; each line is one JSON object", async () => {
  server = await EscServer.start();
  const before = server.log.split("\n").length;
  await postEvents(
    Array.from({ length: 2000 }, (_, index) => ({ topic: "t", payload: index, id: `i${index % 500}` })),
  );
  const refused = Array.from({ length: 200 }, () => ({ topic: "", payload: "no topic" }));
  await postEvents(refused);
  // Plain frames with unknown bits in their heads, and at last a length that is none.
  const bad = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from([0, 0, 0, 4, 0x18, 0, 1, 0x74])));
  await new Promise((resolve) => {
    const socket = connect(
      server?.tcpPort ?? 0,
      "127.0.0.1",
      () => socket.write(Buffer.concat([bad, Buffer.alloc(4, 255)])),
    );
    socket.on("close", resolve).on("error", () => {}).resume();
  });
  expect(await server.stop()).toBe(0);
  const lines = server.log.trimEnd().split("\n");
  for (const line of lines) {
    expect(Object.keys(JSON.parse(line)).slice(0, 3)).toEqual(["time", "level", "msg"]);
  }
  expect(lines.length - before).toBeLessThan(10);
}, 60_000);

test("alerts without end are lines with an end, and the rest is counted", async () => {
  server = await EscServer.start({
    config: {
      rules: {
        every: { topics: "t", alert: { severity: "info", message: "n {payload}\n{topic}", cooldown: "0s" } },
      },
    },
  });
  await postEvents(Array.from({ length: 200 }, (_, index) => ({ topic: "t", payload: index })));
  await until(async () => {
    const metrics = await (await fetch(server?.url("/metrics") ?? "")).text();
    return metrics.includes('esc_alerts_total{rule="every",severity="INFO"} 200');
  });
  expect(await server.stop()).toBe(0);
  const lines = server.log.trimEnd().split("\n").map((line) => JSON.parse(line));
  const alerts = lines.filter(({ msg }) => msg.startsWith("alert every: "));
  const told = [...alerts, ...lines.filter(({ like }) => like?.startsWith("alert every: "))]
    .reduce((sum, { suppressed = 0 }) => sum + suppressed, 0);
  expect(alerts.length).toBeLessThan(200);
  expect(alerts.length + told).toBe(200);
}, 60_000);

test("text on the journal's socket has priorities in place of times", async () => {
  folder = new TemporaryFolder("journal");
  const path = folder.path("stderr");
  const stderr = openSync(path, "w");
  const { dev, ino } = statSync(path);
  const args = ["serve", "--config", folder.path("c.yaml")];
  const address = "{host: 127.0.0.1, port: 0}";
  await Bun.write(
    folder.path("c.yaml"),
    `{ingestion: {tcp: ${address}, udp: ${address}}, http: ${address}, grpc: ${address}, data: {dir: ${
      folder.path("d")
    }}}`,
  );
  const env = { PATH: Bun.env["PATH"] ?? "", JOURNAL_STREAM: `${dev}:${ino}` };
  const served = Bun.spawn([EXECUTABLE, ...args], { stdin: "ignore", stdout: "ignore", stderr, env });
  await until(() => readFileSync(path, "utf8").includes("ready"));
  served.kill("SIGTERM");
  expect(await served.exited).toBe(0);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  expect(lines[0]).toMatch(/^<6>INFO {2}ready version=/);
  expect(lines.at(-1)).toBe("<6>INFO  stopped");
}, 60_000);

test("who inherits JOURNAL_STREAM and writes elsewhere writes plain text", async () => {
  server = await EscServer.start({ env: { JOURNAL_STREAM: "1:2" } });
  expect(await server.stop()).toBe(0);
  expect(server.log).toMatch(/^\{/);
}, 60_000);
