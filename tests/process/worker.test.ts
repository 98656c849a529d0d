/** The real threads: dispatcher and lane workers started as the engine starts them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Worker } from "node:worker_threads";
import type { DispatchWorkerOptions } from "../../src/dispatch/options.ts";
import { ACKS_DURABLE, ACKS_NONE } from "../../src/event/run.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import { LANE_ACCEPTED, LANE_DUPLICATES, LANE_DURABLE } from "../../src/metrics/layout.ts";
import type { LaneWorkerOptions } from "../../src/process/options.ts";
import { CompletionReader } from "../../src/queue/completions.ts";
import {
  COMMAND_DRAIN,
  COMMAND_PAUSE,
  COMMAND_RUN,
  COMMAND_STOP,
  createControl,
  STATE_DRAINED,
  STATE_PAUSED,
  STATE_RUNNING,
  ThreadControl,
} from "../../src/queue/control.ts";
import { createDoorbell, Doorbell } from "../../src/queue/doorbell.ts";
import { RingWriter } from "../../src/queue/ring.ts";
import { WAIT_STRATEGIES } from "../../src/queue/wait.ts";
import { createRig, offerRun } from "../dispatch/rig.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { createLaneMemory, type LaneMemory, readLog } from "./rig.ts";

/** The test's runs are stamped long ago. */
const DEDUP = { windowMs: 4e12, idsMax: 1 << 16 };

let folder: TemporaryFolder;
const workers = new Set<Worker>();
beforeEach(() => {
  folder = new TemporaryFolder("lane-worker");
});
afterEach(async () => {
  for (const worker of workers) await worker.terminate();
  workers.clear();
  folder.remove();
});

/** A started thread, and the promise of its end. */
interface Thread {
  readonly worker: Worker;
  readonly control: ThreadControl;
  readonly doorbell: Doorbell;
  readonly ended: Promise<number>;
  readonly messages: unknown[];
}

function start(entry: string, options: LaneWorkerOptions | DispatchWorkerOptions): Thread {
  const worker = new Worker(new URL(`../../src/${entry}`, import.meta.url), { workerData: options });
  workers.add(worker);
  const messages: unknown[] = [];
  worker.on("message", (message) => messages.push(message));
  const ended = new Promise<number>((resolve, reject) => {
    worker.on("exit", resolve);
    worker.on("error", reject);
  });
  return {
    worker,
    messages,
    ended,
    control: new ThreadControl(options.control),
    doorbell: new Doorbell(options.doorbell),
  };
}

function command(thread: Thread, value: number): void {
  thread.control.command = value;
  thread.doorbell.alarm();
}

/** Looks until it is so; the test's own limit ends a wait for nothing. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(1);
}

function laneOptions(memories: readonly LaneMemory[]): LaneWorkerOptions {
  const [first] = memories;
  if (first === undefined) throw new Error("No shard");
  return {
    control: createControl(),
    doorbell: createDoorbell(),
    wait: "block",
    shards: memories.map((memory) => memory.shard),
    sources: [first.source],
  };
}

/** Offers runs of ten numbered events, each with an id, waiting for room. */
async function produce(memory: LaneMemory, doorbell: Doorbell, from: number, to: number): Promise<void> {
  const [ring] = memory.shard.inputs;
  if (ring === undefined) throw new Error("No input");
  const writer = new RingWriter(ring);
  for (let first = from; first < to; first += 10) {
    const events = Array.from({ length: 10 }, (_, index) => ({
      topic: "t",
      payload: `${first + index}`,
      id: `id-${first + index}`,
    }));
    await until(() => offerRun(writer, events, { acks: ACKS_DURABLE, firstSeq: first + 1 }));
    doorbell.ring();
  }
}

test("a lane worker stores, answers, pauses, drains and ends, and knows repeated ids", async () => {
  const memory = createLaneMemory({ directory: folder.path("log"), dedup: DEDUP });
  const thread = start("process/worker.ts", laneOptions([memory]));
  const sourceBell = new Doorbell(memory.source.doorbell);
  const reader = new CompletionReader(memory.source.completions);
  await produce(memory, thread.doorbell, 0, 100);
  let answered = 0;
  while (answered < 100) {
    const ticket = sourceBell.arm();
    while (reader.next()) answered += reader.current.count;
    reader.release();
    if (answered < 100) await sourceBell.waitAsync(ticket, 1000);
  }
  expect(answered).toBe(100);
  command(thread, COMMAND_PAUSE);
  await until(() => thread.control.state === STATE_PAUSED);
  await produce(memory, thread.doorbell, 90, 110);
  expect(new ShardState(memory.shard.info.state).nextOffset).toBe(100);
  command(thread, COMMAND_RUN);
  await until(() => thread.control.state === STATE_RUNNING);
  command(thread, COMMAND_DRAIN);
  expect(await thread.ended).toBe(0);
  expect(thread.control.state).toBe(STATE_DRAINED);
  const counters = new Float64Array(memory.shard.counters);
  expect([counters[LANE_ACCEPTED], counters[LANE_DUPLICATES], counters[LANE_DURABLE]]).toEqual([
    110,
    10,
    110,
  ]);
  expect(readLog(folder.path("log"), 110).map((event) => Number(event.payload))).toEqual(
    Array.from({ length: 110 }, (_, index) => index),
  );
});

