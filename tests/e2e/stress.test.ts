import { afterAll, beforeAll, expect, test } from "bun:test";
import { type CommandResult, EscServer, runEsc } from "../support/esc.ts";
import { isBalanced, statsUntil } from "./read-log.ts";

/** `ESC_DRILL=1` asks for the full size. */
const EVENTS = process.env["ESC_DRILL"] === "1" ? 100_000 : 5_000;
const CLIENTS = 10;

/** Where lanes drop when they are full: what is under way at most fits into each of them. */
const FITS = "--in-flight=512";

let server: EscServer;

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

function stress(...args: string[]): Promise<CommandResult> {
  return runEsc(["stress", `--port=${server.tcpPort}`, `--http-port=${server.httpPort}`, "--json", ...args]);
}

function verified(result: CommandResult): Record<string, unknown> {
  expect([result.status, result.stderr]).toEqual([0, ""]);
  const report = JSON.parse(result.stdout);
  expect(report.verify).toMatchObject({
    expected: CLIENTS * EVENTS,
    found: CLIENTS * EVENTS,
    missing: 0,
    doubled: 0,
    out_of_order: 0,
    damaged: 0,
  });
  return report;
}

test.each(["durable", "accepted", "none"])(
  "stress --acks %s --verify finds every event again",
  async (acks) => {
    const lossless = ["--priority=low"]; // The lane that never drops: "block".
    const result = await stress(
      `--clients=${CLIENTS}`,
      `--events=${EVENTS}`,
      `--acks=${acks}`,
      "--verify",
      ...lossless,
    );
    expect(verified(result)).toMatchObject({ sent: CLIENTS * EVENTS, errors: 0, ledger: { balanced: true } });
  },
  120_000,
);

test("stress --verify needs no HTTP: it reads back over TCP, and leaves out the counters", async () => {
  const result = await runEsc([
    "stress",
    `--port=${server.tcpPort}`,
    "--http-port=1",
    "--json",
    "--clients=2",
    "--events=500",
    "--verify",
    "--priority=low",
  ]);
  expect(result.status).toBe(0);
  expect(result.stderr).toContain("--http-port names the port");
  expect(JSON.parse(result.stdout)).toMatchObject({
    verify: { expected: 1000, found: 1000, missing: 0, doubled: 0, out_of_order: 0, damaged: 0 },
    ledger: null,
  });
}, 120_000);

test("stress --acks durable --verify over all lanes finds every event again", async () => {
  const report = verified(
    await stress(`--clients=${CLIENTS}`, `--events=${EVENTS}`, "--acks=durable", "--verify", FITS),
  );
  expect(report).toMatchObject({ acknowledged: CLIENTS * EVENTS, errors: 0, ledger: { balanced: true } });
}, 120_000);

test("so it does while datagrams come in, and the counters add up afterwards", async () => {
  const load = runEsc([
    "stress",
    "--udp",
    `--port=${server.udpPort}`,
    "--clients=2",
    `--events=${EVENTS * 4}`,
    "--rate=40000",
    "--json",
  ]);
  verified(
    await stress(
      `--clients=${CLIENTS}`,
      `--events=${EVENTS}`,
      "--acks=durable",
      "--verify",
      "--size=300",
      FITS,
    ),
  );
  const { status, stdout } = await load;
  expect([status, JSON.parse(stdout).sent]).toEqual([0, EVENTS * 8]);
  await statsUntil(server, isBalanced);
}, 120_000);

test("--verify tells a run from all others: what was there before is not counted", async () => {
  const first = JSON.parse((await stress("--clients=2", "--events=100", "--verify")).stdout);
  const second = JSON.parse((await stress("--clients=2", "--events=100", "--verify")).stdout);
  expect(first.run).not.toBe(second.run);
  expect([first.verify.found, second.verify.found]).toEqual([200, 200]);
}, 30_000);

test.each([
  [["--clients=3", "--events=7", "--size=0", "--acks=none"], { sent: 21, acknowledged: null, errors: 0 }],
  [["--clients=2", "--events=50", "--size=64KiB", "--topics=7"], { sent: 100, acknowledged: 100, errors: 0 }],
  [["--clients=2", "--events=200", "--rate=2000"], { sent: 400, acknowledged: 400, errors: 0 }],
])("stress %j", async (args, expected) => {
  const { status, stdout, stderr } = await stress(...args);
  expect([status, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject(expected);
}, 30_000);

test.each([
  [["--size=1MiB"], "Events of 1048597 bytes are too large: the server takes 1048576"],
  [["--verify", "--size=10"], "--verify needs payloads of at least 26 bytes"],
  [["--verify", "--udp"], "Cannot verify datagrams: UDP may lose them"],
])("stress %j is a mistake of usage: status 2", async (args, message) => {
  const { status, stderr } = await stress(...args);
  expect([status, JSON.parse(stderr).error]).toEqual([
    2,
    expect.objectContaining({ code: "USAGE", message }),
  ]);
});

test("stress fails with 69 when nobody listens", async () => {
  const stopped = await EscServer.start();
  const { tcpPort } = stopped;
  await stopped.remove();
  expect((await runEsc(["stress", `--port=${tcpPort}`, "--events=1"])).status).toBe(69);
}, 30_000);
