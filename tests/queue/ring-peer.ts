/** Thread of `ring.test.ts`: writes `count` numbered records, making room by dropping the oldest if told so. */
import { parentPort, workerData } from "node:worker_threads";
import { type RingMemory, RingWriter } from "../../src/queue/ring.ts";

const { memory, count, drops } = workerData as { memory: RingMemory; count: number; drops: boolean };
const writer = new RingWriter(memory);
let dropped = 0;
let lastDropped = -1;
for (let value = 0; value < count; value++) {
  // Lengths from 8 to 135, with a larger one now and then, so that the ring's end is met everywhere.
  const length = value % 97 === 0 ? 1000 : 8 + (value * 31) % 128;
  for (;;) {
    const at = writer.reserve(length);
    if (at >= 0) {
      writer.words[(at >> 2) + 1] = value;
      for (let index = 8; index < length; index++) writer.bytes[at + index] = (value + index) & 0xff;
      break;
    }
    if (!drops) {
      writer.publish();
      continue;
    }
    const oldest = writer.dropOldest();
    if (oldest < 0) continue;
    const found = writer.words[(oldest >> 2) + 1] as number;
    if (found <= lastDropped) throw new Error(`Dropped ${found} after ${lastDropped}`);
    lastDropped = found;
    dropped++;
  }
  if (value % 16 === 0) writer.publish();
}
writer.publish();
parentPort?.postMessage(dropped);
