/**
 * Rings between threads: one or several writers, each with a ring of its own, and one reader that takes from all
 * of them, as the dispatcher does. The reader checks the number and length of every run.
 */
import { Worker } from "node:worker_threads";
import { RUN_HEADER_BYTES, RUN_SEQ_LO } from "../src/event/run.ts";
import { createDoorbell, Doorbell } from "../src/queue/doorbell.ts";
import { align8, createRing, RingReader } from "../src/queue/ring.ts";
import { workerUrl } from "../src/threads.ts";
import type { Sample } from "./benchmark.ts";
import type { RingTask } from "./ring-thread.ts";

export const EVENT_BYTES = 64;
const RING_BYTES = 1 << 22;
const HAND_BYTES = 1 << 18;
const SLEEP_MS = 1000;

export interface RingPlan {
  readonly writers: number;
  readonly framesPerRun: number;
  /** Of all writers together. */
  readonly events: number;
}

/** Moves that many events. @throws If a run is missing, doubled, cut or out of order. */
export async function moveThroughRings({ writers, framesPerRun, events }: RingPlan): Promise<Sample> {
  const runCount = Math.max(1, Math.floor(events / writers / framesPerRun));
  const gate = new SharedArrayBuffer(8);
  const gateWords = new Int32Array(gate);
  const readerBell = createDoorbell();
  const tasks = Array.from({ length: writers }, (): RingTask => ({
    ring: createRing(RING_BYTES),
    frames: new Uint8Array(framesPerRun * EVENT_BYTES).fill(7),
    framesPerRun,
    runCount,
    readerBell,
    writerBell: createDoorbell(),
    gate,
  }));
  const ends = tasks.map((task) => {
    const worker = new Worker(workerUrl("bench/ring-thread.ts"), { workerData: task });
    return new Promise<void>((resolve, reject) => worker.on("exit", () => resolve()).on("error", reject));
  });
  await allReady(gateWords, writers);
  const startedNs = Bun.nanoseconds();
  Atomics.store(gateWords, 0, 1);
  Atomics.notify(gateWords, 0);
  readAll(tasks, new Doorbell(readerBell));
  const ns = Bun.nanoseconds() - startedNs;
  await Promise.all(ends);
  return { operations: runCount * framesPerRun * writers, ns };
}

/** Waits until all writers stand at the gate. */
export async function allReady(gate: Int32Array, count: number): Promise<void> {
  for (let ready = Atomics.load(gate, 1); ready < count; ready = Atomics.load(gate, 1)) {
    const change = Atomics.waitAsync(gate, 1, ready, SLEEP_MS);
    if (change.async) await change.value;
  }
}

function readAll(tasks: readonly RingTask[], own: Doorbell): void {
  const readers = tasks.map(({ ring }) => new RingReader(ring));
  const bells = tasks.map(({ writerBell }) => new Doorbell(writerBell));
  const expected = new Int32Array(tasks.length);
  const hand = new Uint8Array(HAND_BYTES);
  const words = new Int32Array(hand.buffer);
  const first = tasks[0] as RingTask;
  const length = RUN_HEADER_BYTES + first.framesPerRun * EVENT_BYTES;
  const total = first.runCount * tasks.length;
  for (let done = 0; done < total;) {
    let moved = 0;
    for (let index = 0; index < readers.length; index++) {
      const reader = readers[index] as RingReader;
      const end = reader.take(hand, 0, hand.length);
      let number = expected[index] as number;
      for (let at = 0; at < end; at += align8(length)) {
        if (words[at >> 2] !== length || words[(at >> 2) + RUN_SEQ_LO] !== number) {
          throw new Error(`Run ${words[(at >> 2) + RUN_SEQ_LO]} came instead of run ${number}`);
        }
        number++;
      }
      moved += number - (expected[index] as number);
      expected[index] = number;
      if (end > 0 && reader.depthBytes() * 2 <= RING_BYTES) (bells[index] as Doorbell).ring();
    }
    done += moved;
    if (moved > 0 || done === total) continue;
    const ticket = own.arm();
    if (readers.every((reader) => reader.isEmpty())) own.wait(ticket, SLEEP_MS);
    else own.disarm();
  }
}
