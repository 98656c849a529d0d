/**
 * Whether an event costs the same in a crowd: over topics, over connections, and behind a long log. What counts
 * is the processor time of all threads of the server, so that a busy machine changes little; every event must
 * reach the log.
 */
import { type Benchmark, type BenchOptions, type Case, scaled } from "./benchmark.ts";
import { processorNs } from "./processor-time.ts";
import { StressedServer, type StressPlan } from "./stressed.ts";

const EVENTS = 1_000_000;
const SIZE = 128;
const TOPICS = [1, 100, 10_000];
const CONNECTIONS = [1, 100, 1000];
/** Of the log before the last cases. */
const LONG_LOG_BYTES = 1 << 30;
/** Frame and topic around a payload, and its share of headers. */
const OVERHEAD_BYTES = 18;

export const scale: Benchmark = {
  summary: "processor time an event over topics, connections, and behind a long log",
  open: (options) => {
    const fresh = new StressedServer(options.esc, { durability: "none" });
    return [
      ...TOPICS.map((topics) => costOf(`topics: ${n(topics)}`, { topics, clients: 4 }, fresh, options)),
      ...CONNECTIONS.map((clients) =>
        costOf(`connections: ${n(clients)}`, { clients, topics: 1 }, fresh, options)
      ),
      ...longLog(options),
    ];
  },
};

function n(count: number): string {
  return count.toLocaleString("en");
}

function costOf(
  name: string,
  plan: Pick<StressPlan, "topics" | "clients">,
  server: StressedServer,
  options: BenchOptions,
): Case {
  const events = scaled(EVENTS, options);
  return {
    name,
    round: async () => {
      const used = () => server.server === undefined ? 0 : processorNs(server.server.pid);
      const before = used();
      const sample = await server.round({ ...plan, events, size: SIZE, acks: "none" });
      return { operations: sample.operations, ns: used() - before };
    },
    close: () => server.close(),
  };
}

/** The same work on a server whose log is short, and on one that has a GiB behind it. */
function longLog(options: BenchOptions): Case[] {
  const plan = { topics: 1, clients: 4 };
  const short = new StressedServer(options.esc, { durability: "none" });
  const long = new StressedServer(options.esc, { durability: "none" });
  const measured = costOf("log before: 1 GiB", plan, long, options);
  let isFilled = false;
  return [
    costOf("log before: empty", plan, short, options),
    {
      ...measured,
      round: async () => {
        if (!isFilled) {
          const events = scaled(LONG_LOG_BYTES / (1024 + OVERHEAD_BYTES), options);
          await long.round({ ...plan, events, size: 1024, acks: "none" });
          isFilled = true;
        }
        return await measured.round();
      },
    },
  ];
}
