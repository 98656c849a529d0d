/**
 * Thread entry: writes numbered runs into a ring as a source does, publishing and ringing about once for 64 KiB.
 * Starts when the gate opens, so that starting a thread is not what is measured.
 */
import { workerData } from "node:worker_threads";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_SEQ_LO } from "../src/event/run.ts";
import { Doorbell } from "../src/queue/doorbell.ts";
import { type RingMemory, RingWriter } from "../src/queue/ring.ts";

export interface RingTask {
  readonly ring: RingMemory;
  /** Frames of one run, written again and again. */
  readonly frames: Uint8Array;
  readonly framesPerRun: number;
  readonly runCount: number;
  readonly readerBell: SharedArrayBuffer;
  readonly writerBell: SharedArrayBuffer;
  /** Int32 0: opened by 1. Int32 1: writers that are ready. */
  readonly gate: SharedArrayBuffer;
}

const PUBLISH_BYTES = 65_536;
/** Longest sleep: a wake-up that is lost would show in the spread. */
const SLEEP_MS = 1000;

function write({ ring, frames, framesPerRun, runCount, readerBell, writerBell }: RingTask): void {
  const writer = new RingWriter(ring);
  const reader = new Doorbell(readerBell);
  const own = new Doorbell(writerBell);
  const length = RUN_HEADER_BYTES + frames.length;
  const batch = Math.max(1, Math.floor(PUBLISH_BYTES / length));
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
      const word = at >> 2;
      writer.words.fill(0, word + 1, word + RUN_HEADER_BYTES / 4);
      writer.words[word + RUN_COUNT] = framesPerRun;
      writer.words[word + RUN_SEQ_LO] = run;
      writer.bytes.set(frames, at + RUN_HEADER_BYTES);
    }
    if (writer.publish()) reader.ring();
  }
}

const task = workerData as RingTask;
const gate = new Int32Array(task.gate);
Atomics.add(gate, 1, 1);
Atomics.notify(gate, 1);
Atomics.wait(gate, 0, 0);
write(task);
