import { afterEach, describe, expect, test } from "bun:test";
import { nodeFiles } from "../../src/log/node-files.ts";
import { createCounters, openCounters } from "../../src/metrics/counters.ts";
import { createHistograms, Histogram } from "../../src/metrics/histogram.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { SinkOptions } from "../../src/store/options.ts";
import {
  SINK_COMMITS,
  SINK_CONFLICTS,
  SINK_EVENTS,
  SINK_STORED,
  sinkCounters,
} from "../../src/store/sink-counters.ts";
import { Sink } from "../../src/store/sink.ts";
import type { CommitResult, Effects, Store } from "../../src/store/store.ts";
import { LogRig } from "../deliver/log-rig.ts";
import { withRandom } from "../support/seed.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { T0_US } from "./rows.ts";

const OPTIONS: SinkOptions = {
  consumer: "sink",
  topics: ["orders.>"],
  start: "earliest",
  batchEvents: 10,
  batchBytes: 1 << 20,
  flushIntervalMs: 100,
};

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Bench {
  readonly rig: LogRig;
  readonly store: MemoryStore;
  readonly counters: Float64Array;
  nowMs: number;
  sink(options?: Partial<SinkOptions>, store?: Store): Sink;
}

function bench(shards = 2): Bench {
  const folder = new TemporaryFolder("sink");
  const rig = new LogRig(folder.root, { fast: shards });
  const store = new MemoryStore("origin");
  const counters = openCounters(createCounters(sinkCounters(shards)));
  const made: Bench = {
    rig,
    store,
    counters,
    nowMs: 1000,
    sink: (options = {}, other = store) => {
      const sink = new Sink(rig.infos.map((info) => ({ info, waitsForDisk: true })), {
        ...OPTIONS,
        ...options,
      }, {
        files: nodeFiles,
        open: async () => other,
        nowMs: () => made.nowMs,
        counters,
        commitDurations: new Histogram(createHistograms(1), 0),
        onDamage: () => {},
      });
      cleanups.push(() => void sink.close());
      return sink;
    },
  };
  cleanups.push(() => {
    rig.close();
    folder.remove();
  });
  return made;
}

function append({ rig }: Bench, shard: number, topics: readonly string[]): void {
  rig.append(shard, [{
    receivedUs: T0_US,
    events: topics.map((topic, index) => ({ topic, payload: `${index}` })),
  }]);
}

function stored({ store }: Bench): string[] {
  return store.events.map(({ logId, offset, topic }) => `${logId}:${offset} ${topic}`).sort();
}

async function drain(sink: Sink): Promise<void> {
  while (sink.collect() || sink.isDue()) if (sink.isDue()) await sink.flush();
  await sink.flush();
}

