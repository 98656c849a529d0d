import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Files } from "../../src/log/files.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import { DROP_REASONS } from "../../src/event/frame.ts";
import { ACKS_DURABLE, ACKS_NONE } from "../../src/event/run.ts";
import {
  LANE_ACCEPTED,
  LANE_BATCHES,
  LANE_DROPPED,
  LANE_DUPLICATES,
  LANE_DURABLE,
  LANE_FAILED,
  LANE_SYNCS,
} from "../../src/metrics/layout.ts";
import { STATUS_DUPLICATE, STATUS_FAILED, STATUS_OK } from "../../src/queue/completions.ts";
import { RingWriter } from "../../src/queue/ring.ts";
import { offerRun, type RunOptions } from "../dispatch/rig.ts";
import { TemporaryFolder } from "../support/temp.ts";
import {
  createLaneMemory,
  hookedFiles,
  type LaneMemory,
  type LaneMemoryOptions,
  openLane,
  readLog,
  snapshot,
  takeVerdicts,
} from "./rig.ts";

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder("lane");
});
afterEach(() => folder.remove());

function memoryOf(options: Partial<LaneMemoryOptions> = {}): LaneMemory {
  return createLaneMemory({ directory: folder.path("log"), ...options });
}

function send(
  memory: LaneMemory,
  payloads: readonly string[],
  options: RunOptions & { input?: number; ids?: boolean } = {},
) {
  const ring = memory.shard.inputs[options.input ?? 0];
  if (ring === undefined) throw new Error("No such input");
  const events = payloads.map((payload) => ({
    topic: "t",
    payload,
    ...(options.ids ? { id: `id-${payload}` } : {}),
  }));
  expect(offerRun(new RingWriter(ring), events, options)).toBe(true);
}

function counterOf(memory: LaneMemory, index: number): number {
  return new Float64Array(memory.shard.counters)[index] ?? NaN;
}

function stored(memory: LaneMemory): string[] {
  const { info } = memory.shard;
  const events = readLog(info.directory, new ShardState(info.state).visibleOffset);
  expect(events.map((event) => event.offset)).toEqual(events.map((_, index) => index));
  return events.map((event) => event.payload);
}

/** Real files, of which calls named in `broken` fail like a broken disk. */
function breakableFiles(broken: ReadonlySet<string>): Files {
  return hookedFiles((call) => {
    if (broken.has(call)) throw Object.assign(new Error("broken"), { code: "EIO" });
  });
}

test("turn() stores everything in the queues as one batch with one sync, and answers those who wait", () => {
  const memory = memoryOf({ inputCount: 2 });
  const { lane } = openLane(memory);
  send(memory, ["a", "b"], { acks: ACKS_DURABLE, firstSeq: 5, slot: 3 });
  send(memory, ["c"], { acks: ACKS_NONE });
  send(memory, ["d"], { acks: ACKS_DURABLE, firstSeq: 1, slot: 4, input: 1 });
  expect(lane.turn()).toBe(true);
  expect(lane.turn()).toBe(false);
  expect(stored(memory)).toEqual(["a", "b", "c", "d"]);
  expect(
    takeVerdicts(memory).map((
      verdict,
    ) => [
      verdict.connection & 0xffff,
      verdict.status,
      verdict.firstSeq,
      verdict.count,
      verdict.offset,
      verdict.shard,
    ]),
  ).toEqual([
    [3, STATUS_OK, 5, 2, 0, 4],
    [4, STATUS_OK, 1, 1, 3, 4],
  ]);
  expect([LANE_ACCEPTED, LANE_DURABLE, LANE_BATCHES, LANE_SYNCS].map((index) => counterOf(memory, index)))
    .toEqual([4, 4, 1, 1]);
  const state = new ShardState(memory.shard.info.state);
  expect([state.firstOffset, state.durableOffset, state.visibleOffset, state.nextOffset]).toEqual([
    0,
    4,
    4,
    4,
  ]);
  expect(lane.isDrained).toBe(true);
});

test("who is told that an event is durable finds it in the counters", () => {
  const memory = memoryOf();
  const seen: number[][] = [];
  const { lane } = openLane(memory, {
    onAnswer: () =>
      seen.push([LANE_ACCEPTED, LANE_DURABLE, LANE_DUPLICATES].map((index) => counterOf(memory, index))),
  });
  send(memory, ["a", "b", "a"], { ids: true, acks: ACKS_DURABLE, firstSeq: 1 });
  lane.turn();
  expect(seen).toEqual([[2, 2, 1], [2, 2, 1]]);
});

