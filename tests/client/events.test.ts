import { expect, test } from "bun:test";
import { EventCursor } from "../../src/client/events.ts";
import { EscError } from "../../src/errors.ts";

function fromHex(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
}

/** As docs/protocol.md has it: subscription "s1", lane "batch", shard 2, blocks at offsets 5 and 2^32 + 9. */
const GOLDEN = fromHex(`
  02 7331  05 6261746368  0002
  0000000000000005 00000002 00062d0000000001 0000001d
    0000000a 00 0003 612e62 68656c6c
    0000000b 44 0001 63 0004 01 0001 37 21
  0000000100000009 00000001 00062d0000000002 0000000d
    00000009 82 0001 64 ff cafebabe
`);

test("EventCursor steps through every event of a golden EVENTS payload", () => {
  const cursor = new EventCursor();
  expect(cursor.open(GOLDEN, 0, GOLDEN.length)).toBe("s1");
  expect([cursor.lane, cursor.shard]).toEqual(["batch", 2]);
  const seen: unknown[] = [];
  while (cursor.next()) {
    const { offset, receivedUs, priority } = cursor;
    seen.push([
      offset,
      receivedUs,
      priority,
      cursor.topic(),
      Buffer.from(cursor.payload()).toString("latin1"),
    ]);
  }
  expect(seen).toEqual([
    [5, 0x00062d0000000001, 0, "a.b", "hell"],
    [6, 0x00062d0000000001, 4, "c", "!"],
    [2 ** 32 + 9, 0x00062d0000000002, 2, "d", "\xff"],
  ]);
  expect(cursor.nextOffset).toBe(2 ** 32 + 10);
  expect(cursor.steppedCount).toBe(3);
});

test("decode() shows the message id of an event", () => {
  const cursor = new EventCursor();
  cursor.open(GOLDEN, 0, GOLDEN.length);
  cursor.next();
  cursor.next();
  expect(cursor.decode().id).toBe("7");
});

test("a block without events moves nextOffset only", () => {
  const bytes = fromHex("02 7331 05 6261746368 0002 0000000000000063 00000000 0000000000000000 00000000");
  const cursor = new EventCursor();
  cursor.open(bytes, 0, bytes.length);
  expect(cursor.next()).toBe(false);
  expect(cursor.nextOffset).toBe(99);
});

test("a payload cut anywhere between its blocks is refused with BAD_CONTROL", () => {
  const headerBytes = 11;
  const firstBlockEnd = headerBytes + 24 + 29;
  for (let end = 0; end < GOLDEN.length; end++) {
    if (end === headerBytes || end === firstBlockEnd) continue;
    const walk = () => {
      const cursor = new EventCursor();
      cursor.open(GOLDEN.subarray(0, end), 0, end);
      while (cursor.next());
    };
    expect(walk, `cut at ${end}`).toThrow(EscError);
  }
});
