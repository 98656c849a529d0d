import { expect, test } from "bun:test";
import type { Overflow } from "../../src/dispatch/options.ts";
import { TopicRegistry } from "../../src/dispatch/topic-registry.ts";
import { decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { frameLength } from "../../src/event/ext.ts";
import { FrameScanner } from "../../src/event/scan.ts";
import { ACKS_ACCEPTED, ACKS_DURABLE, RUN_HEADER_BYTES } from "../../src/event/run.ts";
import {
  DEAD_LETTERS,
  DEAD_LETTERS_LOST,
  DISPATCH_DOWNGRADED,
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  DISPATCH_PRESSURE,
  DISPATCH_UPGRADED,
} from "../../src/metrics/layout.ts";
import { DROP_REASONS } from "../../src/event/frame.ts";
import { STATUS_DROPPED, STATUS_OK } from "../../src/queue/completions.ts";
import { RingReader, RingWriter } from "../../src/queue/ring.ts";
import {
  createRig,
  LANES,
  type LaneSpec,
  offerRun,
  openRig,
  type Rig,
  takePayloads,
  takeRuns,
  takeVerdicts,
} from "./rig.ts";

/** One lane for all but BATCH, so that nothing is shed under pressure. */
function twoLanes(overflow: Overflow): LaneSpec[] {
  return [{ name: "fast", priorities: [1, 2, 3, 4], overflow }, { name: "batch", priorities: [0] }];
}

function shardRing(rig: Rig, index: number) {
  const shard = rig.options.shards[index];
  if (shard === undefined) throw new Error(`No shard ${index}`);
  return shard.ring;
}

function source(rig: Rig, index = 0): RingWriter {
  const writer = rig.sources[index];
  if (writer === undefined) throw new Error(`No source ${index}`);
  return writer;
}

function verdicts(rig: Rig) {
  const reader = rig.verdicts[0];
  if (reader === undefined) throw new Error("No verdicts");
  return takeVerdicts(reader);
}

function counter(rig: Rig, shard: number, index: number): number {
  return rig.counters[shard]?.[index] ?? NaN;
}

const dropped = (reason: (typeof DROP_REASONS)[number]) => DISPATCH_DROPPED + DROP_REASONS.indexOf(reason);
const buried = (reason: (typeof DROP_REASONS)[number]) => DEAD_LETTERS + DROP_REASONS.indexOf(reason);

test("each of the five priorities goes to its lane", () => {
  const rig = createRig();
  const events = [0, 1, 2, 3, 4].map((priority) => ({ topic: "t", priority, payload: `p${priority}` }));
  offerRun(source(rig), events);
  expect(rig.dispatcher.turn()).toBe(true);
  expect(takePayloads(shardRing(rig, 0))).toEqual(["p3", "p4"]);
  expect(takePayloads(shardRing(rig, 1))).toEqual(["p1", "p2"]);
  expect(takePayloads(shardRing(rig, 2))).toEqual(["p0"]);
  expect([0, 1, 2].map((shard) => counter(rig, shard, DISPATCH_ENQUEUED))).toEqual([2, 2, 1]);
  expect(rig.dispatcher.turn()).toBe(false);
  expect(rig.problems).toEqual([]);
});

test("the topic table raises a priority and never lowers one, and the CRC stays right", () => {
  const topics = [{ pattern: "sensor/1", priority: 4 }, { pattern: "slow.>", priority: 1 }];
  const rig = createRig({ topics });
  offerRun(source(rig), [
    { topic: "sensor/1", priority: 1, payload: "raised", crc: true, key: "k" },
    { topic: "slow.a.b", priority: 4, payload: "kept", crc: true },
    { topic: "slow.a.b", priority: 0, payload: "from batch" },
  ]);
  rig.dispatcher.turn();
  const reader = new RingReader(shardRing(rig, 0));
  const at = reader.next();
  const frameAt = at + RUN_HEADER_BYTES;
  expect(decodeFrame(reader.bytes, frameAt)).toMatchObject({ topic: "sensor/1", priority: 4, key: "k" });
  const scanner = new FrameScanner(1024);
  scanner.scan(reader.bytes, frameAt, at + (reader.words[at >> 2] ?? 0));
  expect(scanner.count).toBe(2);
  expect(decodeFrame(reader.bytes, frameAt + frameLength(reader.bytes, frameAt)).priority).toBe(4);
  expect(takePayloads(shardRing(rig, 1))).toEqual(["from batch"]);
  expect([counter(rig, 0, DISPATCH_UPGRADED), counter(rig, 1, DISPATCH_UPGRADED)]).toEqual([1, 1]);
});

test("a run for one shard goes over in one piece, with its header", () => {
  const rig = createRig();
  const events = Array.from({ length: 50 }, (_, index) => ({
    topic: `t${index % 7}`,
    priority: 3 + (index % 2),
    payload: `${index}`,
  }));
  offerRun(source(rig), events, { slot: 9, firstSeq: 1001 });
  rig.dispatcher.turn();
  const runs = takeRuns(shardRing(rig, 0));
  expect(runs).toHaveLength(1);
  expect(runs[0]).toMatchObject({ slot: 9, source: 0, firstSeq: 1001 });
  expect(runs[0]?.events.map((event) => Buffer.from(event.payload).toString())).toEqual(
    events.map((event) => event.payload),
  );
});

test("a run is split where the shard changes, and each part knows its first number", () => {
  const rig = createRig();
  const priorities = [4, 4, 2, 2, 2, 0, 3];
  offerRun(
    source(rig),
    priorities.map((priority, index) => ({ topic: "t", priority, payload: `${index}` })),
    { firstSeq: 11, acks: ACKS_ACCEPTED },
  );
  rig.dispatcher.turn();
  expect(takeRuns(shardRing(rig, 0)).map((run) => [run.firstSeq, run.events.length])).toEqual([[11, 2], [
    17,
    1,
  ]]);
  expect(takeRuns(shardRing(rig, 1)).map((run) => [run.firstSeq, run.events.length])).toEqual([[13, 3]]);
  expect(takeRuns(shardRing(rig, 2)).map((run) => [run.firstSeq, run.events.length])).toEqual([[16, 1]]);
  expect(verdicts(rig).map(({ status, firstSeq, count, offset }) => [status, firstSeq, count, offset]))
    .toEqual([
      [STATUS_OK, 11, 2, -1],
      [STATUS_OK, 13, 3, -1],
      [STATUS_OK, 16, 1, -1],
      [STATUS_OK, 17, 1, -1],
    ]);
});

test("the key decides the shard, else the topic, and the same always gives the same", () => {
  const rig = createRig({ lanes: [{ name: "all", priorities: [0, 1, 2, 3, 4], shardCount: 8 }] });
  const shardsOfKey = new Map<string, Set<number>>();
  for (let round = 0; round < 3; round++) {
    const events = Array.from({ length: 64 }, (_, index) => ({
      topic: `topic${round}`,
      payload: `${index}`,
      key: `key${index % 16}`,
    }));
    offerRun(source(rig), events);
    rig.dispatcher.turn();
    for (let shard = 0; shard < 8; shard++) {
      for (const event of takeRuns(shardRing(rig, shard)).flatMap((run) => run.events)) {
        const shards = shardsOfKey.get(event.key ?? "") ?? new Set();
        shardsOfKey.set(event.key ?? "", shards.add(shard));
      }
    }
  }
  expect(shardsOfKey.size).toBe(16);
  expect([...shardsOfKey.values()].every((shards) => shards.size === 1)).toBe(true);
  expect(new Set([...shardsOfKey.values()].flatMap((shards) => [...shards])).size).toBeGreaterThan(4);
});

/** Fills the queue of `shard` with events of `priority` until `bytes` of it are used. */
function fill(rig: Rig, shard: number, priority: number, bytes: number): number {
  let events = 0;
  while (new RingReader(shardRing(rig, shard)).depthBytes() < bytes) {
    offerRun(source(rig), [{ topic: "t", priority, payload: String(events++).padEnd(200) }], {
      firstSeq: events,
    });
    rig.dispatcher.turn();
  }
  return events;
}

test("under pressure HIGH goes on as MEDIUM, CRITICAL never, and a fixed lane stays", () => {
  const lanes = LANES.map((lane) => lane.name === "realtime" ? { ...lane, topics: ["pinned"] } : lane);
  const rig = createRig({ lanes });
  fill(rig, 0, 4, 0.74 * 65_536);
  rig.dispatcher.turn();
  expect(counter(rig, 0, DISPATCH_PRESSURE)).toBe(1);
  offerRun(source(rig), [
    { topic: "t", priority: 3, payload: "high", crc: true },
    { topic: "t", priority: 4, payload: "critical" },
    { topic: "pinned", priority: 3, payload: "pinned" },
  ]);
  rig.dispatcher.turn();
  const lowered = takeRuns(shardRing(rig, 1)).flatMap((run) => run.events);
  expect(lowered).toMatchObject([{ topic: "t", priority: 2 }]);
  expect(takePayloads(shardRing(rig, 0)).slice(-2)).toEqual(["critical", "pinned"]);
  expect(counter(rig, 1, DISPATCH_DOWNGRADED)).toBe(1);
  rig.dispatcher.turn();
  expect(counter(rig, 0, DISPATCH_PRESSURE)).toBe(0);
  offerRun(source(rig), [{ topic: "t", priority: 3, payload: "high again" }]);
  rig.dispatcher.turn();
  expect(takePayloads(shardRing(rig, 0))).toEqual(["high again"]);
});

test("drop_old: the oldest events make room, go to the dead letters and their durable producers hear of it", () => {
  const rig = createRig({
    lanes: twoLanes("drop_old"),
  });
  const total = 600;
  for (let index = 0; index < total; index++) {
    const event = { topic: "t", priority: 4, payload: String(index).padEnd(200) };
    offerRun(source(rig), [event], { firstSeq: index + 1, acks: ACKS_DURABLE });
    rig.dispatcher.turn();
  }
  const kept = takePayloads(shardRing(rig, 0)).map(Number);
  const lost = counter(rig, 0, dropped("drop_old"));
  expect(lost).toBe(total - kept.length);
  expect(lost).toBeGreaterThan(200);
  // The newest are kept, in order and without a gap.
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => lost + index));
  const letters = takeRuns(rig.options.deadLetters.ring).flatMap((run) => run.events);
  expect(letters.map((event) => Number(Buffer.from(event.payload).toString()))).toEqual(
    Array.from({ length: letters.length }, (_, index) => index),
  );
  expect(letters[0]?.headers).toContainEqual(["esc-dlq-reason", "drop_old"]);
  expect(rig.deadLetterCounters[buried("drop_old")]).toBe(letters.length);
  expect(rig.deadLetterCounters[DEAD_LETTERS_LOST]).toBe(lost - letters.length);
  const told = verdicts(rig);
  expect(told.every((verdict) => verdict.status === STATUS_DROPPED)).toBe(true);
  expect(told.map((verdict) => verdict.firstSeq)).toEqual(
    Array.from({ length: lost }, (_, index) => index + 1),
  );
});

