/** The ledger over memory that the test moves events through, as the threads of an engine do. */
import { beforeEach, expect, test } from "bun:test";
import { Ledger } from "../../src/api/ledger.ts";
import { DROP_REASONS, LISTENERS, REJECT_REASONS } from "../../src/event/frame.ts";
import { RUN_COUNT, RUN_HEADER_BYTES } from "../../src/event/run.ts";
import { createShardState, ShardState } from "../../src/log/shard-state.ts";
import { count, createCounters, openCounters } from "../../src/metrics/counters.ts";
import { createShardLatencies, createSourceLatencies } from "../../src/metrics/latency.ts";
import {
  DISPATCH_COUNTERS,
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  LANE_ACCEPTED,
  LANE_COUNTERS,
  LANE_DUPLICATES,
  SOURCE_COUNTERS,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
} from "../../src/metrics/layout.ts";
import type { Meters } from "../../src/metrics/snapshot.ts";
import { createHand, createIntent, Hand } from "../../src/process/hand.ts";
import { createRing, RingReader, RingWriter } from "../../src/queue/ring.ts";

const RING_BYTES = 4096;

/** One source, one lane of one shard. */
class Flow {
  readonly meters: Meters;
  readonly source = createRing(RING_BYTES);
  readonly parking = createRing(RING_BYTES);
  readonly queue = createRing(RING_BYTES);
  readonly sourceCounters = createCounters(SOURCE_COUNTERS);
  readonly dispatch = createCounters(DISPATCH_COUNTERS);
  readonly lane = createCounters(LANE_COUNTERS);
  readonly hand: Hand;
  readonly state: ShardState;
  nowMs = 0;
  readonly ledger: Ledger;

  constructor() {
    const hand = createHand(1024);
    const intent = createIntent();
    const info = { index: 0, lane: "tx", shard: 0, directory: "", state: createShardState() };
    this.meters = {
      sources: [{
        ring: this.source,
        counters: this.sourceCounters,
        latencies: createSourceLatencies(1),
      }],
      shards: [{
        info,
        queue: this.queue,
        parking: this.parking,
        hand,
        intent,
        dispatch: this.dispatch,
        lane: this.lane,
        latencies: createShardLatencies(),
      }],
      deadLetters: [],
    };
    this.hand = new Hand(hand, intent);
    this.state = new ShardState(info.state);
    this.ledger = new Ledger(this.meters, () => this.nowMs);
  }

  receive(events: number): void {
    put(this.source, events);
    count(openCounters(this.sourceCounters), SOURCE_RECEIVED + LISTENERS.indexOf("tcp"), events);
  }

  /** Moves the oldest run of one ring into another. */
  move(from: typeof this.source, to: typeof this.source): number {
    const reader = new RingReader(from);
    const at = reader.next();
    if (at < 0) return 0;
    const events = reader.words[(at >> 2) + RUN_COUNT] as number;
    put(to, events);
    if (to === this.queue) count(openCounters(this.dispatch), DISPATCH_ENQUEUED, events);
    reader.release();
    return events;
  }

  take(): void {
    this.hand.take(new RingReader(this.queue), 0);
  }

  store(events: number, duplicates = 0): void {
    this.state.nextOffset += events;
    count(openCounters(this.lane), LANE_ACCEPTED, events);
    count(openCounters(this.lane), LANE_DUPLICATES, duplicates);
    this.hand.clear();
  }

  /** Two readings that may confirm each other. */
  read() {
    this.nowMs += 50;
    this.ledger.read();
    this.nowMs += 50;
    return this.ledger.read();
  }
}

function put(ring: Flow["source"], events: number): void {
  const writer = new RingWriter(ring);
  const at = writer.reserve(RUN_HEADER_BYTES + 13);
  expect(at).toBeGreaterThanOrEqual(0);
  writer.words[(at >> 2) + RUN_COUNT] = events;
  writer.publish();
}

let flow: Flow;
beforeEach(() => {
  flow = new Flow();
});

test("counts events where they lie: in source rings, parked, queued, in hand, and done", () => {
  // An earlier life of the log.
  flow.state.begunOffset = flow.state.nextOffset = 1000;
  for (const events of [1, 20, 300, 4000, 50_000]) flow.receive(events);
  for (let runs = 0; runs < 4; runs++) flow.move(flow.source, runs < 3 ? flow.queue : flow.parking);
  flow.take();
  flow.store(300, 21);
  expect(flow.read()).toEqual({
    received: 54_321,
    rejected: 0,
    unrouted: 54_000,
    lanes: [{
      lane: "tx",
      received: 321,
      stored: 300,
      appended: 300,
      duplicates: 21,
      dropped: {},
      in_flight: 0,
    }],
    is_settled: false,
    imbalance: 0,
  });
  flow.move(flow.parking, flow.queue);
  flow.take();
  flow.move(flow.source, flow.queue);
  expect(flow.read()).toMatchObject({ unrouted: 0, lanes: [{ received: 54_321, in_flight: 54_000 }] });
  flow.store(4000);
  flow.take();
  flow.store(49_000);
  count(openCounters(flow.dispatch), DISPATCH_DROPPED + DROP_REASONS.indexOf("drop_old"), 1000);
  const counters = openCounters(flow.sourceCounters);
  count(counters, SOURCE_RECEIVED + LISTENERS.indexOf("tcp"), 5);
  count(counters, SOURCE_REJECTED + REJECT_REASONS.indexOf("bad_crc"), 5);
  expect(flow.read()).toMatchObject({
    rejected: 5,
    lanes: [{ stored: 53_300, duplicates: 21, dropped: { drop_old: 1000 }, in_flight: 0 }],
    is_settled: true,
    imbalance: 0,
  });
});

test.each([["lost", 3], ["doubled", 7]] as const)(
  "events %s show while queues never empty and nothing ever settles",
  (kind, events) => {
    let wrong = 0;
    const known: number[] = [];
    for (let round = 0; round < 200; round++) {
      flow.receive(10);
      flow.receive(10);
      flow.move(flow.source, flow.queue);
      flow.move(flow.source, flow.queue);
      flow.take();
      // One batch in ten is written short, or counted twice.
      const isWrong = round % 10 === 5;
      const stored = isWrong ? (kind === "lost" ? 20 - events : 20 + events) : 20;
      flow.store(stored);
      if (isWrong) wrong += events;
      flow.receive(5);
      flow.move(flow.source, flow.queue);
      flow.receive(5);
      flow.nowMs += 1500;
      const { is_settled, imbalance } = flow.read();
      // Something always waits; who has counted twice is found once it exceeds what waits.
      known.push(kind === "lost" ? wrong : Math.max(0, wrong - 10));
      // Readings of three seconds have to agree.
      expect([is_settled, imbalance]).toEqual([false, known.at(-3) ?? 0]);
      flow.take();
      flow.store(5);
      flow.move(flow.source, flow.queue);
      flow.take();
      flow.store(5);
    }
    expect(wrong).toBe(20 * events);
  },
);

test("a log that has not grown by what was stored shows at rest, and one reading alone accuses nobody", () => {
  flow.receive(10);
  flow.move(flow.source, flow.queue);
  flow.take();
  count(openCounters(flow.lane), LANE_ACCEPTED, 10);
  flow.hand.clear();
  expect(flow.ledger.read().imbalance).toBe(0);
  flow.nowMs += 49;
  expect(flow.ledger.read().imbalance).toBe(0);
  flow.nowMs += 1;
  expect(flow.ledger.read().imbalance).toBe(10);
  flow.state.nextOffset = 10;
  flow.nowMs += 50;
  expect(flow.ledger.read().imbalance).toBe(0);
});
