import { afterEach, expect, test } from "bun:test";
import { BadRequest, type SubscriptionRequest } from "../../src/deliver/request.ts";
import { openSubscription, type Subscription } from "../../src/deliver/subscription.ts";
import { EVENTS_BYTES_MAX, eventsTargetBytesMin } from "../../src/deliver/events-frame.ts";
import { ShardTails } from "../../src/deliver/tail.ts";
import { createCounters, openCounters } from "../../src/metrics/counters.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import { SOURCE_COUNTERS, SOURCE_DELIVERED } from "../../src/metrics/layout.ts";
import { type Random, withRandom } from "../support/seed.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { type ReadEvent, readEventsFrames, type ReadFrame } from "./events-reader.ts";
import { LogRig, type TestRun } from "./log-rig.ts";

const NOW_US = 1_700_000_000_000_000;
const TARGET_BYTES = eventsTargetBytesMin(1 << 20);
const open: { close(): void }[] = [];

afterEach(() => {
  for (const closeable of open.splice(0)) closeable.close();
});

function setUp(lanes: Readonly<Record<string, number>>, segmentBytes?: number) {
  const folder = new TemporaryFolder("deliver");
  const rig = new LogRig(folder.root, lanes, segmentBytes);
  const tails = new ShardTails(rig.infos, (damage) => {
    throw new Error(`Damage: ${damage.kind}`);
  });
  open.push(rig, tails, { close: () => folder.remove() });
  const counters = openCounters(createCounters(SOURCE_COUNTERS));
  const latencies = rig.infos.map(() => Histogram.empty());
  const meters = { counters, latencies, nowUs: () => NOW_US };
  const subscribe = (request: Partial<SubscriptionRequest>, stored?: Readonly<Record<string, number>>) => {
    const whole = { id: "s", topics: [">"], from: "earliest" as const, ...request };
    return openSubscription(whole, { tails, meters, stored });
  };
  const opened = (request: Partial<SubscriptionRequest>, stored?: Readonly<Record<string, number>>) => {
    const result = subscribe(request, stored);
    if (result instanceof BadRequest) throw new Error(result.message);
    return result;
  };
  return { rig, tails, counters, latencies, subscribe, opened };
}

/** Fills until nothing more comes. */
function drain(subscription: Subscription, bytesMax = TARGET_BYTES): ReadFrame[] {
  const target = new Uint8Array(TARGET_BYTES);
  const frames: ReadFrame[] = [];
  for (;;) {
    const written = subscription.fill(target, 0, bytesMax);
    expect(written).toBeLessThanOrEqual(bytesMax);
    frames.push(...readEventsFrames(target, written));
    if (written === 0 && !subscription.hasMore) return frames;
  }
}

const eventsOf = (frames: readonly ReadFrame[]) => frames.flatMap((frame) => frame.events);
const shown = (events: readonly ReadEvent[]) =>
  events.map((event) => `${event.key}@${event.offset} ${event.payload}`);

function run(receivedUs: number, topic: string, payloads: readonly string[]): TestRun {
  return { receivedUs, events: payloads.map((payload) => ({ topic, payload, priority: 1 })) };
}

test("fill() writes every event of every shard once, with its offset and reception time", () => {
  const { rig, opened, counters } = setUp({ realtime: 1, transactional: 2 });
  rig.append(0, [run(NOW_US - 5, "a.b", ["1", "2"]), run(NOW_US - 4, "a.c", ["3"])]);
  rig.append(2, [run(NOW_US - 3, "a.d", ["4"])]);
  const frames = drain(opened({ id: "sub-1" }));
  expect(eventsOf(frames)).toEqual([
    { id: "sub-1", key: "realtime/0", offset: 0, topic: "a.b", payload: "1", receivedUs: NOW_US - 5 },
    { id: "sub-1", key: "realtime/0", offset: 1, topic: "a.b", payload: "2", receivedUs: NOW_US - 5 },
    { id: "sub-1", key: "realtime/0", offset: 2, topic: "a.c", payload: "3", receivedUs: NOW_US - 4 },
    { id: "sub-1", key: "transactional/1", offset: 0, topic: "a.d", payload: "4", receivedUs: NOW_US - 3 },
  ]);
  expect(frames.map((frame) => frame.blocks)).toEqual([2, 1]);
  expect(counters[SOURCE_DELIVERED]).toBe(4);
});