test("drop_new: the newest events are refused, go to the dead letters, and what was queued stays", () => {
  const rig = createRig({
    lanes: twoLanes("drop_new"),
  });
  const total = 400;
  for (let index = 0; index < total; index++) {
    const event = { topic: "t", priority: 4, payload: String(index).padEnd(200) };
    offerRun(source(rig), [event], { firstSeq: index + 1, acks: ACKS_ACCEPTED });
    rig.dispatcher.turn();
  }
  const kept = takePayloads(shardRing(rig, 0)).map(Number);
  const lost = counter(rig, 0, dropped("queue_full"));
  expect(kept).toEqual(Array.from({ length: total - lost }, (_, index) => index));
  expect(lost).toBeGreaterThan(100);
  expect(counter(rig, 0, DISPATCH_ENQUEUED) + lost).toBe(total);
  const told = verdicts(rig);
  expect(told.filter((verdict) => verdict.status === STATUS_OK)).toHaveLength(total - lost);
  expect(told.filter((verdict) => verdict.status === STATUS_DROPPED).map((verdict) => verdict.firstSeq))
    .toEqual(
      Array.from({ length: lost }, (_, index) => total - lost + index + 1),
    );
  const letters = takeRuns(rig.options.deadLetters.ring).flatMap((run) => run.events);
  expect(letters).toHaveLength(lost);
  expect(letters[0]?.headers).toContainEqual(["esc-dlq-reason", "queue_full"]);
});

