/** Failed events are tried again in the order of their keys: against a naive model, with restarts in between. */
import { expect, test } from "bun:test";
import { encodeFrame } from "../../src/event/encode.ts";
import type { Delegation } from "../../src/process/handlers/delegation.ts";
import type { HandlerSpec } from "../../src/process/handlers/registry.ts";
import type { Outcome } from "../../src/process/handlers/outcome.ts";
import { Processor, type ProcessorSpec } from "../../src/process/processor.ts";
import { orderKeyOf, Retries, type RetryLimits } from "../../src/process/retry.ts";
import { EventRecord } from "../../src/process/rules/event-facts.ts";
import { topicLength, topicStart } from "../../src/event/ext.ts";
import { Random } from "../support/seed.ts";

const SEEDS = Number(process.env["RETRY_SEEDS"] ?? 300);
const PAUSE_MS = 10;
const HANDLER: HandlerSpec = {
  name: "mine",
  topics: ["orders.>"],
  use: "./mine.ts",
  attemptsMax: 3,
  pauseMs: PAUSE_MS,
  budgetMs: 1000,
  memoryBytesMax: 1 << 29,
};

function eventOf(offset: number, key: string, topic = "orders.new"): EventRecord {
  const event = new EventRecord();
  event.lane = "transactional";
  event.shard = 0;
  const frame = encodeFrame({ topic, priority: 2, payload: String(offset), ...(key === "" ? {} : { key }) });
  event.open(frame, 0, offset, 1_000_000 + offset);
  return event;
}

function limits(attemptsMax: number): RetryLimits {
  return { name: "mine", attemptsMax, pauseMs: PAUSE_MS };
}

function retries(jitter = 0, random = () => 0): Retries {
  return new Retries({ maxPauseMs: 25, jitter, maxParked: 3 }, random);
}

test("fail() lets an event wait n pauses after attempt n, at most max_pause, and gives it up after the last", () => {
  const lot = retries();
  const event = eventOf(7, "k");
  const key = orderKeyOf(event);
  expect([lot.fail(key, event, limits(5), 0), lot.dueUs]).toEqual([0, 10_000]);
  expect(lot.takeDue(9_999)).toBeUndefined();
  for (const [nowUs, pauseUs] of [[10_000, 20_000], [30_000, 25_000], [55_000, 25_000]] as const) {
    expect(lot.takeDue(nowUs)?.offset).toBe(7);
    expect([lot.fail(key, event, limits(5), nowUs), lot.dueUs]).toEqual([0, nowUs + pauseUs]);
  }
  expect(lot.takeDue(80_000)?.attempts).toBe(4);
  expect([lot.fail(key, event, limits(5), 80_000), lot.count, lot.dueUs]).toEqual([5, 0, Infinity]);
});

test("fail() gives an event up at once where one attempt is all there is", () => {
  const lot = retries();
  const event = eventOf(1, "");
  expect([lot.fail(orderKeyOf(event), event, limits(1), 0), lot.count]).toEqual([1, 0]);
});

test("jitter shortens a pause by up to its share", () => {
  const lot = retries(0.5, () => 0.5);
  const event = eventOf(1, "k");
  lot.fail(orderKeyOf(event), event, limits(3), 0);
  expect(lot.dueUs).toBe(7_500);
});

test("hold() keeps events of a key behind the one that failed; other keys are not held", () => {
  const lot = retries();
  const [first, second] = [eventOf(1, "k"), eventOf(2, "k")];
  const key = orderKeyOf(first);
  lot.fail(key, first, limits(2), 0);
  expect([lot.holds(key), lot.holds(orderKeyOf(eventOf(3, "other")))]).toEqual([true, false]);
  lot.hold(key, second, "mine");
  expect(lot.takeDue(10_000)?.offset).toBe(1);
  expect(lot.takeDue(10_000)).toBeUndefined();
  expect(lot.finish(key, first)).toBe(1);
  expect(lot.takeDue(10_000)).toMatchObject({ offset: 2, attempts: 0 });
  lot.finish(key, second);
  expect([lot.holds(key), lot.count]).toEqual([false, 0]);
});

test("isFull is true from max_parked events on", () => {
  const lot = retries();
  const fullAfter = [1, 2, 3].map((offset) => {
    const event = eventOf(offset, `k${offset}`);
    lot.fail(orderKeyOf(event), event, limits(3), 0);
    return lot.isFull;
  });
  expect(fullAfter).toEqual([false, false, true]);
});

test("what a rule added to the payload is there at the second attempt, after a restart, too", () => {
  const seen: unknown[] = [];
  const spec: ProcessorSpec = {
    ...SPEC,
    rules: [{ name: "tag", topics: ["orders.>"], enrich: [["region", '"north"']], drop: false }],
  };
  const outcomes: Outcome[] = [{ kind: "fail", reason: "not now" }, { kind: "success" }];
  const host = {
    ...silent,
    nowUs: () => 0,
    delegation: delegating((handler, event) => {
      seen.push(event.payload);
      processor.conclude(handler.name, event, outcomes[seen.length - 1] as Outcome);
    }),
    deadLetter: () => {
      throw new Error("nothing dies here");
    },
  };
  let processor = new Processor(spec, host);
  give(processor, eventOf(5, "k"));
  const saved = processor.save();
  processor = new Processor(spec, host);
  processor.load(saved, 0);
  processor.retry(Number.MAX_SAFE_INTEGER);
  const payload = { value: 5, region: "north" };
  expect([seen, processor.retries.count]).toEqual([[payload, payload], 0]);
});

