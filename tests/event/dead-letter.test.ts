import { expect, test } from "bun:test";
import {
  deadLetterGrowth,
  deadLetterHeaders,
  revive,
  stampDeadLetter,
  writeDeadLetter,
} from "../../src/event/dead-letter.ts";
import { decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import { FrameScanner } from "../../src/event/scan.ts";

const LETTER = {
  reason: "processing_failed",
  error: "division by zero: ÷",
  lane: "transactional",
  shard: 2,
  offset: 41,
  attempts: 3,
  timeUs: 1_700_000_000_000_000,
} as const;

function bury(frame: Uint8Array, headers = deadLetterHeaders(LETTER), at = 5): Uint8Array {
  const source = new Uint8Array(at + frame.length + 3);
  source.set(frame, at);
  const target = new Uint8Array(64 + frame.length + deadLetterGrowth(headers));
  const end = writeDeadLetter(target, new DataView(target.buffer), 64, source, at, headers);
  return target.slice(64, end);
}

function isGood(frame: Uint8Array): boolean {
  const scanner = new FrameScanner(1 << 20);
  scanner.scan(frame, 0, frame.length);
  return scanner.count === 1 && scanner.end === frame.length;
}

const EVENTS: readonly [string, OutgoingEvent][] = [
  ["plain", { topic: "a/b", payload: "hello", priority: 3 }],
  ["empty payload", { topic: "a", payload: "" }],
  ["with CRC", { topic: "a", payload: "x", crc: true }],
  ["with everything", {
    topic: "a.b",
    payload: new Uint8Array([0, 255, 10]),
    id: "id-1",
    timeUs: 5,
    key: "k",
    headers: [["n", "v"], ["n", "w"]],
    crc: true,
  }],
];

test.each(EVENTS)(
  "an event %s keeps all it had, says why it died, and comes back byte for byte",
  (_name, event) => {
    const frame = encodeFrame(event);
    const letter = bury(frame);
    expect(isGood(letter)).toBe(true);
    const before = decodeFrame(frame, 0);
    expect(decodeFrame(letter, 0)).toEqual({
      ...before,
      headers: [
        ...before.headers,
        ["esc-dlq-reason", "processing_failed"],
        ["esc-dlq-error", "division by zero: ÷"],
        ["esc-dlq-lane", "transactional"],
        ["esc-dlq-shard", "2"],
        ["esc-dlq-offset", "41"],
        ["esc-dlq-attempts", "3"],
        ["esc-dlq-time-us", "1700000000000000"],
      ],
    });
    const revived = revive(letter, 0);
    expect(Buffer.from(revived.frame)).toEqual(Buffer.from(frame));
    expect(Object.fromEntries(revived.facts)).toEqual({
      reason: "processing_failed",
      error: "division by zero: ÷",
      lane: "transactional",
      shard: "2",
      offset: "41",
      attempts: "3",
      "time-us": "1700000000000000",
    });
  },
);

test("an event that never reached a log has no offset, and a long error is cut", () => {
  const { offset: _offset, ...letter } = LETTER;
  const facts = revive(
    bury(
      encodeFrame({ topic: "a", payload: "x" }),
      deadLetterHeaders({ ...letter, error: "e".repeat(5000) }),
    ),
    0,
  ).facts;
  expect(facts.has("offset")).toBe(false);
  expect(facts.get("error")).toBe("e".repeat(1000));
});

test("an extension area without room for our headers stays as it is", () => {
  const headers = deadLetterHeaders(LETTER);
  // Area of the event: entry of 3 + "n" + 0x00 + value.
  const largest = 65_535 - headers.length - 5;
  for (const [bytes, grows] of [[largest, true], [largest + 1, false]] as const) {
    const frame = encodeFrame({ topic: "a", payload: "x", headers: [["n", "v".repeat(bytes)]] });
    const letter = bury(frame, headers);
    expect(isGood(letter)).toBe(true);
    expect(letter.length > frame.length).toBe(grows);
    expect(Buffer.from(revive(letter, 0).frame)).toEqual(Buffer.from(frame));
  }
});

test("stampDeadLetter() makes headers equal to those of another time", () => {
  for (const timeUs of [1_000_000_000_000_000, 1_700_000_000_123_456, 9_007_199_254_740_991]) {
    const headers = deadLetterHeaders({ ...LETTER, timeUs: 1_800_000_000_000_009 });
    stampDeadLetter(headers, timeUs);
    expect(headers).toEqual(deadLetterHeaders({ ...LETTER, timeUs }));
  }
});