test("fill() writes the bytes of docs/protocol.md", () => {
  const { rig, opened } = setUp({ rt: 1 });
  rig.append(0, [run(0x0001_0203_0405_06, "t", ["x"])]);
  const target = new Uint8Array(TARGET_BYTES);
  const written = opened({ id: "ab" }).fill(target, 0, TARGET_BYTES);
  expect(Buffer.from(target.subarray(0, written)).toString("hex")).toBe(
    "0000002b2006" + // length, control, EVENTS
      "026162" + "027274" + "0000" + // id "ab", lane "rt", shard 0
      "0000000000000000" + "00000001" + "0000010203040506" + "00000009" + // base, count, received, bytes
      "00000005" + "01" + "0001" + "74" + "78", // the event's own frame
  );
});

test("fill() makes one block of consecutive matches and remembers what did not match", () => {
  const { rig, opened } = setUp({ rt: 1 });
  const events = ["a", "a", "b", "a", "b", "b", "a"].map((topic, index) => ({ topic, payload: `${index}` }));
  rig.append(0, [{ receivedUs: 1, events }]);
  const subscription = opened({ topics: ["a"] });
  const frames = drain(subscription);
  expect(shown(eventsOf(frames))).toEqual(["rt/0@0 0", "rt/0@1 1", "rt/0@3 3", "rt/0@6 6"]);
  expect(frames.map((frame) => frame.blocks)).toEqual([3]);
  rig.append(0, [run(2, "b", ["7", "8"])]);
  expect(subscription.fill(new Uint8Array(TARGET_BYTES), 0, TARGET_BYTES)).toBe(0);
  expect(subscription.positions()).toEqual({ "rt/0": 9 });
});

test("fill() sends a tail subscriber what comes in later, and measures only that", () => {
  const { rig, opened, latencies } = setUp({ rt: 1 });
  rig.append(0, [run(NOW_US - 1_000_000, "t", ["old"])]);
  const subscription = opened({});
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@0 old"]);
  expect(latencies[0]?.count).toBe(0);
  rig.append(0, [run(NOW_US - 500, "t", ["new", "newer"])]);
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@1 new", "rt/0@2 newer"]);
  expect(latencies[0]?.count).toBe(2);
  expect(latencies[0]?.percentile(50)).toBe(500);
});

test("from latest, earliest, offsets and time begin where they say", () => {
  const { rig, opened } = setUp({ rt: 1, tx: 1 });
  for (let index = 0; index < 5; index++) rig.append(0, [run(100 + index, "t", [`${index}`])]);
  rig.append(1, [run(100, "t", ["x"])]);
  const offsets = (request: Partial<SubscriptionRequest>) => {
    const subscription = opened(request);
    return shown(eventsOf(drain(subscription)));
  };
  expect(offsets({ from: "latest" })).toEqual([]);
  expect(offsets({ from: "earliest", lanes: ["tx"] })).toEqual(["tx/0@0 x"]);
  expect(offsets({ from: { offsets: { "rt/0": 3 } } })).toEqual(["rt/0@3 3", "rt/0@4 4"]);
  expect(offsets({ from: { offsets: { "rt/0": 4 }, others: "earliest" } })).toEqual(["rt/0@4 4", "tx/0@0 x"]);
  expect(offsets({ from: { timeUs: 103 } })).toEqual(["rt/0@3 3", "rt/0@4 4"]);
  expect(offsets({ from: { timeUs: 999 } })).toEqual([]);
  // A position of a log that is gone: what comes next is new.
  expect(opened({ from: { offsets: { "rt/0": 99 } } }).positions()).toEqual({ "rt/0": 5, "tx/0": 1 });
});

test("a stored position wins over from; a shard without one is read from the beginning", () => {
  const { rig, opened } = setUp({ rt: 1, tx: 1 });
  rig.append(0, [run(1, "t", ["0", "1", "2"])]);
  rig.append(1, [run(1, "t", ["x"])]);
  const subscription = opened({ from: "latest", consumer: "c" }, { "rt/0": 2 });
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@2 2", "tx/0@0 x"]);
});

test("the dead-letter lane is read only by those who ask for it", () => {
  const { rig, opened } = setUp({ rt: 1, dlq: 1 });
  rig.append(1, [run(1, "t", ["dead"])]);
  expect(eventsOf(drain(opened({})))).toEqual([]);
  expect(shown(eventsOf(drain(opened({ lanes: ["dlq"] }))))).toEqual(["dlq/0@0 dead"]);
});

test("openSubscription() refuses unknown lanes, unknown shards and bad patterns", () => {
  const { subscribe } = setUp({ rt: 1 });
  expect(subscribe({ lanes: ["nope"] })).toEqual(new BadRequest('Lane "nope" does not exist'));
  expect(subscribe({ from: { offsets: { "rt/1": 0 } } })).toEqual(
    new BadRequest('Shard "rt/1" does not exist'),
  );
  expect(subscribe({ topics: [">.a"] })).toBeInstanceOf(BadRequest);
  expect(subscribe({ topics: [""] })).toBeInstanceOf(BadRequest);
});

