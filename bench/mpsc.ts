/** Many producers, one consumer: a ring a producer, as sources and dispatcher have them; nobody waits for a lock. */
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { moveThroughRings } from "./rings.ts";

const PRODUCERS = [1, 2, 4, 8];
const PUBLISHED = { eventsPerS: 52e6, p50Ns: 20, p99Ns: 45 };

export const mpsc: Benchmark = {
  summary: "rings, 1 to 8 producers and one consumer",
  open: (options) =>
    PRODUCERS.map((writers): Case => ({
      name: `${writers} producer${writers === 1 ? "" : "s"}, runs of 1000`,
      published: PUBLISHED,
      round: () => moveThroughRings({ writers, framesPerRun: 1000, events: scaled(40e6, options) }),
    })),
};
