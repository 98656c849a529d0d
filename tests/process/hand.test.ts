import { expect, test } from "bun:test";
import { LOG_BATCH_HEADER_BYTES } from "../../src/log/format.ts";
import { createHand, createIntent, Hand } from "../../src/process/hand.ts";
import {
  createRing,
  type RingMemory,
  RingReader,
  RingWriter,
  type TakeReceipt,
} from "../../src/queue/ring.ts";

/** A reader whose thread ends right after a take: the ring is freed, nothing else has happened. */
class DyingReader extends RingReader {
  override take(target: Uint8Array, at: number, bytesMax: number, receipt?: TakeReceipt): number {
    super.take(target, at, bytesMax, receipt);
    throw new Error("The thread has ended");
  }
}

function write(memory: RingMemory, values: readonly number[]): void {
  const writer = new RingWriter(memory);
  for (const value of values) {
    const at = writer.reserve(8);
    writer.words[(at >> 2) + 1] = value;
  }
  writer.publish();
}

function valuesIn(hand: Hand): number[] {
  const first = hand.bodyAt >> 2;
  return Array.from({ length: hand.bodyBytes / 8 }, (_, index) => hand.words[first + index * 2 + 1] ?? NaN);
}

test.each([0, 56, 100])("createHand(%d) refuses what holds no run or is not a multiple of 8", (bytes) => {
  expect(() => createHand(bytes)).toThrow(RangeError);
});

test("take() appends behind what is in hand, as much as fits, from each input", () => {
  const hand = new Hand(createHand(64), createIntent());
  const rings = [createRing(1 << 16), createRing(1 << 16)] as const;
  const many = Array.from({ length: hand.bodyBytesMax / 8 }, (_, index) => index + 4);
  write(rings[0], [1, 2, 3]);
  write(rings[1], many);
  expect(hand.take(new RingReader(rings[0]), 0)).toBe(24);
  expect(hand.take(new RingReader(rings[1]), 1)).toBe(hand.bodyBytesMax - 24);
  expect(valuesIn(hand)).toEqual([1, 2, 3, ...many.slice(0, -3)]);
  expect(hand.take(new RingReader(rings[1]), 1)).toBe(0);
});

test("take() throws where a record can never fit, and does not while the hand holds something", () => {
  const hand = new Hand(createHand(64), createIntent());
  const ring = createRing(1 << 16);
  const writer = new RingWriter(ring);
  writer.reserve(8);
  writer.reserve(hand.bodyBytesMax + 1);
  writer.publish();
  expect(hand.take(new RingReader(ring), 0)).toBe(8);
  expect(hand.take(new RingReader(ring), 0)).toBe(0);
  hand.clear();
  expect(() => hand.take(new RingReader(ring), 0)).toThrow(RangeError);
});

test("settle() keeps what was taken when the ring had been freed, and only then", () => {
  const memory = createHand(1024);
  const intent = createIntent();
  const rings = [createRing(4096), createRing(4096)] as const;
  write(rings[0], [1]);
  write(rings[1], [2, 3]);
  const hand = new Hand(memory, intent);
  hand.take(new RingReader(rings[0]), 0);
  const control = new Int32Array(rings[1].control);
  const head = control[0] ?? NaN;
  expect(() => hand.take(new DyingReader(rings[1]), 1)).toThrow("ended");
  const intentThen = new Uint8Array(intent).slice();

  const successor = new Hand(memory, intent);
  expect(valuesIn(successor)).toEqual([1]);
  successor.settle(rings.map((ring) => new RingReader(ring)));
  expect(valuesIn(successor)).toEqual([1, 2, 3]);
  // Twice is harmless: the receipt is gone.
  successor.settle(rings.map((ring) => new RingReader(ring)));
  expect(valuesIn(successor)).toEqual([1, 2, 3]);

  // The same, ended one instruction earlier: the ring still has the records.
  new Uint8Array(intent).set(intentThen);
  control[0] = head;
  const other = new Hand(memory, intent);
  other.settle(rings.map((ring) => new RingReader(ring)));
  expect(valuesIn(other)).toEqual([1]);
  other.take(new RingReader(rings[1]), 1);
  expect(valuesIn(other)).toEqual([1, 2, 3]);
});

test("flip() changes half and length at once; each half has room for a batch header", () => {
  const hand = new Hand(createHand(64), createIntent());
  const half = LOG_BATCH_HEADER_BYTES + hand.bodyBytesMax;
  expect([hand.headerAt, hand.bodyAt, hand.otherHeaderAt]).toEqual([0, LOG_BATCH_HEADER_BYTES, half]);
  hand.flip(24);
  expect([hand.headerAt, hand.bodyAt, hand.otherHeaderAt, hand.bodyBytes]).toEqual([half, half + 64, 0, 24]);
  hand.clear();
  expect([hand.headerAt, hand.bodyBytes]).toEqual([half, 0]);
});
