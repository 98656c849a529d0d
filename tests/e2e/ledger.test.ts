import { afterEach, expect, test } from "bun:test";
import { EscServer, runEsc } from "../support/esc.ts";

let server: EscServer | undefined;
afterEach(() => server?.remove());

interface LedgerAnswer {
  readonly received: number;
  readonly rejected: number;
  readonly unrouted: number;
  readonly lanes: readonly {
    readonly lane: string;
    readonly received: number;
    readonly stored: number;
    readonly appended: number;
    readonly duplicates: number;
    readonly dropped: Readonly<Record<string, number>>;
    readonly in_flight: number;
  }[];
  readonly is_settled: boolean;
  readonly imbalance: number;
}

const SETTLE_MS_MAX = 20_000;

async function settled(from: EscServer): Promise<LedgerAnswer> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const ledger: LedgerAnswer = await (await fetch(from.url("/api/v1/ledger"))).json();
    if (ledger.is_settled || performance.now() > deadlineMs) return ledger;
  }
}

test("the ledger accounts for every event: stored, duplicate, rejected and dropped", async () => {
  server = await EscServer.start({
    config: {
      ingestion: { max_frame_bytes: "64KiB" },
      lanes: { transactional: { shards: 1, queue_bytes: "256KiB", overflow: "drop_new" } },
    },
  });
  const { tcpPort, httpPort } = server;
  const stress = ["stress", "--port", `${tcpPort}`, "--http-port", `${httpPort}`];
  expect((await runEsc([...stress, "--clients", "3", "--events", "5000", "--in-flight", "32"])).status).toBe(
    0,
  );
  const publish = (topic: string, priority: number, id: string, body = "x") =>
    fetch(server?.url(`/api/v1/publish/${topic}?acks=accepted`) ?? "", {
      method: "POST",
      headers: { "esc-priority": `${priority}`, "esc-message-id": id },
      body,
    }).then(async (response) => {
      await response.text();
      return response.status;
    });
  // A duplicate in each lane, and one event that is none.
  for (const priority of [0, 1, 4]) {
    expect(await publish("twice", priority, "same")).toBe(200);
    expect(await publish("twice", priority, "same")).toBe(200);
  }
  const bad = await Bun.connect({
    hostname: "127.0.0.1",
    port: tcpPort,
    socket: { data: () => {} },
  });
  bad.write(Uint8Array.of(0, 0, 0, 4, 7, 0, 1, 0x74));
  bad.end();
  await fetch(server.url("/api/v1/control/pause"), { method: "POST" });
  let refused = 0;
  for (let number = 0; refused < 5; number++) {
    if ((await publish("full", 2, `full-${number}`, "f".repeat(8_000))) === 429) refused++;
  }
  await fetch(server.url("/api/v1/control/resume"), { method: "POST" });

  const ledger = await settled(server);
  expect([ledger.is_settled, ledger.imbalance, ledger.unrouted]).toEqual([true, 0, 0]);
  expect(ledger.rejected).toBe(1);
  expect(ledger.lanes.map(({ duplicates }) => duplicates)).toEqual([1, 1, 1]);
  const lane = ledger.lanes.find(({ lane }) => lane === "transactional");
  expect(lane?.dropped).toEqual({ queue_full: refused });
  for (const { received, stored, appended, duplicates, dropped, in_flight } of ledger.lanes) {
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    expect(stored + duplicates + lost + in_flight).toBe(received);
    expect(appended).toBe(stored);
    expect(in_flight).toBe(0);
  }
  const metrics = await (await fetch(server.url("/metrics"))).text();
  expect(metrics).toContain("\nesc_ledger_imbalance 0\n");
}, 60_000);

test("under load the ledger counts what is under way, and accuses nobody", async () => {
  server = await EscServer.start();
  const { tcpPort, httpPort } = server;
  const load = runEsc([
    ...["--json", "stress", "--port", `${tcpPort}`, "--http-port", `${httpPort}`],
    ...["--clients", "4", "--events", "60000", "--acks", "durable", "--verify"],
  ]);
  let isOver = false;
  const ended = load.then(() => isOver = true);
  let inFlightMax = 0;
  let looks = 0;
  while (!isOver) {
    const ledger: LedgerAnswer = await (await fetch(server.url("/api/v1/ledger"))).json();
    expect(ledger.imbalance).toBe(0);
    const counts = [ledger.unrouted, ...ledger.lanes.map((lane) => lane.in_flight)];
    expect(counts.every((count) => count >= 0)).toBe(true);
    inFlightMax = Math.max(inFlightMax, counts.reduce((sum, count) => sum + count, 0));
    looks++;
  }
  await ended;
  expect(looks).toBeGreaterThan(3);
  expect(inFlightMax).toBeGreaterThan(0);
  const { status, stdout } = await load;
  expect([status, JSON.parse(stdout).ledger]).toMatchObject([0, { balanced: true, imbalance: 0 }]);
}, 60_000);
