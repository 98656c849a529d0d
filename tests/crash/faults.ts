/**
 * System calls of the real executable fail, one chosen one each run, while a producer insists.
 *
 * `bun tests/crash/faults.ts --from 1 --to 200`: the whole program, as `npm run drill` runs it. Needs strace.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { queryEvents } from "../e2e/read-log.ts";
import { EscServer, EXECUTABLE } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

/** One failure: the `when`-th call of `syscall` in each thread gives `error`. */
export interface Fault {
  readonly syscall: "fdatasync" | "pwrite64";
  readonly error: "EIO" | "ENOSPC";
  readonly when: number;
}

export interface FaultResult {
  /** Answers that named the log as the reason: none of these events counted as stored. */
  readonly refused: number;
  /** What /readyz said while the log had failed. */
  readonly reasons: readonly string[];
  /** How it went wrong; empty when all is well. */
  readonly findings: readonly string[];
}

const TOPIC = "faults";
/** Each is one batch and one sync, so call number 200 is met. */
const EVENT_COUNT = 230;
const RETRY_MS = 50;
const ATTEMPTS_MAX = 200;

/** Why it cannot be done here; `undefined` when it can. */
export function faultsSkipReason(): string | undefined {
  if (Bun.which("strace") === null) return "strace is not installed";
  const probe = Bun.spawnSync(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"]);
  return probe.exitCode === 0 ? undefined : "strace may not trace here";
}

/**
 * Publishes events 1, 2, 3 … with ids, each after the one before is durable, and again while it is refused. Then
 * kills the server, starts it without the fault, and reads what is there.
 */
export async function runFault(fault: Fault): Promise<FaultResult> {
  const folder = new TemporaryFolder("faults");
  let server = await EscServer.start({ folder, executable: tracing(folder, fault) });
  try {
    const { refused, reasons } = await publishAll(server);
    await server.kill();
    server = await EscServer.start({ folder });
    const stored = (await queryEvents(server, TOPIC)).map((event) => Number(event.payload));
    return { refused, reasons, findings: findings(stored) };
  } finally {
    await server.remove();
  }
}

/** A script that starts the executable with the fault; it keeps its process id, so signals reach the executable. */
function tracing(folder: TemporaryFolder, { syscall, error, when }: Fault): string {
  const path = folder.path("esc-with-fault");
  const strace = `strace -D -f -qq --seccomp-bpf -o /dev/null -e trace=${syscall}`;
  writeFileSync(
    path,
    `#!/bin/sh\nexec ${strace} -e inject=${syscall}:error=${error}:when=${when} '${EXECUTABLE}' "$@"\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

async function publishAll(server: EscServer): Promise<{ refused: number; reasons: string[] }> {
  const reasons = new Set<string>();
  let refused = 0;
  const client = await Client.connect({
    dial: dialTcp({ host: "127.0.0.1", port: server.tcpPort }),
    acks: "durable",
    onRefused: (refusal) => {
      if (refusal.code !== "LOG_UNAVAILABLE") throw new Error(`refused: ${refusal.code} ${refusal.message}`);
      refused++;
    },
  });
  try {
    for (let number = 1; number <= EVENT_COUNT; number++) {
      for (let attempt = 1;; attempt++) {
        const before = refused;
        client.publisher.publish({ topic: TOPIC, payload: `${number}`, id: `${number}`, priority: 2 });
        await client.publisher.settled();
        if (refused === before) break;
        if (attempt === ATTEMPTS_MAX) throw new Error(`event ${number} is refused for good`);
        const ready = await fetch(server.url("/readyz"));
        const answer: { reasons: string[] } = await ready.json();
        for (const reason of ready.status === 503 ? answer.reasons : []) reasons.add(reason);
        await Bun.sleep(RETRY_MS);
      }
    }
  } finally {
    client.abort();
  }
  return { refused, reasons: [...reasons] };
}

function findings(stored: readonly number[]): string[] {
  const found: string[] = [];
  for (let number = 1; number <= EVENT_COUNT; number++) {
    const copies = stored.filter((other) => other === number).length;
    if (copies !== 1) found.push(`event ${number} is stored ${copies} times`);
  }
  if (!stored.every((number, index) => index === 0 || number > (stored[index - 1] ?? 0))) {
    found.push("the events are not in order");
  }
  return found;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { from: { type: "string", default: "1" }, to: { type: "string", default: "200" } },
  });
  const reason = faultsSkipReason();
  if (reason !== undefined) throw new Error(reason);
  const kinds = [["fdatasync", "EIO"], ["pwrite64", "EIO"], ["pwrite64", "ENOSPC"]] as const;
  let failed = 0;
  let refusing = 0;
  let runs = 0;
  for (let when = Number(values.from); when <= Number(values.to); when++) {
    for (const [syscall, error] of kinds) {
      runs++;
      const { refused, findings } = await runFault({ syscall, error, when });
      if (refused > 0) refusing++;
      if (findings.length === 0) continue;
      failed++;
      console.log(`${syscall} ${error} at call ${when}: ${findings.slice(0, 5).join("; ")}`);
    }
    if (when % 20 === 0) console.log(`up to call ${when}: ${runs} faults, ${refusing} refused something`);
  }
  console.log(`faults: ${runs} runs, ${refusing} refused something, ${failed} lost, doubled or disordered`);
  process.exitCode = failed === 0 ? 0 : 1;
}