test("batch lane: 64 of 200 oldest events are shed under critical pressure", () => {
  const rig = createRig({
    lanes: [{ name: "all", priorities: [0, 1, 2, 3, 4], overflow: "drop_new", queueBytes: 65_536 }],
  });
  for (let index = 0; index < 200; index++) {
    offerRun(source(rig), [{ topic: "t", payload: String(index).padEnd(240) }]);
  }
  rig.dispatcher.turn();
  expect(counter(rig, 0, dropped("backpressure_drop"))).toBe(0);
  rig.dispatcher.turn();
  expect(counter(rig, 0, dropped("backpressure_drop"))).toBe(64);
  expect(takePayloads(shardRing(rig, 0)).map(Number)).toEqual(
    Array.from({ length: 136 }, (_, index) => index + 64),
  );
  const letters = takeRuns(rig.options.deadLetters.ring).flatMap((run) => run.events);
  expect(letters.map((event) => Number(Buffer.from(event.payload).toString()))).toEqual(
    Array.from({ length: 64 }, (_, index) => index),
  );
});

test("block: events wait in order, only their connection is flagged, other lanes go on", () => {
  const rig = createRig({ sourceCount: 2, sourceBytes: 1 << 18 });
  const total = 400;
  for (let index = 0; index < total; index++) {
    const event = { topic: "t", priority: 2, payload: String(index).padEnd(200) };
    offerRun(source(rig), [event], { slot: 5, firstSeq: index + 1, acks: ACKS_ACCEPTED });
  }
  rig.dispatcher.turn();
  expect(rig.blocked[0]?.[5]).toBe(1);
  expect(rig.blocked[0]?.filter((flag) => flag !== 0)).toHaveLength(1);
  const waiting = total - counter(rig, 1, DISPATCH_ENQUEUED);
  expect(waiting).toBeGreaterThan(50);
  expect(verdicts(rig).reduce((sum, verdict) => sum + verdict.count, 0)).toBe(total - waiting);
  // Another lane, another connection.
  offerRun(source(rig, 1), [{ topic: "t", priority: 4, payload: "through" }], { source: 1 });
  rig.dispatcher.turn();
  expect(takePayloads(shardRing(rig, 0))).toEqual(["through"]);
  expect(rig.blocked[1]?.some((flag) => flag !== 0)).toBe(false);
  const seen: number[] = [];
  while (seen.length < total) {
    seen.push(...takePayloads(shardRing(rig, 1)).map(Number));
    rig.dispatcher.turn();
  }
  expect(seen).toEqual(Array.from({ length: total }, (_, index) => index));
  expect(rig.blocked[0]?.[5]).toBe(0);
  expect(rig.dispatcher.isParking).toBe(false);
  expect(counter(rig, 1, DISPATCH_ENQUEUED)).toBe(total);
  expect(rig.options.deadLetters.ring && takeRuns(rig.options.deadLetters.ring)).toEqual([]);
});

