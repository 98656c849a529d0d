/** One event from thread to thread: the time from its publication until the reader has it. */
import { readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { createDoorbell, Doorbell } from "../src/queue/doorbell.ts";
import { createRing, RingReader } from "../src/queue/ring.ts";
import { monotonicNs } from "../src/system/clock.ts";
import { workerUrl } from "../src/threads.ts";
import type { Sample } from "./benchmark.ts";
import type { HopTask } from "./hop-thread.ts";
import { allReady } from "./rings.ts";

const SLEEP_MS = 1000;
const TASKS = "/proc/self/task";

/**
 * Sends `count` events one after the other.
 *
 * @param wait How the reader waits: `spin` never gives its core away, `block` sleeps until it is rung.
 * @throws If an event has no time of its own.
 */
export async function hop(wait: "spin" | "block", count: number): Promise<Sample> {
  const ring = createRing(1 << 16);
  const task: HopTask = {
    ring,
    readerBell: createDoorbell(),
    gate: new SharedArrayBuffer(8),
    count,
    pauseNs: wait === "spin" ? 2_000 : 100_000,
  };
  const worker = new Worker(workerUrl("bench/hop-thread.ts"), { workerData: task });
  const end = new Promise<void>((resolve, reject) => worker.on("exit", () => resolve()).on("error", reject));
  const gate = new Int32Array(task.gate);
  await allReady(gate, 1);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  const before = preemptions();
  const delays = read(ring, new Doorbell(task.readerBell), wait, count);
  const lost = preemptions() - before;
  await end;
  return { ...timesOf(delays), remark: `a core taken away ${lost} times in ${count} events` };
}

/** How often the scheduler has taken a core from a thread of this process that wanted to go on. Linux. */
function preemptions(): number {
  return readdirSync(TASKS).reduce((sum, thread) => {
    try {
      const status = readFileSync(`${TASKS}/${thread}/status`, "latin1");
      return sum + Number(/^nonvoluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
    } catch {
      // It has ended since it was listed.
      return sum;
    }
  }, 0);
}

function read(ring: HopTask["ring"], own: Doorbell, wait: "spin" | "block", count: number): Float64Array {
  const reader = new RingReader(ring);
  const times = new Float64Array(ring.data);
  const delays = new Float64Array(count);
  let lastNs = 0;
  for (let got = 0; got < count;) {
    const at = reader.next();
    if (at < 0) {
      if (wait === "spin") continue;
      const ticket = own.arm();
      if (reader.isEmpty()) own.wait(ticket, SLEEP_MS);
      else own.disarm();
      continue;
    }
    const sentNs = times[(at + 8) >> 3] as number;
    delays[got++] = monotonicNs() - sentNs;
    if (sentNs <= lastNs) throw new Error(`Event ${got} is not newer than the one before`);
    lastNs = sentNs;
    reader.release();
  }
  return delays;
}

/** The percentiles of single times as a sample of a latency: one operation that took the median. */
export function timesOf(times: Float64Array): Sample {
  const sorted = times.toSorted();
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] as number;
  return { operations: 1, ns: at(0.5), p50Ns: at(0.5), p99Ns: at(0.99) };
}
