/**
 * Twice as many BATCH events as their lane can take, for a while: what becomes of CRITICAL ones?
 *
 *     bun tests/e2e/overload.ts [--seconds 60] [--judge-times]
 *
 * First it finds out what the batch lane can take, then sends twice that, and CRITICAL events beside it. At the end:
 * no CRITICAL event is lost, BATCH ones went to the DLQ and none of those is lost, the server is HEALTHY again, and the
 * books balance. With --judge-times, on a machine that does nothing else: 99 % of the CRITICAL events stayed within the
 * promise, and it was HEALTHY within 10 s. Exit 1 otherwise.
 */
import { parseArgs } from "node:util";
import { EscServer } from "../support/esc.ts";
import { Blaster } from "./blaster.ts";
import { event } from "./wire.ts";

const CALIBRATION_MS = 3_000;
const PAYLOAD_BYTES = 200;
const CRITICAL_PER_SECOND = 500;
const RECOVERY_MS_MAX = 10_000;
const SLA_MS = 5;

interface Stats {
  readonly events: { readonly dlq: number };
  readonly lanes: Readonly<
    Record<string, { readonly shards: readonly { readonly next_offset: number }[]; readonly p99_us: number }>
  >;
  readonly pipeline: { readonly state: string; readonly health: string };
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    "judge-times": { type: "boolean", default: false },
  },
});
const judgesTimes = values["judge-times"];
const seconds = Number(values.seconds);
const server = await EscServer.start({
  config: {
    lanes: { batch: { durability: "fsync" } },
    control: { sla: { max_latency: `${SLA_MS}ms` } },
    ingestion: { workers: 2 },
  },
});

const stats = async (): Promise<Stats> => await (await fetch(server.url("/api/v1/stats"))).json();
const storedIn = (from: Stats, lane: string) =>
  (from.lanes[lane]?.shards ?? []).reduce((sum, shard) => sum + shard.next_offset, 0);
const problems: string[] = [];

/** Sends CRITICAL events at a pace until it is told to stop. @returns How many. */
async function sendCritical(isOver: () => boolean): Promise<number> {
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.tcpPort,
    socket: { data: () => {}, error: () => {} },
  });
  const startMs = performance.now();
  const one = event("alarm", "x".repeat(64), 4);
  let sent = 0;
  while (!isOver()) {
    const wanted = ((performance.now() - startMs) / 1000) * CRITICAL_PER_SECOND;
    // So few bytes always fit into the socket's buffer.
    for (; sent < wanted; sent++) socket.write(one);
    await Bun.sleep(2);
  }
  socket.end();
  return sent;
}

let exitCode = 1;
try {
  const frameBytes = event("bulk", "x".repeat(PAYLOAD_BYTES), 0).length;
  const blaster = await Blaster.start(server.tcpPort, "bulk", 0, PAYLOAD_BYTES);
  await Bun.sleep(CALIBRATION_MS / 3);
  const before = storedIn(await stats(), "batch");
  const fromMs = performance.now();
  await Bun.sleep(CALIBRATION_MS);
  const capacity = ((storedIn(await stats(), "batch") - before) / (performance.now() - fromMs)) * 1000;
  blaster.pace = 2 * capacity * frameBytes;
  console.log(
    `the batch lane takes ${Math.round(capacity).toLocaleString("en")} events/s; twice that for ${seconds} s`,
  );

  const endMs = performance.now() + seconds * 1000;
  const sentBefore = blaster.sentBytes;
  const sending = sendCritical(() => performance.now() > endMs);
  const states = new Set<string>();
  while (performance.now() < endMs) {
    states.add((await stats()).pipeline.state);
    await Bun.sleep(200);
  }
  const offered = (blaster.sentBytes - sentBefore) / frameBytes / seconds;
  await blaster.stop();
  const critical = await sending;
  const stoppedMs = performance.now();
  let last = await stats();
  while (last.pipeline.health !== "HEALTHY" || last.pipeline.state !== "RUNNING") {
    if (performance.now() - stoppedMs > 3 * RECOVERY_MS_MAX) break;
    await Bun.sleep(50);
    last = await stats();
  }
  const recoveryMs = performance.now() - stoppedMs;
  let ledger: { is_settled: boolean; imbalance: number };
  do {
    ledger = await (await fetch(server.url("/api/v1/ledger"))).json();
    last = await stats();
  } while (
    !ledger.is_settled || storedIn(last, "realtime") < critical && performance.now() - stoppedMs < 60_000
  );
  const metrics = await (await fetch(server.url("/metrics"))).text();
  const number = (line: string) =>
    Number(metrics.split("\n").find((one) => one.startsWith(line))?.split(" ").at(-1));
  const late = number('esc_sla_late_total{lane="realtime"}');
  const shed = number('esc_dlq_events_total{reason="shed"}');
  const p99Ms = (last.lanes["realtime"]?.p99_us ?? NaN) / 1000;
  console.log(`offered ${(offered / capacity).toFixed(2)} x; states ${[...states].join(", ")}`);
  const shedLost = number('esc_events_dropped_total{lane="batch",reason="shed"}') - shed;
  console.log(`BATCH: ${shed.toLocaleString("en")} shed into the DLQ, ${shedLost} of them lost on the way`);
  console.log(
    `CRITICAL: ${critical} sent, ${storedIn(last, "realtime")} stored, p99 ${p99Ms.toFixed(2)} ms, ` +
      `${late} over ${SLA_MS} ms`,
  );
  console.log(`HEALTHY ${(recoveryMs / 1000).toFixed(1)} s after the load; imbalance ${ledger.imbalance}`);
  if (storedIn(last, "realtime") !== critical) problems.push("CRITICAL events are missing");
  if (shedLost !== 0) problems.push("events that were shed are in no DLQ");
  if (last.pipeline.health !== "HEALTHY") problems.push(`health is still ${last.pipeline.health}`);
  if (judgesTimes && !(p99Ms <= SLA_MS)) {
    problems.push(`99 % of the CRITICAL events took more than ${SLA_MS} ms`);
  }
  if (!(shed > 0)) problems.push("no BATCH event was shed");
  if (judgesTimes && recoveryMs > RECOVERY_MS_MAX) {
    problems.push(`recovery took more than ${RECOVERY_MS_MAX / 1000} s`);
  }
  if (ledger.imbalance !== 0) problems.push("the books do not balance");
  for (const problem of problems) console.log(`PROBLEM: ${problem}`);
  exitCode = problems.length === 0 ? 0 : 1;
} finally {
  await server.remove();
}
process.exit(exitCode);
