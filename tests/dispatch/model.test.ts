import { expect, test } from "bun:test";
import type { Overflow } from "../../src/dispatch/options.ts";
import { ACKS_ACCEPTED } from "../../src/event/run.ts";
import {
  DEAD_LETTERS,
  DEAD_LETTERS_LOST,
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  DROP_REASONS_MAX,
} from "../../src/metrics/layout.ts";
import { STATUS_DROPPED, STATUS_OK } from "../../src/queue/completions.ts";
import { type Random, withRandom } from "../support/seed.ts";
import { createRig, type LaneSpec, offerRun, openRig, type Rig, takeRuns, takeVerdicts } from "./rig.ts";

const SOURCES = 3;
const SLOTS = 4;

function lanesOf(overflows: readonly [Overflow, Overflow, Overflow]): LaneSpec[] {
  const sizes = { queueBytes: 8192, parkingBytes: 4096 };
  return [
    { name: "realtime", priorities: [3, 4], overflow: overflows[0], ...sizes },
    { name: "transactional", priorities: [1, 2], overflow: overflows[1], shardCount: 3, ...sizes },
    { name: "batch", priorities: [0], overflow: overflows[2], ...sizes },
  ];
}

/** What random producers sent and what came out where. Payload: `source.slot.seq`. */
class Traffic {
  sent = 0;
  readonly #nextSeq = new Map<string, number>();
  readonly #lastByShard = new Map<string, number>();
  readonly seen = new Set<string>();
  readonly verdicts = new Map<string, number>();

  produce(rig: Rig, random: Random): void {
    const source = random.below(SOURCES);
    const slot = random.below(SLOTS);
    const writer = rig.sources[source];
    const first = this.#nextSeq.get(`${source}.${slot}`) ?? 1;
    const count = random.chance(0.3) ? random.between(1, 40) : random.between(1, 4);
    const events = Array.from({ length: count }, (_, index) => ({
      topic: `topic-${random.below(30)}`,
      priority: random.below(5),
      payload: `${source}.${slot}.${first + index}`.padEnd(random.between(10, 80)),
      ...(random.chance(0.3) ? { key: `k${random.below(10)}` } : {}),
    }));
    if (
      writer === undefined ||
      !offerRun(writer, events, { source, slot, firstSeq: first, acks: ACKS_ACCEPTED })
    ) return;
    this.#nextSeq.set(`${source}.${slot}`, first + count);
    this.sent += count;
  }

  consume(rig: Rig, shard: number): void {
    const target = rig.options.shards[shard];
    if (target === undefined) return;
    for (const run of takeRuns(target.ring)) {
      run.events.forEach((event, index) => {
        const name = Buffer.from(event.payload).toString().trim();
        expect(name).toBe(`${run.source}.${run.slot}.${run.firstSeq + index}`);
        expect(this.seen.has(name)).toBe(false);
        this.seen.add(name);
        const producer = `${run.source}.${run.slot}>${shard}`;
        expect(run.firstSeq + index).toBeGreaterThan(this.#lastByShard.get(producer) ?? 0);
        this.#lastByShard.set(producer, run.firstSeq + index);
      });
    }
  }

  listen(rig: Rig): void {
    rig.verdicts.forEach((reader, source) => {
      for (const verdict of takeVerdicts(reader)) {
        for (let index = 0; index < verdict.count; index++) {
          const name = `${source}.${verdict.connection & 0xffff}.${verdict.firstSeq + index}`;
          expect(this.verdicts.has(name)).toBe(false);
          this.verdicts.set(name, verdict.status);
        }
      }
    });
  }
}

/** Runs random producers and lanes until all is through; a successor takes over now and then. */
function run(
  random: Random,
  overflows: readonly [Overflow, Overflow, Overflow],
): { rig: Rig; traffic: Traffic } {
  let rig = createRig({
    lanes: lanesOf(overflows),
    sourceCount: SOURCES,
    sourceBytes: 16_384,
    topicsMax: random.chance(0.5) ? 64 : 8,
    deadLetterBytes: 1 << 20,
  });
  const traffic = new Traffic();
  for (let step = 0; step < 1500; step++) {
    const producing = step < 1000;
    for (let count = random.below(4); producing && count > 0; count--) traffic.produce(rig, random);
    rig.dispatcher.turn();
    traffic.listen(rig);
    if (!producing || random.chance(0.15)) traffic.consume(rig, random.below(5));
    if (random.chance(0.05)) rig = openRig(rig.options);
  }
  for (let round = 0; round < 50; round++) {
    for (let shard = 0; shard < 5; shard++) traffic.consume(rig, shard);
    rig.dispatcher.turn();
    traffic.listen(rig);
  }
  expect(rig.dispatcher.hasWork()).toBe(false);
  expect(rig.dispatcher.isParking).toBe(false);
  return { rig, traffic };
}

function sum(rig: Rig, from: number, length: number): number {
  return rig.counters.reduce(
    (total, block) => total + block.subarray(from, from + length).reduce((a, b) => a + b, 0),
    0,
  );
}

test("block: every event arrives once, in order for each producer and shard, whatever parks and restarts", () =>
  withRandom((random) => {
    for (let round = 0; round < 5; round++) {
      const { rig, traffic } = run(random, ["block", "block", "block"]);
      expect(traffic.seen.size).toBe(traffic.sent);
      expect(sum(rig, DISPATCH_ENQUEUED, 1)).toBe(traffic.sent);
      expect(traffic.verdicts.size).toBe(traffic.sent);
      expect([...traffic.verdicts.values()].every((status) => status === STATUS_OK)).toBe(true);
      expect(rig.blocked.every((flags) => flags.every((flag) => flag === 0))).toBe(true);
    }
  }));

test("drop_old and drop_new: every event is stored, or dropped and a dead letter; the counts agree", () =>
  withRandom((random) => {
    for (let round = 0; round < 5; round++) {
      const { rig, traffic } = run(random, ["drop_old", "block", "drop_new"]);
      const dropped = sum(rig, DISPATCH_DROPPED, DROP_REASONS_MAX);
      expect(dropped).toBeGreaterThan(0);
      expect(traffic.seen.size + dropped).toBe(traffic.sent);
      const letters = rig.deadLetterCounters.subarray(DEAD_LETTERS, DEAD_LETTERS + DROP_REASONS_MAX);
      const buried = letters.reduce((a, b) => a + b, 0);
      expect(buried + (rig.deadLetterCounters[DEAD_LETTERS_LOST] ?? NaN)).toBe(dropped);
      const found = new Set<string>();
      for (let runs = takeRuns(rig.options.deadLetters.ring); runs.length > 0;) {
        for (const event of runs.flatMap((taken) => taken.events)) {
          const name = Buffer.from(event.payload).toString().trim();
          expect(traffic.seen.has(name) || found.has(name)).toBe(false);
          found.add(name);
        }
        runs = takeRuns(rig.options.deadLetters.ring);
      }
      expect(found.size).toBe(buried);
      expect(traffic.verdicts.size).toBe(traffic.sent);
      for (const [name, status] of traffic.verdicts) {
        if (status === STATUS_DROPPED) expect(traffic.seen.has(name)).toBe(false);
      }
    }
  }));
