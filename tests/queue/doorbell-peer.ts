/** Thread of `doorbell.test.ts`: passes one record there and back, sleeping each time until it is rung. */
import { parentPort, workerData } from "node:worker_threads";
import { Doorbell } from "../../src/queue/doorbell.ts";
import { type RingMemory, RingReader, RingWriter } from "../../src/queue/ring.ts";

/** A wake-up that takes this long was lost. */
const LOST_MS = 3000;

const { me, rings, doorbells, rounds } = workerData as {
  me: 0 | 1;
  rings: [RingMemory, RingMemory];
  doorbells: [SharedArrayBuffer, SharedArrayBuffer];
  rounds: number;
};
const other = me === 0 ? 1 : 0;
const own = new Doorbell(doorbells[me]);
const theirs = new Doorbell(doorbells[other]);
const reader = new RingReader(rings[me]);
const writer = new RingWriter(rings[other]);
let lost = 0;

function send(round: number): void {
  const at = writer.reserve(8);
  if (at < 0) throw new Error("The ring is full");
  writer.words[(at >> 2) + 1] = round;
  writer.publish();
  theirs.ring();
}

for (let round = 0; round < rounds; round++) {
  if (me === 0) send(round);
  for (;;) {
    const at = reader.next();
    if (at >= 0) {
      if (reader.words[(at >> 2) + 1] !== round) throw new Error(`Round ${round} got another`);
      reader.release();
      break;
    }
    const ticket = own.arm();
    if (!reader.isEmpty()) {
      own.disarm();
      continue;
    }
    const before = Date.now();
    own.wait(ticket, LOST_MS);
    if (Date.now() - before >= LOST_MS) lost++;
  }
  if (me === 1) send(round);
}
parentPort?.postMessage(lost);
