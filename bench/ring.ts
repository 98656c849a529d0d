/**
 * The ring between two threads: runs written by one, taken by the other, as between a source and the
 * dispatcher. The writer numbers every run, the reader checks all numbers and lengths before it reports.
 *
 *     bun bench/ring.ts
 */
import { cpus } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createDoorbell, Doorbell } from "../src/queue/doorbell.ts";
import { align8, createRing, type RingMemory, RingReader, RingWriter } from "../src/queue/ring.ts";

const ROUNDS = 7;
const RING_BYTES = 1 << 22;
const HEADER_BYTES = 32;
const FRAME_BYTES = 64;
/** Longest sleep of either side: a wake-up that is lost would show in the spread. */
const SLEEP_MS = 1000;

interface Task {
  readonly memory: RingMemory;
  readonly framesPerRun: number;
  readonly runCount: number;
  readonly readerBell: SharedArrayBuffer;
  readonly writerBell: SharedArrayBuffer;
}

if (isMainThread) {
  console.log(
    `${cpus()[0]?.model ?? "unknown CPU"} x ${cpus().length}, Bun ${Bun.version}; ` +
      `${FRAME_BYTES}-byte events, two threads; median of ${ROUNDS} rounds (min to max)`,
  );
  for (const framesPerRun of [1, 4, 16, 64, 1000]) await measure(framesPerRun);
  process.exitCode = 0;
} else {
  parentPort?.postMessage(write(workerData as Task));
}

/** Writes all runs; publishes what fits and rings once, as a source does after each chunk it read. */
function write({ memory, framesPerRun, runCount, readerBell, writerBell }: Task): number {
  const writer = new RingWriter(memory);
  const reader = new Doorbell(readerBell);
  const own = new Doorbell(writerBell);
  const frames = new Uint8Array(framesPerRun * FRAME_BYTES).fill(7);
  const length = HEADER_BYTES + frames.length;
  // About 64 KiB a publish.
  const batch = Math.max(1, Math.floor(65_536 / length));
  for (let run = 0; run < runCount;) {
    const end = Math.min(runCount, run + batch);
    for (; run < end; run++) {
      let at = writer.reserve(length);
      while (at < 0) {
        if (writer.publish()) reader.ring();
        const ticket = own.arm();
        at = writer.reserve(length);
        if (at < 0) own.wait(ticket, SLEEP_MS);
        else own.disarm();
      }
      writer.words[(at >> 2) + 1] = run;
      writer.bytes.set(frames, at + HEADER_BYTES);
    }
    if (writer.publish()) reader.ring();
  }
  return runCount;
}

function read({ memory, framesPerRun, runCount, readerBell, writerBell }: Task): void {
  const reader = new RingReader(memory);
  const own = new Doorbell(readerBell);
  const writer = new Doorbell(writerBell);
  const hand = new Uint8Array(1 << 20);
  const words = new Int32Array(hand.buffer);
  const length = HEADER_BYTES + framesPerRun * FRAME_BYTES;
  let expected = 0;
  while (expected < runCount) {
    const end = reader.take(hand, 0, hand.length);
    if (end === 0) {
      const ticket = own.arm();
      if (reader.isEmpty()) own.wait(ticket, SLEEP_MS);
      else own.disarm();
      continue;
    }
    for (let at = 0; at < end; at += align8(length)) {
      if (words[at >> 2] !== length || words[(at >> 2) + 1] !== expected) {
        throw new Error(`Run ${words[(at >> 2) + 1]} of ${words[at >> 2]} bytes instead of run ${expected}`);
      }
      expected++;
    }
    if (reader.depthBytes() * 2 <= RING_BYTES) writer.ring();
  }
}

async function measure(framesPerRun: number): Promise<void> {
  const eventCount = Math.min(20_000_000, framesPerRun * 1_000_000);
  const runCount = Math.floor(eventCount / framesPerRun);
  const figures: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const task: Task = {
      memory: createRing(RING_BYTES),
      framesPerRun,
      runCount,
      readerBell: createDoorbell(),
      writerBell: createDoorbell(),
    };
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    const done = new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
    // The clock starts with the first run: starting a thread is not what is measured.
    const reader = new RingReader(task.memory);
    while (reader.isEmpty()) await new Promise((resolve) => setImmediate(resolve));
    const startedNs = Bun.nanoseconds();
    read(task);
    figures.push((Bun.nanoseconds() - startedNs) / (runCount * framesPerRun));
    await done;
  }
  figures.sort((a, b) => a - b);
  const median = figures[ROUNDS >> 1] ?? NaN;
  const spread = `${(figures[0] ?? NaN).toFixed(1)} to ${(figures[ROUNDS - 1] ?? NaN).toFixed(1)}`;
  const rate = (1000 / median).toFixed(1).padStart(6);
  console.log(
    `runs of ${String(framesPerRun).padStart(4)} ${rate} M events/s  ${
      median.toFixed(1).padStart(6)
    } ns/event (${spread})`,
  );
}