test("a repeated id is acknowledged with the offset of the first and not stored, within a batch and after a restart", () => {
  const memory = memoryOf();
  const first = openLane(memory);
  send(memory, ["a", "b", "a", "c", "b"], { ids: true, acks: ACKS_DURABLE, firstSeq: 1 });
  first.lane.turn();
  expect(stored(memory)).toEqual(["a", "b", "c"]);
  expect(
    takeVerdicts(memory).map((verdict) => [verdict.status, verdict.firstSeq, verdict.count, verdict.offset]),
  ).toEqual([
    [STATUS_OK, 1, 2, 0],
    [STATUS_DUPLICATE, 3, 1, 0],
    [STATUS_OK, 4, 1, 2],
    [STATUS_DUPLICATE, 5, 1, 1],
  ]);
  first.lane.close();
  // Another process: nothing survives but the files.
  const again = memoryOf();
  const second = openLane(again);
  send(again, ["b", "c", "d"], { ids: true, acks: ACKS_DURABLE, firstSeq: 1 });
  send(again, ["c", "a"], { ids: true, acks: ACKS_DURABLE, firstSeq: 4 });
  second.lane.turn();
  expect(stored(again)).toEqual(["a", "b", "c", "d"]);
  expect(
    takeVerdicts(again).map((verdict) => [verdict.status, verdict.firstSeq, verdict.count, verdict.offset]),
  ).toEqual([
    [STATUS_DUPLICATE, 1, 2, 1],
    [STATUS_OK, 3, 1, 3],
    [STATUS_DUPLICATE, 4, 1, 2],
    [STATUS_DUPLICATE, 5, 1, 0],
  ]);
  expect([LANE_ACCEPTED, LANE_DUPLICATES].map((index) => counterOf(again, index))).toEqual([1, 4]);
});

test("an id is new again after the window", () => {
  const memory = memoryOf({ dedup: { windowMs: 1000, idsMax: 64 } });
  let now = 1_700_000_000_000_000 % 0x1_0000_0000;
  const { lane } = openLane(memory, { nowUs: () => now });
  send(memory, ["a"], { ids: true });
  lane.turn();
  now += 1_000_000;
  send(memory, ["a"], { ids: true });
  lane.turn();
  expect(stored(memory)).toEqual(["a"]);
  now += 1;
  send(memory, ["a"], { ids: true });
  lane.turn();
  expect(stored(memory)).toEqual(["a", "a"]);
});

test("interval: events are visible at once and durable when the interval is over, or when somebody waits", () => {
  let now = 0;
  const memory = memoryOf({ durability: "interval", syncIntervalMs: 100 });
  const { lane } = openLane(memory, { nowUs: () => now });
  const state = new ShardState(memory.shard.info.state);
  const offsets = () => [state.durableOffset, state.visibleOffset, state.nextOffset];
  send(memory, ["a"]);
  lane.turn();
  expect(offsets()).toEqual([0, 1, 1]);
  expect(lane.dueUs(now)).toBe(100_000);
  now = 99_999;
  lane.turn();
  expect(offsets()).toEqual([0, 1, 1]);
  now = 100_000;
  lane.turn();
  expect(offsets()).toEqual([1, 1, 1]);
  send(memory, ["b"], { acks: ACKS_DURABLE });
  lane.turn();
  expect(offsets()).toEqual([2, 2, 2]);
  expect(takeVerdicts(memory)).toHaveLength(1);
  expect(counterOf(memory, LANE_DURABLE)).toBe(2);
});

test("none: events are durable when somebody waits or when the log is closed", () => {
  const memory = memoryOf({ durability: "none" });
  const { lane } = openLane(memory, { nowUs: () => 10_000_000_000 });
  send(memory, ["a"]);
  lane.turn();
  lane.turn();
  expect(new ShardState(memory.shard.info.state).durableOffset).toBe(0);
  lane.close();
  expect(counterOf(memory, LANE_DURABLE)).toBe(1);
});

