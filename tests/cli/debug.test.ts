import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const SECRET = "a-secret-that-nobody-may-see";
const PAYLOAD = "a-payload-that-nobody-may-see";

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder("debug");
});
afterEach(() => folder.remove());

/** Unpacks with the system's own tar. @returns Path below the bundle's folder → text. */
function unpack(bundle: string): Map<string, string> {
  const run = (...args: string[]) => Bun.spawnSync(["tar", ...args], { cwd: folder.root }).stdout.toString();
  const names = run("tzf", bundle).trim().split("\n");
  run("xzf", bundle);
  return new Map(
    names.map((name) => [name.slice(name.indexOf("/") + 1), readFileSync(folder.path(name), "utf8")]),
  );
}

test(
  "debug bundle holds what a server answers, hides secrets and payloads, and only its owner may read it",
  async () => {
    writeFileSync(folder.path("redis"), `redis://:${SECRET}@127.0.0.1:1/0`);
    const server = await EscServer.start({
      config: { store: { topics: ["d.>"] }, cache: { redis: `\${file:${folder.path("redis")}}` } },
    });
    try {
      const ports = [`--port=${server.tcpPort}`];
      await runEsc(["send", "--topic=d.x", `--payload=${PAYLOAD}`, "--acks=durable", ...ports]);
      const out = folder.path("bundle.tar.gz");
      const config = server.folder.path("config.yaml");
      const made = await runEsc([
        "debug",
        "bundle",
        "--json",
        `--out=${out}`,
        `--config=${config}`,
        `--http-port=${server.httpPort}`,
      ]);
      expect([made.status, made.stderr]).toEqual([0, ""]);
      expect(statSync(out).mode & 0o777).toBe(0o600);
      const files = unpack(out);
      expect(JSON.parse(made.stdout)).toMatchObject({ path: out, files: files.size });
      expect([...files.keys()].filter((path) => path.endsWith(".error"))).toEqual([]);
      expect(JSON.parse(files.get("server/stats.json") ?? "")).toMatchObject({ events: { received: 1 } });
      expect(files.get("server/topics.json")).toContain("d.x");
      expect(files.get("server/metrics-2.txt")).toContain("esc_events_received_total");
      expect(files.get("data-files.jsonl")).toContain(".log");
      expect(files.get("config.yaml")).toContain("redis:");
      const everything = [...files.values()].join("\n");
      expect([everything.includes(SECRET), everything.includes(PAYLOAD)]).toEqual([false, false]);
    } finally {
      await server.remove();
    }
  },
  60_000,
);

test("without a server, the bundle says so for each question, and has the rest", async () => {
  const out = folder.path("bundle.tar.gz");
  const { status, stderr } = await runEsc(["debug", "bundle", `--out=${out}`, "--http-port=1"]);
  expect([status, stderr]).toEqual([0, "the server did not answer 10 of 10 questions\n"]);
  const files = unpack(out);
  expect(files.get("server/stats.json.error")).toContain("127.0.0.1:1");
  expect(files.get("machine/doctor.jsonl")).toContain("disk.sync");
  const again = await runEsc(["debug", "bundle", `--out=${out}`, "--http-port=1"]);
  expect([again.status, again.stderr]).toEqual([2, expect.stringContaining("Cannot write")]);
}, 60_000);
