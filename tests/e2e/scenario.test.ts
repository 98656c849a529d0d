import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { EscServer, runEsc } from "../support/esc.ts";

let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

async function run(scenario: string) {
  const file = server.folder.path("scenario.yaml");
  writeFileSync(file, scenario);
  const args = [
    "--json",
    "stress",
    "--scenario",
    file,
    `--port=${server.tcpPort}`,
    `--http-port=${server.httpPort}`,
  ];
  const { status, stdout, stderr } = await runEsc(args);
  return {
    status,
    stderr,
    phases: stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)),
  };
}

test("stress --scenario runs its phases in order, reads back what it was told to, and passes", async () => {
  const { status, stderr, phases } = await run(`
name: good
phases:
  - { name: ramp, duration: 1s, clients: 2, rate: 400, ramp: { from: 0, over: 1s }, priority: medium }
  - { name: all, events: 2000, clients: 4, priority: medium, size: 200, thresholds: { lost: 0, p99: 1m } }
  - { name: timed, duration: 300ms, clients: 2, acks: none, topics: [stress.a], priority: medium }
`);
  expect([status, stderr]).toEqual([0, "good: ramp\ngood: all\ngood: timed\ngood: passed\n"]);
  expect(phases).toMatchObject([
    { phase: "ramp", passed: true, sent: 200, acknowledged: 200, verify: null },
    { phase: "all", passed: true, sent: 2000, verify: { found: 2000, missing: 0 } },
    { phase: "timed", passed: true, acknowledged: null, breaches: [] },
  ]);
}, 60_000);

test("stress --scenario ends with 1 and names the threshold that was broken", async () => {
  const { status, stderr, phases } = await run(`
name: bad
phases:
  - { name: fine, events: 100, priority: medium }
  - { name: slow, events: 100, priority: medium, thresholds: { min_rate: 1000000000, p50: 1ms, p99: 1ms } }
`);
  expect(status).toBe(1);
  expect(stderr).toContain("bad: failed in slow");
  expect(phases[0].passed).toBe(true);
  expect(phases[1].breaches).toContainEqual({
    threshold: "min_rate",
    limit: 1e9,
    value: expect.any(Number),
  });
}, 60_000);

test("a scenario that makes no sense is refused with the place, exit status 78", async () => {
  const { status, stderr } = await run("name: x\nphases:\n  - name: a\n    events: none\n");
  expect(status).toBe(78);
  expect(stderr).toContain("scenario.yaml:4:13: phases.0.events");
});
