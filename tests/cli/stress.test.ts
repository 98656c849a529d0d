import { describe, expect, test } from "bun:test";
import { AckTimes } from "../../cli/stress/ack-times.ts";
import { isBalanced } from "../../cli/stress/ledger.ts";
import { FrameBlock, readIdentity, type StressPlan, stressTopics } from "../../cli/stress/plan.ts";
import { Verifier } from "../../cli/stress/verifier.ts";
import { EventCursor } from "../../src/client/events.ts";
import { Histogram } from "../../src/metrics/histogram.ts";

const PLAN: StressPlan = {
  run: "0123abcd",
  clients: 2,
  events: 100,
  size: 40,
  topics: stressTopics(undefined),
  priority: undefined,
};

/** One frame of an event, as client `client` sends it. */
function frameOf(client: number, seq: number, plan = PLAN): Buffer {
  const block = new FrameBlock(plan, client);
  const index = seq % block.count;
  block.number(index, 1, seq);
  return Buffer.from(block.bytes.subarray(block.starts[index], block.starts[index + 1]));
}

/** A cursor before the first of these frames, as if an EVENTS frame of shard batch/0 had come. */
function eventsWith(frames: readonly Buffer[], shard = 0): EventCursor {
  const body = Buffer.concat(frames);
  const block = Buffer.alloc(24);
  block.writeUInt32BE(frames.length, 8);
  block.writeUInt32BE(body.length, 20);
  const payload = Buffer.concat([
    Buffer.from([1, 0x73, 5]),
    Buffer.from("batch"),
    Buffer.from([0, shard]),
    block,
    body,
  ]);
  const cursor = new EventCursor();
  cursor.open(payload, 0, payload.length);
  return cursor;
}

describe("FrameBlock", () => {
  test("numbers its frames in place: topic, priority and payload as the plan has them", () => {
    expect(frameOf(1, 93).toString("latin1")).toBe(
      "\0\0\0\x3a" + "\x03" + "\0\x0f" + "stress.realtime" + "0123abcd 00001 0000000093 abcdefghijklmn",
    );
  });

  test("takes topics and priorities in turn", () => {
    const seen = [0, 1, 2, 3, 4, 5].map((seq) => {
      const frame = frameOf(0, seq);
      return `${frame.subarray(7, 7 + frame.readUInt16BE(5))} ${frame[4]}`;
    });
    expect(seen).toEqual([
      "stress.realtime 0",
      "stress.transaction 1",
      "stress.batch 2",
      "stress.realtime 3",
      "stress.transaction 4",
      "stress.batch 0",
    ]);
  });

  test("readIdentity() reads client and number back, and knows another run", () => {
    const frame = frameOf(1, 93);
    const at = frame.length - PLAN.size;
    const identity = { client: 0, seq: 0 };
    expect(readIdentity(Buffer.from(PLAN.run), frame, at, identity)).toBe(true);
    expect(identity).toEqual({ client: 1, seq: 93 });
    expect(readIdentity(Buffer.from("ffffffff"), frame, at, identity)).toBe(false);
  });
});

describe("Verifier", () => {
  function verdictOf(frames: readonly Buffer[]) {
    const verifier = new Verifier(PLAN);
    verifier.read(eventsWith(frames));
    return verifier.verdict([3, 0], 0);
  }
  const good = { expected: 3, found: 3, missing: 0, doubled: 0, outOfOrder: 0, damaged: 0 };

  test("finds nothing wrong where nothing is", () => {
    expect(verdictOf([0, 1, 2].map((seq) => frameOf(0, seq)))).toEqual(good);
  });

  test("finds what is missing", () => {
    expect(verdictOf([frameOf(0, 0), frameOf(0, 2)])).toEqual({ ...good, found: 2, missing: 1 });
  });

  test("finds what is there twice", () => {
    expect(verdictOf([0, 1, 1, 2].map((seq) => frameOf(0, seq)))).toEqual({ ...good, doubled: 1 });
  });

  test("finds what is out of order within a client and shard, and only that", () => {
    expect(verdictOf([0, 2, 1].map((seq) => frameOf(0, seq)))).toEqual({ ...good, outOfOrder: 1 });
    const verifier = new Verifier(PLAN);
    verifier.read(eventsWith([frameOf(0, 2)], 0));
    verifier.read(eventsWith([frameOf(0, 0)], 1));
    verifier.read(eventsWith([frameOf(1, 0)], 0));
    expect(verifier.verdict([2, 1], 0)).toEqual(good);
  });

  test.each([
    ["the topic", 8],
    ["the client", 33],
    ["the filler", 57],
  ])("finds a changed byte in %s", (_where, at) => {
    const changed = frameOf(0, 2);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const verdict = verdictOf([frameOf(0, 0), frameOf(0, 1), changed]);
    expect(verdict).toEqual({ ...good, found: 2, missing: 1, damaged: 1 });
  });

  test("finds an event that nobody can have sent", () => {
    const plan = { ...PLAN, events: 1000 };
    const frames = [frameOf(0, 0), frameOf(0, 1), frameOf(0, 2), frameOf(0, 500, plan)];
    expect(verdictOf(frames)).toEqual({ ...good, damaged: 1 });
  });

  test("passes over events of other runs, other sizes, and those that are no stress events", () => {
    const others = [frameOf(0, 0, { ...PLAN, run: "ffffffff" }), frameOf(0, 1, { ...PLAN, size: 5 })];
    expect(verdictOf([...others, frameOf(0, 0), frameOf(0, 1), frameOf(0, 2)])).toEqual(good);
  });
});

test("AckTimes counts each event once, from when its batch was sent to the first answer that covers it", () => {
  const histogram = Histogram.empty();
  const times = new AckTimes(histogram);
  // More batches than the ring begins with.
  for (let batch = 1; batch <= 200; batch++) times.sent(batch * 10, batch * 100);
  times.answered(15, 1000); // Batch 1 after 900 us, half of batch 2 after 800 us.
  times.answered(15, 9000);
  times.answered(2000, 100_000);
  times.answered(2000, 200_000);
  expect(histogram.count).toBe(2000);
  expect(histogram.sumUs).toBe(
    10 * 900 + 5 * 800 + 5 * (100_000 - 200) +
      10 * Array.from({ length: 198 }, (_, index) => 100_000 - (index + 3) * 100).reduce((a, b) => a + b),
  );
});

test("isBalanced() holds both identities to the event", () => {
  const events = { received: 10, accepted: 7, rejected: 2, duplicates: 1, durable: 4, dropped: 3 };
  expect(isBalanced(events)).toBe(true);
  expect(isBalanced({ ...events, received: 11 })).toBe(false);
  expect(isBalanced({ ...events, durable: 5 })).toBe(false);
});
