/**
 * Memory for events: taken and given back.
 *
 * esc has no pool of event objects: the memory of an event is its place in a ring, which is allocated once. Taking
 * is `reserve()`, giving back is `release()`. So this measures the ring where the original engine measured its pool.
 */
import { heapSize } from "bun:jsc";
import { createRing, RingReader, RingWriter } from "../src/queue/ring.ts";
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";
import { EVENT_BYTES } from "./rings.ts";

const PUBLISHED = { eventsPerS: 89e6, p50Ns: 11, p99Ns: 25 };
/** What the runtime's own bookkeeping may differ by; 10 M events of 1 byte each would be forty times that. */
const HEAP_BYTES_MAX = 256 * 1024;

export const pool: Benchmark = {
  summary: "memory of events: reserve and release in a ring",
  open: (options) => [64, 1].map((batch): Case => takeAndGiveBack(batch, scaled(10e6, options))),
};

/** `batch` events are taken before any is given back; published and released once. */
function takeAndGiveBack(batch: number, count: number): Case {
  const ring = createRing(1 << 16);
  const writer = new RingWriter(ring);
  const reader = new RingReader(ring);
  const operation = () => {
    for (let index = 0; index < batch; index++) {
      if (writer.reserve(EVENT_BYTES) < 0) {
        throw new Error("The ring is full though everything was given back");
      }
    }
    writer.publish();
    for (let index = 0; index < batch; index++) reader.next();
    reader.release();
  };
  return {
    name: batch === 1 ? "one at a time" : `${batch} at a time`,
    published: PUBLISHED,
    ...(batch === 1 ? { operation } : {}),
    round: () => {
      const batches = Math.ceil(count / batch);
      Bun.gc(true);
      const heapBytes = heapSize();
      const startedNs = threadNs();
      for (let index = 0; index < batches; index++) operation();
      const ns = threadNs() - startedNs;
      Bun.gc(true);
      const keptBytes = heapSize() - heapBytes;
      if (!reader.isEmpty() || keptBytes > HEAP_BYTES_MAX) {
        throw new Error(`${keptBytes} bytes of heap were kept`);
      }
      return { operations: batches * batch, ns, remark: `heap kept: ${Math.max(0, keptBytes)} bytes` };
    },
  };
}