test("max_in_flight holds back events until they are confirmed, counted exactly under a filter", () => {
  const { rig, opened } = setUp({ rt: 1 });
  const events = Array.from(
    { length: 20 },
    (_, index) => ({ topic: index % 2 ? "odd" : "even", payload: `${index}` }),
  );
  rig.append(0, [{ receivedUs: 1, events }]);
  const subscription = opened({ topics: ["odd"], maxInFlight: 3 });
  const offsets = () => eventsOf(drain(subscription)).map((event) => event.offset);
  expect(offsets()).toEqual([1, 3, 5]);
  expect(subscription.inFlightCount).toBe(3);
  expect(subscription.confirm({ "rt/0": 4 })).toEqual({ "rt/0": 4 });
  expect(subscription.inFlightCount).toBe(1);
  expect(offsets()).toEqual([7, 9]);
  // A confirmation past what was sent counts up to there.
  const taken = subscription.confirm({ "rt/0": 1_000 });
  expect(taken).toEqual({ "rt/0": subscription.positions()["rt/0"] as number });
  expect(subscription.inFlightCount).toBe(0);
  expect(offsets()).toEqual([11, 13, 15]);
  expect(subscription.confirm({ "tx/0": 1 })).toBeInstanceOf(BadRequest);
});

test("confirm() moves past what did not match, where nothing before it is unconfirmed", () => {
  const { rig, opened } = setUp({ rt: 1, tx: 1 });
  rig.append(0, [run(1, "a", ["0"]), run(1, "b", ["1", "2"])]);
  rig.append(1, [run(1, "b", ["x", "y"])]);
  const subscription = opened({ topics: ["a"] });
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@0 0"]);
  expect(subscription.confirm({})).toEqual({ "tx/0": 2 });
  expect(subscription.confirm({ "rt/0": 0 })).toEqual({ "rt/0": 0, "tx/0": 2 });
  expect(subscription.confirm({ "rt/0": 1 })).toEqual({ "rt/0": 3, "tx/0": 2 });
  // A confirmation never goes back.
  expect(subscription.confirm({ "rt/0": 0 })).toEqual({ "rt/0": 3, "tx/0": 2 });
});

test("max_in_flight cuts a run where it must", () => {
  const { rig, opened } = setUp({ rt: 1 });
  rig.append(0, [run(1, "t", ["0", "1", "2", "3", "4"])]);
  const subscription = opened({ maxInFlight: 2 });
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@0 0", "rt/0@1 1"]);
  subscription.confirm({ "rt/0": 1 });
  expect(shown(eventsOf(drain(subscription)))).toEqual(["rt/0@2 2"]);
});

test("an EVENTS frame stays within EVENTS_BYTES_MAX; a larger event goes alone", () => {
  const { rig, opened } = setUp({ rt: 1 }, 1 << 24);
  const big = "x".repeat(EVENTS_BYTES_MAX + 10);
  rig.append(0, Array.from({ length: 40 }, (_, index) => run(index + 1, "t", ["y".repeat(20_000)])));
  rig.append(0, [run(50, "t", [big]), run(51, "t", ["small"])]);
  const frames = drain(opened({}));
  expect(eventsOf(frames).map((event) => event.offset)).toEqual(
    Array.from({ length: 42 }, (_, index) => index),
  );
  for (const frame of frames) {
    const isAlone = frame.events.length === 1 && frame.bytes > EVENTS_BYTES_MAX;
    expect(isAlone || frame.bytes <= EVENTS_BYTES_MAX).toBe(true);
  }
  expect(frames.filter((frame) => frame.bytes > EVENTS_BYTES_MAX)).toHaveLength(1);
});

test("fill() with less room than the next event needs writes nothing and says that there is more", () => {
  const { rig, opened } = setUp({ rt: 1 });
  rig.append(0, [run(1, "t", ["x".repeat(1000)])]);
  const subscription = opened({});
  const target = new Uint8Array(TARGET_BYTES);
  expect(subscription.fill(target, 0, 500)).toBe(0);
  expect(subscription.hasMore).toBe(true);
  expect(subscription.fill(target, 0, TARGET_BYTES)).toBeGreaterThan(1000);
  expect(subscription.hasMore).toBe(false);
});

test("fill() gives every shard its turn", () => {
  const { rig, opened } = setUp({ a: 1, b: 1, c: 1 }, 1 << 24);
  for (const shard of [0, 1, 2]) {
    for (let batch = 0; batch < 60; batch++) rig.append(shard, [run(1, "t", ["z".repeat(30_000)])]);
  }
  const target = new Uint8Array(TARGET_BYTES);
  const subscription = opened({});
  const first = readEventsFrames(target, subscription.fill(target, 0, 3 * EVENTS_BYTES_MAX));
  expect(first.map((frame) => frame.events[0]?.key).slice(0, 3)).toEqual(["a/0", "b/0", "c/0"]);
});