test.each(["write", "sync"] as const)(
  "a failed %s refuses those who wait, keeps the others, and goes on when it can",
  (call) => {
    const broken = new Set<string>();
    let now = 0;
    const memory = memoryOf();
    const rig = openLane(memory, { files: breakableFiles(broken), nowUs: () => now });
    const { lane } = rig;
    send(memory, ["a"], { acks: ACKS_DURABLE, firstSeq: 1, ids: true });
    lane.turn();
    takeVerdicts(memory);
    broken.add(call);
    send(memory, ["b", "c"], { acks: ACKS_DURABLE, firstSeq: 2, ids: true });
    send(memory, ["kept"], { acks: ACKS_NONE, ids: true });
    lane.turn();
    expect(lane.hasFailed).toBe(true);
    expect(rig.failures.map((error) => error.code)).toEqual(["LOG_UNAVAILABLE"]);
    expect(counterOf(memory, LANE_FAILED)).toBe(1);
    expect(takeVerdicts(memory).map((verdict) => [verdict.status, verdict.firstSeq, verdict.count])).toEqual([
      [STATUS_FAILED, 2, 2],
    ]);
    expect(new ShardState(memory.shard.info.state).durableOffset).toBe(1);
    // While it is broken, durable events are answered at once.
    send(memory, ["d"], { acks: ACKS_DURABLE, firstSeq: 4, ids: true });
    lane.turn();
    expect(takeVerdicts(memory).map((verdict) => [verdict.status, verdict.firstSeq])).toEqual([[
      STATUS_FAILED,
      4,
    ]]);
    broken.clear();
    expect(lane.hasFailed).toBe(true);
    now += 1_000_000;
    lane.turn();
    expect(lane.hasFailed).toBe(false);
    expect(rig.recoveries).toBe(1);
    // The refused ones come again, with the same ids: they are new.
    send(memory, ["b", "c"], { acks: ACKS_DURABLE, firstSeq: 5, ids: true });
    lane.turn();
    expect(stored(memory)).toEqual(["a", "kept", "b", "c"]);
    expect(takeVerdicts(memory).map((verdict) => [verdict.status, verdict.firstSeq, verdict.offset])).toEqual(
      [[STATUS_OK, 5, 2]],
    );
    const failed = LANE_DROPPED + DROP_REASONS.indexOf("log_failed");
    expect([LANE_ACCEPTED, LANE_DURABLE, failed, LANE_DUPLICATES].map((index) => counterOf(memory, index)))
      .toEqual([7, 4, 3, 0]);
  },
);

test("interval: a failed sync for somebody who waits hides the batch, and stores the others' events once", () => {
  const broken = new Set<string>();
  let now = 0;
  const memory = memoryOf({ durability: "interval", syncIntervalMs: 100 });
  const { lane } = openLane(memory, { files: breakableFiles(broken), nowUs: () => now });
  const state = new ShardState(memory.shard.info.state);
  send(memory, ["seen"]);
  lane.turn();
  expect(state.visibleOffset).toBe(1);
  broken.add("sync");
  send(memory, ["kept"]);
  send(memory, ["refused"], { acks: ACKS_DURABLE, firstSeq: 1 });
  lane.turn();
  expect([state.visibleOffset, state.nextOffset]).toEqual([1, 1]);
  now = 20_000_000;
  lane.turn();
  expect([state.visibleOffset, state.nextOffset, lane.hasFailed]).toEqual([1, 1, true]);
  broken.clear();
  now = 40_000_000;
  lane.turn();
  expect(stored(memory)).toEqual(["seen", "kept"]);
  lane.close();
  expect([state.durableOffset, counterOf(memory, LANE_DURABLE), counterOf(memory, LANE_FAILED)]).toEqual([
    2,
    2,
    0,
  ]);
  expect(takeVerdicts(memory).map((verdict) => verdict.status)).toEqual([STATUS_FAILED]);
});

test("a successor finishes the batch exactly once, wherever the thread ended", () => {
  const payloads = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => `${from + index}`.padEnd(40));
  // Every third run repeats the one before.
  const runOf = (run: number) => run % 3 === 2 ? run - 1 : run;
  const once = Array.from({ length: 120 }, (_, id) => id).filter((id) =>
    runOf(Math.floor(id / 10)) * 10 === id - id % 10
  );
  let points = 0;
  for (let point = 1;; point++) {
    const memory = memoryOf({ directory: folder.path(`log-${point}`), handBytes: 64, segmentBytes: 4096 });
    let left = point;
    let caught: LaneMemory | undefined;
    const tick = () => {
      if (--left === 0) caught = snapshot(memory, folder.path(`at-${point}`));
    };
    let seq = 1;
    for (let run = 0; run < 12; run++) {
      send(memory, payloads(runOf(run) * 10, 10), { ids: true, acks: ACKS_DURABLE, firstSeq: seq });
      seq += 10;
    }
    const { lane } = openLane(memory, { files: hookedFiles(tick, tick), nowUs: () => (tick(), 1_000_000) });
    while (lane.turn());
    if (caught === undefined) break;
    points++;
    const successor = openLane(caught);
    while (successor.lane.turn());
    expect(successor.damage).toEqual([]);
    const ids = stored(caught).map((payload) => Number(payload));
    expect(ids).toEqual(once);
    const told = new Map<number, number>();
    for (const verdict of takeVerdicts(caught)) {
      for (let index = 0; index < verdict.count; index++) {
        told.set(verdict.firstSeq + index, verdict.offset + index);
      }
    }
    // Everybody was answered, with the offset where the event lies.
    expect([...told.keys()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 120 }, (_, index) => index + 1),
    );
    for (const [number, offset] of told) {
      const run = Math.floor((number - 1) / 10);
      expect(ids[offset]).toBe(runOf(run) * 10 + (number - 1) % 10);
    }
    expect(counterOf(caught, LANE_ACCEPTED)).toBe(ids.length);
    expect(counterOf(caught, LANE_DURABLE)).toBe(ids.length);
    successor.lane.close();
    lane.close();
  }
  expect(points).toBeGreaterThan(60);
});