test("an event whose handler is gone after a restart becomes a dead letter", () => {
  const letters: unknown[] = [];
  const host = {
    ...silent,
    nowUs: () => 0,
    deadLetter: (event: EventRecord, reason: string, error: string, attempts: number) =>
      letters.push([event.offset, reason, error, attempts]),
    delegation: delegating((handler, event) =>
      first.conclude(handler.name, event, { kind: "fail", reason: "not now" })
    ),
  };
  const first = new Processor(SPEC, host);
  give(first, eventOf(5, "k"));
  const second = new Processor({ ...SPEC, handlers: [] }, host);
  second.load(first.save(), 0);
  second.retry(Number.MAX_SAFE_INTEGER);
  expect(letters).toEqual([[5, "processing_failed", 'There is no handler "mine" any more', 1]]);
});

/** A handler that answers by itself, and of which nothing is saved. */
function delegating(delegate: Delegation["delegate"]): Delegation {
  return {
    delegate,
    turn: () => false,
    isFull: false,
    isIdle: true,
    countOf: () => 0,
    save: () => null,
    load: () => [],
  };
}

const SPEC: ProcessorSpec = {
  rules: [],
  windows: [],
  handlers: [HANDLER],
  alerts: { webhooks: [] },
  retry: { maxPauseMs: 1000, jitter: 0.5, maxParked: 1000 },
  maxFrameBytes: 1 << 20,
};
const silent = { tell: () => {}, report: () => {} };

function give(processor: Processor, event: EventRecord): void {
  const at = topicStart(0);
  processor.process(event, at, topicLength(event.bytes, 0), 0, 0);
}

interface Plan {
  readonly key: string;
  /** Attempts that fail before one succeeds; at least `attemptsMax`: none does. */
  readonly failures: number;
}

/** What must come of it: the order in which events of a key are done, and what dies. */
function modelOf(plans: readonly Plan[]) {
  const done: Record<string, number[]> = {};
  const dead: Record<number, number> = {};
  for (const [offset, { key, failures }] of plans.entries()) {
    if (failures >= HANDLER.attemptsMax) dead[offset] = HANDLER.attemptsMax;
    (done[key] ??= []).push(offset);
  }
  return { done, dead };
}

test(`${SEEDS} seeds: order per key, attempts and dead letters are those of the model, through restarts`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const generator = new Random(seed);
    const random = () => generator.unit();
    const plans = Array.from({ length: 40 }, (): Plan => ({
      key: `k${Math.floor(random() * 4)}`,
      failures: random() < 0.6 ? 0 : Math.floor(random() * 5),
    }));
    expect({ seed, ...run(plans, random) }).toEqual({ seed, ...modelOf(plans) });
  }
});

/** Plays all events, in batches with a pipelined handler as a worker is one, killed and restarted at random. */
function run(plans: readonly Plan[], random: () => number) {
  // What a crash does not take back: effects by their id. What it does: everything since the last save.
  let done: Record<string, number[]> = {};
  let dead: Record<number, number> = {};
  let attempts = new Map<number, number>();
  let nowUs = 0;
  let read = 0;
  const batch: { offset: number; event: EventRecord }[] = [];
  const host = {
    ...silent,
    nowUs: () => nowUs,
    deadLetter: (event: EventRecord, _reason: string, _error: string, count: number) => {
      dead[event.offset] = count;
      (done[event.key] ??= []).push(event.offset);
    },
    delegation: delegating((_, event) =>
      batch.push({ offset: event.offset, event: eventOf(event.offset, event.key) })
    ),
  };
  /** The worker answers for what it was given; behind a failure it leaves the key's other events alone. */
  const settle = () => {
    const failed = new Set<string>();
    for (const { offset, event } of batch.splice(0)) {
      const { key, failures } = plans[offset] as Plan;
      if (failed.has(key)) {
        processor.conclude(HANDLER.name, event, { kind: "behind" });
        continue;
      }
      const count = (attempts.get(offset) ?? 0) + 1;
      attempts.set(offset, count);
      if (count <= failures) {
        failed.add(key);
        processor.conclude(HANDLER.name, event, { kind: "fail", reason: "no" });
      } else {
        processor.conclude(HANDLER.name, event, { kind: "success" });
        (done[key] ??= []).push(offset);
      }
    }
  };
  let processor = new Processor(SPEC, host);
  const checkpoint = () => structuredClone({ state: processor.save(), done, dead, attempts, read });
  let saved = checkpoint();
  while (read < plans.length || processor.retries.count > 0) {
    const choice = random();
    if (choice < 0.4) {
      for (let left = Math.ceil(random() * 6); left > 0 && read < plans.length; left--, read++) {
        give(processor, eventOf(read, (plans[read] as Plan).key));
      }
      settle();
    } else if (choice < 0.8) {
      nowUs += Math.floor(random() * 2 * PAUSE_MS * 1000);
      processor.retry(nowUs);
      settle();
    } else if (choice < 0.95) saved = checkpoint();
    else {
      ({ done, dead, attempts, read } = structuredClone(saved));
      processor = new Processor(SPEC, host);
      processor.load(saved.state, nowUs);
    }
  }
  return { done, dead };
}