test("next() hands out the same events one by one, within its limits", () => {
  const { rig, opened } = setUp({ rt: 1, tx: 1 });
  rig.append(0, [run(7, "t", ["0", "1", "2"])]);
  rig.append(1, [run(8, "t", ["3"])]);
  const subscription = opened({});
  const seen: string[] = [];
  const take = (countMax: number, bytesMax = 1000) =>
    subscription.next((event) => {
      seen.push(`${event.lane}/${event.shard}@${event.offset} ${event.end - event.at} ${event.receivedUs}`);
    }, { countMax, bytesMax });
  expect(take(2)).toBe(2);
  expect(subscription.hasMore).toBe(true);
  expect(take(10)).toBe(2);
  expect(subscription.hasMore).toBe(false);
  expect(take(10)).toBe(0);
  expect(seen.sort()).toEqual(["rt/0@0 9 7", "rt/0@1 9 7", "rt/0@2 9 7", "tx/0@0 9 8"]);
  rig.append(0, [run(9, "t", ["a".repeat(5000), "b"])]);
  // One event over the limit goes alone.
  expect(take(10, 100)).toBe(1);
  expect(take(10, 100)).toBe(1);
});

test(
  "any mixture of appends, fills, filters and room gives every matching event once, in order",
  () =>
    withRandom((random) => {
      for (let round = 0; round < 4; round++) mixture(random);
    }),
  60_000,
);

/** Patterns and, told in another way, what they match. */
const FILTERS: readonly (readonly [patterns: readonly string[], isWanted: (topic: string) => boolean])[] = [
  [[">"], () => true],
  [["m.*"], (topic) => topic.startsWith("m.")],
  [["n.>", "m.b"], (topic) => topic.startsWith("n.") || topic === "m.b"],
  [["none"], () => false],
];

function mixture(random: Random): void {
  const { rig, opened } = setUp({ rt: 1, tx: 2, dlq: 1 }, 64 * 1024);
  const expected = new Map<string, { offset: number; topic: string; payload: string }[]>();
  const subscribers = FILTERS.map(([topics, isWanted], index) => ({
    subscription: opened({ id: `s${index}`, topics }),
    seen: new Map<string, string[]>(),
    isWanted,
  }));
  for (let step = 0; step < 300; step++) {
    if (random.chance(0.5)) {
      const shard = random.below(3);
      const runs = randomRuns(random, NOW_US + step);
      let offset = rig.append(shard, runs);
      const { lane, shard: number } = rig.at(shard).info;
      const list = expected.get(`${lane}/${number}`) ?? [];
      expected.set(`${lane}/${number}`, list);
      for (const { topic, payload } of runs.flatMap((each) => each.events)) {
        list.push({ offset: offset++, topic, payload: String(payload) });
      }
    } else {
      const subscriber = subscribers[random.below(subscribers.length)];
      if (subscriber) collect(subscriber, 300 + random.below(20_000));
    }
  }
  for (const { subscription, seen, isWanted } of subscribers) {
    while (collect({ subscription, seen }, TARGET_BYTES) || subscription.hasMore) { /* to the end */ }
    for (const [key, events] of expected) {
      const wanted = events.filter((event) => isWanted(event.topic))
        .map((event) => `${event.offset} ${event.topic} ${event.payload}`);
      expect(seen.get(key) ?? [], `${subscription.id} ${key}`).toEqual(wanted);
    }
  }
}

function randomRuns(random: Random, receivedUs: number): TestRun[] {
  return Array.from({ length: random.between(1, 4) }, () => ({
    receivedUs,
    events: Array.from({ length: random.between(1, 30) }, () => ({
      topic: random.pick(["m.a", "m.b", "n.a", "n.b.c"]),
      payload: "p".repeat(random.chance(0.3) ? random.below(3000) : random.below(20)),
    })),
  }));
}

interface Subscriber {
  readonly subscription: Subscription;
  readonly seen: Map<string, string[]>;
}

/** One fill of at most `bytesMax`; notes what came. @returns Whether anything came. */
function collect({ subscription, seen }: Subscriber, bytesMax: number): boolean {
  const target = new Uint8Array(TARGET_BYTES);
  const written = subscription.fill(target, 0, bytesMax);
  for (const event of eventsOf(readEventsFrames(target, written))) {
    const list = seen.get(event.key) ?? [];
    seen.set(event.key, list);
    list.push(`${event.offset} ${event.topic} ${event.payload}`);
  }
  return written > 0;
}
