/** What becomes of events, and of their ids, when the disk does not keep what was written. */
import { beforeEach, expect, test } from "bun:test";
import { ACKS_DURABLE } from "../../src/event/run.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { LANE_DURABLE } from "../../src/metrics/layout.ts";
import { STATUS_DUPLICATE, STATUS_FAILED, STATUS_OK } from "../../src/queue/completions.ts";
import { RingWriter } from "../../src/queue/ring.ts";
import { offerRun } from "../dispatch/rig.ts";
import { append, readAll } from "../log/runs.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { createLaneMemory, type LaneMemory, openLane, takeVerdicts } from "./rig.ts";

const DIRECTORY = "data/log/lane/0";
let disk: SimDisk;
let nowUs: number;

beforeEach(() => {
  disk = new SimDisk(new SimRandom(3));
  nowUs = 0;
});

/** Sends one event that waits to be durable, its text as its id. */
function send(memory: LaneMemory, text: string, acks?: number): void {
  const [ring] = memory.shard.inputs;
  if (ring === undefined) throw new Error("No input");
  const isTaken = offerRun(new RingWriter(ring), [{ topic: "t", payload: text, id: text }], {
    ...(acks === undefined ? {} : { acks }),
    firstSeq: 1,
  });
  expect(isTaken).toBe(true);
}

function statuses(memory: LaneMemory): number[] {
  return takeVerdicts(memory).map((verdict) => verdict.status);
}

test("interval: the ids of events that a failed sync lost are forgotten, and who sends them again is heard", () => {
  const memory = createLaneMemory({ directory: DIRECTORY, durability: "interval", syncIntervalMs: 100 });
  const state = new ShardState(memory.shard.info.state);
  const { lane, damage } = openLane(memory, { files: disk, nowUs: () => nowUs });
  send(memory, "safe");
  lane.turn();
  lane.sync();
  const path = disk.paths().find((name) => name.endsWith(".log")) ?? "";
  const durable = disk.content(path).slice();
  send(memory, "lost");
  lane.turn();
  expect([state.visibleOffset, state.durableOffset]).toEqual([2, 1]);
  // While it is in doubt, nobody hears that it is stored.
  nowUs += 200_000;
  disk.failsAtCall = 1;
  lane.turn();
  expect(lane.hasFailed).toBe(true);
  send(memory, "lost", ACKS_DURABLE);
  lane.turn();
  expect(statuses(memory)).toEqual([STATUS_FAILED]);
  // The machine has dropped the pages it could not write.
  disk.overwrite(path, durable);
  nowUs += 1_000_000;
  lane.turn();
  expect(lane.hasFailed).toBe(false);
  expect(damage).toMatchObject([{ kind: "lost", fromOffset: 1, toOffset: 2 }]);
  send(memory, "lost", ACKS_DURABLE);
  send(memory, "safe", ACKS_DURABLE);
  lane.turn();
  expect(statuses(memory)).toEqual([STATUS_OK, STATUS_DUPLICATE]);
  expect(readAll(disk, DIRECTORY, state.visibleOffset)).toEqual(["0:safe", "2:lost"]);
  lane.close();
  // Nor does another process believe that the first one was stored.
  const again = createLaneMemory({ directory: DIRECTORY });
  const { lane: next } = openLane(again, { files: disk, nowUs: () => nowUs });
  send(again, "lost", ACKS_DURABLE);
  next.turn();
  expect(takeVerdicts(again)).toMatchObject([{ status: STATUS_DUPLICATE, offset: 2 }]);
});

test("a successor whose log has lost what readers saw leaves their offsets out, and says so", () => {
  const memory = createLaneMemory({ directory: DIRECTORY, durability: "interval", syncIntervalMs: 100 });
  const state = new ShardState(memory.shard.info.state);
  const { lane } = openLane(memory, { files: disk, nowUs: () => nowUs });
  send(memory, "safe");
  lane.turn();
  lane.sync();
  const path = disk.paths().find((name) => name.endsWith(".log")) ?? "";
  const durable = disk.content(path).slice();
  send(memory, "lost");
  lane.turn();
  nowUs += 200_000;
  disk.failsAtCall = 1;
  lane.turn();
  expect([lane.hasFailed, state.visibleOffset]).toEqual([true, 2]);
  // The thread ends before it can save them, and the machine has dropped what it could not write.
  disk.overwrite(path, durable);
  const { lane: successor, damage } = openLane(memory, { files: disk, nowUs: () => nowUs });
  // Said once as news, and once by the reader that looks for message ids.
  expect(damage).toMatchObject([
    { kind: "lost", fromOffset: 1, toOffset: 2 },
    { kind: "missing", fromOffset: 1, toOffset: 2 },
  ]);
  send(memory, "lost", ACKS_DURABLE);
  successor.turn();
  expect(takeVerdicts(memory)).toMatchObject([{ status: STATUS_OK, offset: 2 }]);
  expect(readAll(disk, DIRECTORY, state.visibleOffset)).toEqual(["0:safe", "2:lost"]);
  successor.close();
  // Another process finds the same end, and no damage that is new.
  const reports: string[] = [];
  const writer = LogWriter.open(disk, DIRECTORY, LOG_OPTIONS_DEFAULT, ({ kind }) => reports.push(kind));
  expect([writer.nextOffset, reports]).toEqual([3, []]);
});

test.each(["fsync", "interval"] as const)(
  "%s: a log that cannot be repaired at start shows what its lane promises, and counts nothing as new",
  (durability) => {
    const options = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 1 << 16, minFreeBytes: 0 };
    const writer = LogWriter.open(disk, DIRECTORY, options, () => {});
    append(writer, ["durable"]);
    writer.sync();
    append(writer, ["written"]);
    disk.killProcess();
    disk.failureRate = 1;
    const memory = createLaneMemory({ directory: DIRECTORY, durability });
    const { lane } = openLane(memory, { files: disk, nowUs: () => nowUs });
    const state = new ShardState(memory.shard.info.state);
    const shown = durability === "fsync" ? ["0:durable"] : ["0:durable", "1:written"];
    expect(lane.hasFailed).toBe(true);
    expect(readAll(disk, DIRECTORY, state.visibleOffset)).toEqual(shown);
    disk.heal();
    nowUs += 2_000_000;
    lane.turn();
    expect(lane.hasFailed).toBe(false);
    expect(readAll(disk, DIRECTORY, state.visibleOffset)).toEqual(["0:durable", "1:written"]);
    send(memory, "new");
    lane.turn();
    lane.sync();
    expect(state.durableOffset).toBe(3);
    expect(new Float64Array(memory.shard.counters)[LANE_DURABLE]).toBe(1);
  },
);
