/** What the control plane sheds: event by event, with its reason, and never where a lane blocks. */
import { expect, test } from "bun:test";
import type { Overflow } from "../../src/dispatch/options.ts";
import type { OutgoingEvent } from "../../src/event/encode.ts";
import { DROP_REASONS, type DropReason } from "../../src/event/frame.ts";
import { ACKS_DURABLE } from "../../src/event/run.ts";
import { DEAD_LETTERS_LOST, DISPATCH_DROPPED, DISPATCH_ENQUEUED } from "../../src/metrics/layout.ts";
import { STATUS_DROPPED } from "../../src/queue/completions.ts";
import { ThreadControl } from "../../src/queue/control.ts";
import { withRandom } from "../support/seed.ts";
import { createRig, offerRun, type Rig, takeRuns, takeVerdicts } from "./rig.ts";

function rigOf(overflow: Overflow, shedBelow: number): Rig {
  const rig = createRig({ lanes: [{ name: "all", priorities: [0, 1, 2, 3, 4], overflow }] });
  new ThreadControl(rig.options.control).shedBelow = shedBelow;
  return rig;
}

function dispatched(rig: Rig, priorities: readonly number[]) {
  const events = priorities.map((priority, index): OutgoingEvent => ({
    topic: "t",
    priority,
    payload: String(index),
  }));
  const [source, verdicts, shard, counters] = [
    rig.sources[0],
    rig.verdicts[0],
    rig.options.shards[0],
    rig.counters[0],
  ];
  if (source === undefined || verdicts === undefined || shard === undefined || counters === undefined) {
    throw new Error("The rig has no source or no shard");
  }
  offerRun(source, events, { acks: ACKS_DURABLE });
  rig.dispatcher.turn();
  const seqs = (runs: ReturnType<typeof takeRuns>) =>
    runs.flatMap((run) => run.events.map((_, index) => run.firstSeq + index));
  const letters = takeRuns(rig.options.deadLetters.ring).flatMap(({ events }) => events);
  return {
    taken: seqs(takeRuns(shard.ring)),
    letters: letters.map(({ payload, headers }) => {
      const reason = headers.find(([name]) => name === "esc-dlq-reason")?.[1];
      return [Number(Buffer.from(payload).toString()) + 1, reason];
    }),
    refused: takeVerdicts(verdicts).filter(({ status }) => status === STATUS_DROPPED).flatMap((verdict) =>
      Array.from(
        { length: verdict.count },
        (_, index) => [verdict.firstSeq + index, DROP_REASONS[verdict.detail]],
      )
    ),
    counted: (reason: DropReason) => counters[DISPATCH_DROPPED + DROP_REASONS.indexOf(reason)],
    enqueued: counters[DISPATCH_ENQUEUED],
  };
}

test("shedding BATCH takes those events out of a mixed run, and answers for each", () => {
  const result = dispatched(rigOf("drop_new", 1), [0, 2, 0, 0, 4, 1, 0]);
  const shed = [1, 3, 4, 7].map((seq) => [seq, "shed"]);
  expect(result).toMatchObject({ taken: [2, 5, 6], letters: shed, refused: shed, enqueued: 3 });
  expect([result.counted("shed"), result.counted("emergency_drop")]).toEqual([4, 0]);
});

test("an emergency takes all but CRITICAL events out; BATCH ones are still called shed", () => {
  const result = dispatched(rigOf("drop_old", 4), [0, 3, 4, 1]);
  const out = [[1, "shed"], [2, "emergency_drop"], [4, "emergency_drop"]];
  expect(result).toMatchObject({ taken: [3], letters: out, refused: out });
});

test("a lane that blocks loses nothing, whatever is shed", () => {
  const result = dispatched(rigOf("block", 4), [0, 1, 2, 3, 4]);
  expect(result).toMatchObject({ taken: [1, 2, 3, 4, 5], letters: [], refused: [] });
});

test("without shedding everything is taken in", () => {
  expect(dispatched(rigOf("drop_new", 0), [0, 4, 0])).toMatchObject({ taken: [1, 2, 3], letters: [] });
});

test("what is shed waits while the DLQ is behind: its connection is not read, and nothing is lost", () => {
  const rig = createRig({
    lanes: [{ name: "all", priorities: [0, 1, 2, 3, 4], overflow: "drop_new" }],
    deadLetterBytes: 1 << 14,
  });
  new ThreadControl(rig.options.control).shedBelow = 1;
  const [source, shard] = [rig.sources[0], rig.options.shards[0]];
  if (source === undefined || shard === undefined) throw new Error("The rig has no source or no shard");
  const isBlocked = () => rig.blocked[0]?.[0];
  let seq = 1;
  for (let run = 0; run < 30; run++) {
    const events = [0, 0, 4].map((priority): OutgoingEvent => ({
      topic: "t",
      priority,
      payload: String(seq++).padEnd(200),
    }));
    offerRun(source, events, { firstSeq: seq - 3 });
    rig.dispatcher.turn();
  }
  expect(isBlocked()).toBe(1);
  expect(takeRuns(shard.ring).flatMap(({ events }) => events)).toHaveLength(30);
  const letters: number[] = [];
  for (let turn = 0; turn < 100 && letters.length < 60; turn++) {
    for (const { events } of takeRuns(rig.options.deadLetters.ring)) {
      letters.push(...events.map(({ payload }) => Number(Buffer.from(payload).toString())));
    }
    rig.dispatcher.turn();
  }
  const numbers = Array.from({ length: 90 }, (_, index) => index + 1);
  expect(letters).toEqual(numbers.filter((number) => number % 3 !== 0));
  expect([isBlocked(), rig.dispatcher.isParking]).toEqual([0, false]);
  expect(rig.deadLetterCounters[DEAD_LETTERS_LOST]).toBe(0);
});

test("random runs are split as if each event came alone", async () => {
  await withRandom((random) => {
    for (let round = 0; round < 200; round++) {
      const shedBelow = random.between(1, 4);
      const priorities = Array.from({ length: random.between(1, 60) }, () => random.below(5));
      const { taken, letters } = dispatched(rigOf("drop_new", shedBelow), priorities);
      const seqs = priorities.map((_, index) => index + 1);
      const isKept = (seq: number) => (priorities[seq - 1] ?? 0) >= shedBelow;
      expect([taken, letters]).toEqual([
        seqs.filter(isKept),
        seqs.filter((seq) => !isKept(seq)).map((seq) => [
          seq,
          priorities[seq - 1] === 0 ? "shed" : "emergency_drop",
        ]),
      ]);
    }
  });
});