test.each(WAIT_STRATEGIES)(
  "wait: %s: the dispatcher and a lane worker find work after every kind of idleness, and obey while idle",
  async (wait) => {
    const memory = createLaneMemory({ directory: folder.path("log"), dedup: DEDUP });
    const lane = start("process/worker.ts", { ...laneOptions([memory]), wait });
    const rig = createRig();
    const dispatcher = start("dispatch/worker.ts", { ...rig.options, wait });
    const [source] = rig.options.sources;
    const batch = rig.options.shards[2];
    if (source === undefined || batch === undefined) throw new Error("Rig is incomplete");
    const writer = new RingWriter(source.ring);
    const state = new ShardState(memory.shard.info.state);
    const dispatched = () => new Float64Array(batch.counters)[0] ?? NaN;
    for (let round = 0; round < 20; round++) {
      await produce(memory, lane.doorbell, round * 10, round * 10 + 10);
      expect(offerRun(writer, [{ topic: "x", payload: "1" }])).toBe(true);
      dispatcher.doorbell.ring();
      await until(() => state.durableOffset === (round + 1) * 10 && dispatched() === round + 1);
      if (round % 5 !== 4) continue;
      for (const thread of [lane, dispatcher]) {
        command(thread, COMMAND_PAUSE);
        await until(() => thread.control.state === STATE_PAUSED);
        command(thread, COMMAND_RUN);
        await until(() => thread.control.state === STATE_RUNNING);
      }
    }
    for (const thread of [lane, dispatcher]) {
      command(thread, COMMAND_DRAIN);
      expect(await thread.ended).toBe(0);
    }
    expect(readLog(folder.path("log"), 200)).toHaveLength(200);
  },
);

test("killed again and again, the lane worker's successors store every event once and in order", async () => {
  const total = 20_000;
  const memory = createLaneMemory({
    directory: folder.path("log"),
    dedup: DEDUP,
  });
  const options = laneOptions([memory]);
  const reader = new CompletionReader(memory.source.completions);
  const answered = new Set<number>();
  let isDone = false;
  const listening = (async () => {
    while (!isDone) {
      while (reader.next()) {
        for (let seq = 0; seq < reader.current.count; seq++) answered.add(reader.current.firstSeq + seq);
      }
      reader.release();
      await Bun.sleep(1);
    }
  })();
  let thread = start("process/worker.ts", options);
  const producing = produce(memory, thread.doorbell, 0, total);
  const state = new ShardState(memory.shard.info.state);
  let kills = 0;
  for (let next = 500; next < total - 1000; next += 1500) {
    await until(() => state.nextOffset >= next);
    await thread.worker.terminate();
    kills++;
    thread = start("process/worker.ts", options);
  }
  await producing;
  await until(() => answered.size === total);
  isDone = true;
  await listening;
  command(thread, COMMAND_DRAIN);
  await thread.ended;
  expect(kills).toBeGreaterThan(5);
  expect(readLog(folder.path("log"), state.visibleOffset).map((event) => Number(event.payload))).toEqual(
    Array.from({ length: total }, (_, index) => index),
  );
});

test("one thread serves several shards, and stops at once when told to", async () => {
  const memories = ["a", "b"].map((name) =>
    createLaneMemory({ directory: folder.path(name), durability: "interval", syncIntervalMs: 5 })
  );
  const thread = start("process/worker.ts", laneOptions(memories));
  for (const memory of memories) {
    const [ring] = memory.shard.inputs;
    if (ring === undefined) throw new Error("No input");
    offerRun(new RingWriter(ring), [{ topic: "t", payload: "x" }], { acks: ACKS_NONE });
  }
  thread.doorbell.ring();
  // Synced by the clock, with nothing else happening.
  await until(() => memories.every((memory) => new ShardState(memory.shard.info.state).durableOffset === 1));
  command(thread, COMMAND_STOP);
  expect(await thread.ended).toBe(0);
});

test("the dispatcher's thread moves runs to sleeping lanes, takes new routes, and drains", async () => {
  const { options } = createRig();
  const thread = start("dispatch/worker.ts", options);
  const [source] = options.sources;
  const [realtime, , batch] = options.shards;
  if (source === undefined || realtime === undefined || batch === undefined) {
    throw new Error("Rig is incomplete");
  }
  const writer = new RingWriter(source.ring);
  const laneBell = new Doorbell(batch.laneDoorbell);
  const ticket = laneBell.arm();
  offerRun(writer, [{ topic: "x", payload: "1" }]);
  thread.doorbell.ring();
  await laneBell.waitAsync(ticket, 30_000);
  expect(batch.counters && new Float64Array(batch.counters)[0]).toBe(1);
  const routes = { ...options.routes, topics: [{ pattern: "x", lane: "realtime" }] };
  thread.worker.postMessage({ type: "routes", routes });
  thread.control.announceMessage();
  thread.doorbell.alarm();
  // Events sent before the message is read still go the old way.
  let sent = 1;
  await until(() => {
    if (offerRun(writer, [{ topic: "x", payload: "2" }])) sent++;
    thread.doorbell.ring();
    return new Float64Array(realtime.counters)[0] !== 0;
  });
  thread.worker.postMessage({ type: "routes", routes: { ...routes, lanes: [] } });
  thread.control.announceMessage();
  thread.doorbell.alarm();
  await until(() => thread.messages.length > 0);
  expect(thread.messages).toMatchObject([{
    type: "log",
    level: "error",
    message: expect.stringContaining("routes"),
  }]);
  command(thread, COMMAND_DRAIN);
  expect(await thread.ended).toBe(0);
  expect(thread.control.state).toBe(STATE_DRAINED);
  const enqueued = [realtime, batch].map((shard) => new Float64Array(shard.counters)[0] ?? NaN);
  expect((enqueued[0] ?? NaN) + (enqueued[1] ?? NaN)).toBe(sent);
});