describe("sink", () => {
  test("stores the topics asked for, and moves past the others", async () => {
    const here = bench(1);
    append(here, 0, ["orders.a", "other", "orders.b", "orders"]);
    const sink = here.sink();
    await sink.connect();
    expect(sink.hasWork()).toBe(true);
    await drain(sink);
    expect(stored(here)).toEqual(["1:0 orders.a", "1:2 orders.b"]);
    expect(here.counters[SINK_STORED]).toBe(4);
    expect(here.counters[SINK_EVENTS]).toBe(2);
    expect(sink.hasWork()).toBe(false);
  });

  test("commits when the batch is full, and goes on with the event that did not fit", async () => {
    const here = bench(1);
    append(here, 0, Array.from({ length: 25 }, () => "orders.x"));
    const sink = here.sink();
    await sink.connect();
    expect(sink.collect()).toBe(true);
    expect(sink.isDue()).toBe(true);
    await sink.flush();
    expect(here.store.events).toHaveLength(10);
    await drain(sink);
    expect(here.store.events.map((event) => event.offset)).toEqual(
      Array.from({ length: 25 }, (_, index) => index),
    );
    expect(here.counters[SINK_COMMITS]).toBe(3);
  });

  test("a part of a batch waits for the flush interval, not longer", async () => {
    const here = bench(1);
    append(here, 0, ["orders.x"]);
    const sink = here.sink();
    await sink.connect();
    sink.collect();
    expect(sink.isDue()).toBe(false);
    expect(sink.dueMs()).toBe(100);
    here.nowMs += 100;
    expect(sink.isDue()).toBe(true);
  });

  test("begins at the newest event when told so, and keeps its position afterwards", async () => {
    const here = bench(1);
    append(here, 0, ["orders.old"]);
    const first = here.sink({ start: "latest" });
    await first.connect();
    append(here, 0, ["orders.new"]);
    await drain(first);
    append(here, 0, ["orders.newer"]);
    const second = here.sink({ start: "latest" });
    await second.connect();
    await drain(second);
    expect(stored(here)).toEqual(["1:1 orders.new", "1:2 orders.newer"]);
  });

  test("stores only what is on disk", async () => {
    const here = bench(1);
    append(here, 0, ["orders.safe"]);
    const state = here.rig.at(0).state;
    append(here, 0, ["orders.unsafe"]);
    state.durableOffset = 1;
    const sink = here.sink();
    await sink.connect();
    await drain(sink);
    expect(stored(here)).toEqual(["1:0 orders.safe"]);
    state.durableOffset = 2;
    await drain(sink);
    expect(stored(here)).toEqual(["1:0 orders.safe", "1:1 orders.unsafe"]);
  });

  test("two sinks of one name store everything once", async () => {
    const here = bench(1);
    const sinks = [here.sink(), here.sink()];
    for (const sink of sinks) await sink.connect();
    for (let round = 0; round < 5; round++) {
      append(here, 0, ["orders.a", "orders.b"]);
      for (const sink of sinks) {
        sink.collect();
        await sink.flush();
      }
    }
    for (const sink of sinks) await drain(sink);
    expect(here.store.events.map((event) => event.offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(here.counters[SINK_CONFLICTS]).toBeGreaterThan(0);
  });

  test("errors before and after the commit neither lose nor double an event", async () => {
    await withRandom(async (random) => {
      const here = bench(3);
      // The store works, but its answers do not always come: the sink cannot tell what was written.
      const flaky: Store = {
        positions: (consumer, places) => here.store.positions(consumer, places),
        checkpoint: (consumer, name) => here.store.checkpoint(consumer, name),
        prune: (beforeUs) => here.store.prune(beforeUs),
        pruneResults: (windows, beforeUs) => here.store.pruneResults(windows, beforeUs),
        close: async () => {},
        commit: async (effects: Effects): Promise<CommitResult> => {
          if (random.chance(0.3)) throw new Error("lost before");
          const result = await here.store.commit(effects);
          if (random.chance(0.3)) throw new Error("lost after");
          return result;
        },
      };
      const expected: string[] = [];
      let sink = here.sink({ batchEvents: 1 + random.below(20) }, flaky);
      for (let round = 0; round < 200; round++) {
        const shard = random.below(3);
        const topics = Array.from(
          { length: random.below(8) + 1 },
          () => random.pick(["orders.a", "x", "orders.b"]),
        );
        const base = here.rig.at(shard).state.nextOffset;
        append(here, shard, topics);
        topics.forEach((topic, index) => {
          if (topic !== "x") expected.push(`${shard + 1}:${base + index} ${topic}`);
        });
        if (random.chance(0.1)) sink = here.sink({ batchEvents: 1 + random.below(20) }, flaky);
        try {
          if (!sink.isConnected) await sink.connect();
          sink.collect();
          if (random.chance(0.5)) await sink.flush();
        } catch (error) {
          if (!(error instanceof Error) || !error.message.startsWith("lost")) throw error;
        }
      }
      const last = here.sink();
      await last.connect();
      await drain(last);
      expect(stored(here)).toEqual(expected.sort());
    });
  });
});
