/** Thread entry: puts one event at a time into a ring, each with the time at which it is published. */
import { workerData } from "node:worker_threads";
import { Doorbell } from "../src/queue/doorbell.ts";
import { type RingMemory, RingWriter } from "../src/queue/ring.ts";
import { monotonicNs } from "../src/system/clock.ts";

export interface HopTask {
  readonly ring: RingMemory;
  readonly readerBell: SharedArrayBuffer;
  /** Int32 0: opened by 1. Int32 1: writers that are ready. */
  readonly gate: SharedArrayBuffer;
  readonly count: number;
  /** Between an event's arrival and the next event: a reader that blocks must be asleep by then. */
  readonly pauseNs: number;
}

const EVENT_BYTES = 64;
const TIME_AT = 8;

const { ring, readerBell, gate, count, pauseNs } = workerData as HopTask;
const writer = new RingWriter(ring);
const times = new Float64Array(ring.data);
const reader = new Doorbell(readerBell);
const words = new Int32Array(gate);
Atomics.add(words, 1, 1);
Atomics.notify(words, 1);
Atomics.wait(words, 0, 0);
for (let sent = 0; sent < count; sent++) {
  while (writer.depthBytes() > 0);
  const untilNs = monotonicNs() + pauseNs;
  while (monotonicNs() < untilNs);
  const at = writer.reserve(EVENT_BYTES);
  times[(at + TIME_AT) >> 3] = monotonicNs();
  writer.publish();
  reader.ring();
}