test("a full parking ring stops its source inside a run, and a successor goes on at the same event", () => {
  const lanes = LANES.map((lane) =>
    lane.name === "transactional" ? { ...lane, queueBytes: 8192, parkingBytes: 4096 } : lane
  );
  const rig = createRig({ lanes });
  // Parts for two shards in turn, so that the stop lies inside the run.
  const total = 120;
  const events = Array.from({ length: total }, (_, index) => ({
    topic: "t",
    priority: index % 2 === 0 ? 2 : 4,
    payload: String(index).padEnd(180),
  }));
  offerRun(source(rig), events, { firstSeq: 1, acks: ACKS_ACCEPTED, slot: 3 });
  rig.dispatcher.turn();
  const before = new TopicRegistry(rig.options.topics).list();
  const successor = openRig(rig.options);
  expect(successor.blocked[0]?.[3]).toBe(1);
  const seen: number[] = [];
  const realtime: number[] = [];
  for (let round = 0; round < 100; round++) {
    seen.push(...takePayloads(shardRing(rig, 1)).map(Number));
    realtime.push(...takePayloads(shardRing(rig, 0)).map(Number));
    successor.dispatcher.turn();
  }
  expect(seen).toEqual(Array.from({ length: total / 2 }, (_, index) => index * 2));
  expect(realtime).toEqual(Array.from({ length: total / 2 }, (_, index) => index * 2 + 1));
  expect(before[0]?.events).toBeLessThan(total);
  expect(new TopicRegistry(rig.options.topics).list()).toMatchObject([{ topic: "t", events: total }]);
});

