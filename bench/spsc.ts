/** The ring between two threads, and what one event through it costs in one thread. */
import { createRing, RingReader, RingWriter } from "../src/queue/ring.ts";
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";
import { EVENT_BYTES, moveThroughRings } from "./rings.ts";

const PUBLISHED = { eventsPerS: 125e6, p50Ns: 8, p99Ns: 12 };

export const spsc: Benchmark = {
  summary: "ring, one producer and one consumer",
  open: (options) => [
    ...[1000, 16, 1].map((framesPerRun): Case => ({
      name: `two threads, runs of ${framesPerRun}`,
      published: PUBLISHED,
      round: () =>
        moveThroughRings({
          writers: 1,
          framesPerRun,
          events: scaled(Math.min(40e6, framesPerRun * 1e6), options),
        }),
    })),
    oneThread(scaled(1e6, options)),
  ],
};

/** Each event on its own: reserved, published, met and released. */
function oneThread(count: number): Case {
  const ring = createRing(1 << 16);
  const writer = new RingWriter(ring);
  const reader = new RingReader(ring);
  let written = 0;
  let seen = 0;
  const operation = () => {
    const at = writer.reserve(EVENT_BYTES);
    writer.words[(at >> 2) + 1] = ++written;
    writer.publish();
    seen = reader.words[(reader.next() >> 2) + 1] as number;
    reader.release();
  };
  return {
    name: "one thread, each event on its own",
    published: PUBLISHED,
    operation,
    round: () => {
      const startedNs = threadNs();
      for (let index = 0; index < count; index++) operation();
      const ns = threadNs() - startedNs;
      if (seen !== written) throw new Error(`Event ${seen} came out last instead of ${written}`);
      return { operations: count, ns };
    },
  };
}
