import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { Finding } from "../../cli/doctor/finding.ts";
import { EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder("doctor");
});
afterEach(() => folder.remove());

const ANY_PORT = { host: "127.0.0.1", port: 0 };

function configFile(changes: object = {}): string {
  const path = folder.path("config.yaml");
  const config = {
    ingestion: { tcp: ANY_PORT, udp: ANY_PORT },
    http: ANY_PORT,
    grpc: ANY_PORT,
    data: { dir: folder.path("data") },
    ...changes,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

async function findings(...args: string[]): Promise<{ status: number; by: Map<string, Finding> }> {
  const { status, stdout } = await runEsc(["doctor", "--json", ...args]);
  const all = stdout.trim().split("\n").map((line): Finding => JSON.parse(line));
  return { status, by: new Map(all.map((finding) => [finding.check, finding])) };
}

test("a healthy machine: every check is told of, capacity is measured, nothing is left behind", async () => {
  const { status, by } = await findings("--config", configFile());
  expect(status).toBe(0);
  for (const check of ["config", "port.tcp", "port.udp", "port.http", "port.grpc", "disk.space"]) {
    expect([check, by.get(check)?.status]).toEqual([check, "ok"]);
  }
  for (const check of ["memory", "processors", "limits.descriptors", "clock.source", "disk.file_system"]) {
    expect(by.get(check)?.detail).toMatch(/\w/);
  }
  expect(by.get("disk.sync")?.detail).toMatch(
    /^fdatasync of 4 KiB: p50 \d+ us, p99 \d+ us; of 1 MiB: \d+ MB\/s$/,
  );
  expect(by.get("capacity.durable")?.detail).toMatch(/^[\d.]+ [kM] events\/s durable, 128-byte payloads/);
  expect(readdirSync(folder.root)).toEqual(["config.yaml"]);
}, 60_000);

test("a port that somebody has is a failure, unless it is esc that runs there", async () => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  const address = squatter.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const taken = await findings("--no-capacity", "--config", configFile({ http: { ...ANY_PORT, port } }));
  squatter.close();
  expect(taken.status).toBe(1);
  expect(taken.by.get("port.http")).toMatchObject({ status: "fail", detail: `127.0.0.1:${port} is in use` });

  const server = await EscServer.start();
  try {
    const { httpPort } = server;
    const running = await findings(
      "--no-capacity",
      "--config",
      configFile({ http: { ...ANY_PORT, port: httpPort } }),
    );
    expect(running.status).toBe(0);
    expect(running.by.get("port.http")?.detail).toMatch(/is in use; esc [\d.]+ runs here$/);
  } finally {
    await server.remove();
  }
});

test("what works but should be seen to is a warning with advice", async () => {
  const config = configFile({
    ingestion: { tcp: { ...ANY_PORT, maxConnections: 5000 }, udp: { enable: false } },
    data: { dir: `/dev/shm/esc-doctor-test-${process.pid}` },
    log: { min_free: "64MiB", low_free: "500TiB" },
    lanes: { realtime: { wait: "spin", shards: 64 } },
  });
  const shell = Bun.spawn(
    ["sh", "-c", `ulimit -n 1024; exec "$0" doctor --json --no-capacity --config "$1"`, EXECUTABLE, config],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const all = (await new Response(shell.stdout).text()).trim().split("\n").map((line): Finding =>
    JSON.parse(line)
  );
  expect(await shell.exited).toBe(0);
  const warned = all.filter(({ status, advice }) => status === "warn" && advice !== undefined);
  expect(warned.map(({ check }) => check)).toEqual(
    expect.arrayContaining(["limits.descriptors", "processors", "disk.file_system", "disk.space"]),
  );
});

test("a bad configuration is told of as by esc serve, with status 78", async () => {
  const { status, stderr } = await runEsc(["doctor", "--config", configFile({ datta: {} })]);
  expect(status).toBe(78);
  expect(stderr).toContain('unknown key "datta"');
});