test("several runs that are split in one turn each go on at their own first event", () => {
  const rig = createRig();
  const events = Array.from({ length: 40 }, (_, index) => ({
    topic: "t",
    priority: index % 2 === 0 ? 2 : 4,
    payload: String(index),
  }));
  for (let run = 0; run < 5; run++) offerRun(source(rig), events, { firstSeq: run * 40 + 1 });
  rig.dispatcher.turn();
  const even = Array.from({ length: 20 }, (_, index) => String(index * 2));
  expect(takePayloads(shardRing(rig, 1))).toEqual([...even, ...even, ...even, ...even, ...even]);
});

test("the registry lists topics with their lane, and topics beyond its size are still routed", () => {
  const rig = createRig({ topicsMax: 2, topics: [{ pattern: "c", priority: 4 }] });
  offerRun(source(rig), ["a", "b", "c", "c", "a"].map((topic) => ({ topic, payload: topic })));
  rig.dispatcher.turn();
  expect(takePayloads(shardRing(rig, 2))).toEqual(["a", "b", "a"]);
  expect(takePayloads(shardRing(rig, 0))).toEqual(["c", "c"]);
  expect(new TopicRegistry(rig.options.topics).list().map(({ topic, events, lane }) => [topic, events, lane]))
    .toEqual([
      ["a", 2, 2],
      ["b", 1, 2],
    ]);
});

test("new routes apply to known topics", () => {
  const rig = createRig();
  offerRun(source(rig), [{ topic: "x", payload: "1" }]);
  rig.dispatcher.turn();
  rig.dispatcher.setRoutes({ ...rig.options.routes, topics: [{ pattern: "*", lane: "realtime" }] });
  offerRun(source(rig), [{ topic: "x", payload: "2" }]);
  rig.dispatcher.turn();
  expect(takePayloads(shardRing(rig, 2))).toEqual(["1"]);
  expect(takePayloads(shardRing(rig, 0))).toEqual(["2"]);
});

test("a run whose frames do not fit its header is reported and skipped", () => {
  const rig = createRig();
  const frame = encodeFrame({ topic: "t", payload: "x" });
  const writer = source(rig);
  offerRun(writer, [{ topic: "t", payload: "good" }]);
  const at = writer.reserve(RUN_HEADER_BYTES + frame.length);
  writer.words.fill(0, (at >> 2) + 1, (at >> 2) + 8);
  writer.bytes.set(frame, at + RUN_HEADER_BYTES);
  writer.bytes[at + RUN_HEADER_BYTES + 3] = 200;
  writer.publish();
  offerRun(writer, [{ topic: "t", payload: "after" }]);
  rig.dispatcher.turn();
  expect(takePayloads(shardRing(rig, 2))).toEqual(["good", "after"]);
  expect(rig.problems).toHaveLength(1);
});
