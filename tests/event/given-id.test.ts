import { expect, test } from "bun:test";
import { decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import { withGivenId, withNewId } from "../../src/event/given-id.ts";
import { FrameScanner, SCAN_NEED_MORE } from "../../src/event/scan.ts";

const FRAME_BYTES_MAX = 1 << 16;

function isSound(frame: Uint8Array): boolean {
  const scanner = new FrameScanner(FRAME_BYTES_MAX);
  return scanner.scan(frame, 0, frame.length) === SCAN_NEED_MORE && scanner.count === 1;
}

const EVENTS: readonly OutgoingEvent[] = [
  { topic: "t", payload: "" },
  { topic: "t", payload: "p", priority: 4, key: "k", timeUs: 7, headers: [["a", "1"], ["a", "2"]] },
];

test("withGivenId() adds the id and changes nothing else", () => {
  for (const event of EVENTS) {
    const plain = encodeFrame(event);
    const given = withGivenId(plain, "esc-dlq-7", FRAME_BYTES_MAX);
    expect(isSound(given)).toBe(true);
    expect({ ...decodeFrame(given, 0), id: undefined }).toEqual({ ...decodeFrame(plain, 0), id: undefined });
    expect(Buffer.from(given).includes("esc-dlq-7")).toBe(true);
    expect(given.length).toBeGreaterThan(plain.length);
    // Twice is once.
    expect(withGivenId(given, "another", FRAME_BYTES_MAX)).toBe(given);
  }
});

test("withNewId() puts the id in the place of another one, wherever that lies, and changes nothing else", () => {
  const longest = "i".repeat(64);
  for (const event of EVENTS) {
    for (const old of ["x", longest]) {
      for (const id of ["y", longest.toUpperCase()]) {
        const frame = encodeFrame({ ...event, id: old });
        const given = withNewId(frame, id, FRAME_BYTES_MAX);
        expect(isSound(given)).toBe(true);
        expect(decodeFrame(given, 0)).toEqual({ ...decodeFrame(frame, 0), id });
        expect(given.length).toBe(frame.length + id.length - old.length);
        expect(withNewId(frame, id, given.length - 1)).toBe(frame);
      }
    }
  }
});

test("withGivenId() makes the CRC anew where there was one", () => {
  const plain = encodeFrame({ topic: "topic", payload: "payload" });
  const body = Buffer.from(plain.subarray(4));
  body[0] = (body[0] ?? 0) | 0x80;
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(Bun.hash.crc32(body));
  const frame = Buffer.concat([Buffer.alloc(4), body, crc]);
  frame.writeUInt32BE(frame.length - 4);
  expect(isSound(frame)).toBe(true);
  const given = withGivenId(frame, "id", FRAME_BYTES_MAX);
  expect(isSound(given)).toBe(true);
  expect(given).not.toEqual(frame);
});

test("withGivenId() leaves a frame alone that would become too large, and refuses an id that is none", () => {
  const frame = encodeFrame({ topic: "t", payload: "p" });
  // Area length, entry header and the id itself.
  const grown = frame.length + 2 + 3 + 2;
  expect(withGivenId(frame, "id", grown - 1)).toBe(frame);
  expect(withGivenId(frame, "id", grown)).toHaveLength(grown);
  expect(() => withGivenId(frame, "", grown)).toThrow(RangeError);
  expect(() => withGivenId(frame, "i".repeat(65), grown)).toThrow(RangeError);
});
