import { expect, test } from "bun:test";
import { Worker } from "node:worker_threads";
import {
  align8,
  createRing,
  RING_BYTES_MIN,
  ringDepthBytes,
  type RingMemory,
  RingReader,
  RingWriter,
  TakeReceipt,
} from "../../src/queue/ring.ts";
import { type Random, withRandom } from "../support/seed.ts";

/** A ring whose cursors stand at `units`, as after that many units of 8 bytes (modulo 2^32). */
function ringAt(units: number, capacityBytes = RING_BYTES_MIN): RingMemory {
  const memory = createRing(capacityBytes);
  const control = new Int32Array(memory.control);
  control[0] = units | 0;
  control[32] = units | 0;
  return memory;
}

/** A record of `length` bytes in all, its bytes depending on `value`. @returns Whether there was room. */
function write(writer: RingWriter, value: number, length: number): boolean {
  const at = writer.reserve(length);
  if (at < 0) return false;
  for (let index = 4; index < length; index++) writer.bytes[at + index] = (value + index) & 0xff;
  if (length >= 8) writer.words[(at >> 2) + 1] = value;
  return true;
}

/** Value of the record at `at`, after a check of all its bytes. */
function valueAt(bytes: Uint8Array, words: Int32Array, at: number): number {
  const length = words[at >> 2] ?? 0;
  const value = words[(at >> 2) + 1] ?? NaN;
  for (let index = 8; index < length; index++) {
    if (bytes[at + index] !== ((value + index) & 0xff)) {
      throw new Error(`Record ${value}: byte ${index} differs`);
    }
  }
  return value;
}

function takeAll(reader: RingReader, bytesMax = 1 << 16, at = 0): number[] {
  const target = new Uint8Array(bytesMax + at);
  const words = new Int32Array(target.buffer);
  const end = at + reader.take(target, at, bytesMax);
  const values: number[] = [];
  for (let record = at; record < end; record += align8(words[record >> 2] ?? 0)) {
    values.push(valueAt(target, words, record));
  }
  return values;
}

test.each([0, 1, 4095, 4097, 6144, 2 ** 31])(
  "createRing(%d) refuses what is no power of two in range",
  (bytes) => {
    expect(() => createRing(bytes)).toThrow(RangeError);
  },
);

test("reserve() answers -1 when full and writes nothing", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  for (let value = 0; value < 4096 / 64; value++) expect(write(writer, value, 64)).toBe(true);
  const before = writer.bytes.slice();
  expect(writer.reserve(8)).toBe(-1);
  expect(writer.bytes.slice()).toEqual(before);
  writer.publish();
  const reader = new RingReader(memory);
  expect(reader.next()).toBe(0);
  reader.release();
  expect(writer.reserve(65)).toBe(-1);
  expect(writer.reserve(64)).toBe(0);
});

test("nothing is visible before publish()", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  write(writer, 1, 16);
  expect([reader.next(), reader.isEmpty(), ringDepthBytes(memory)]).toEqual([-1, true, 0]);
  expect([writer.publish(), writer.publish()]).toEqual([true, false]);
  expect([reader.isEmpty(), ringDepthBytes(memory)]).toEqual([false, 16]);
  expect(takeAll(reader)).toEqual([1]);
});

test("shrink() gives back the end of the last record, and the next one follows it", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  const at = writer.reserve(1000);
  writer.words[(at >> 2) + 1] = 77;
  writer.shrink(at, 8);
  write(writer, 78, 8);
  writer.publish();
  expect(takeAll(new RingReader(memory))).toEqual([77, 78]);
});

test("take() stops before a record that does not fit and leaves out the pad at the end", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  for (let round = 0; round < 50; round++) {
    for (const length of [1000, 24, 900]) expect(write(writer, round, length)).toBe(true);
    writer.publish();
    expect(takeAll(reader, 992)).toEqual([]);
    expect(takeAll(reader, 1024)).toEqual([round, round]);
    expect(takeAll(reader, 904, 64)).toEqual([round]);
  }
});

test("stepBack() keeps the record, and progress inside it survives a new reader until release()", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  for (const value of [1, 2, 3]) write(writer, value, 16);
  writer.publish();
  const reader = new RingReader(memory);
  reader.next();
  reader.next();
  reader.stepBack();
  reader.releaseWithin(4, 1);
  const successor = new RingReader(memory);
  expect([successor.progressBytes, successor.progressCount]).toEqual([4, 1]);
  expect(valueAt(successor.bytes, successor.words, successor.next())).toBe(2);
  successor.release();
  expect([successor.progressBytes, successor.progressCount]).toEqual([0, 0]);
  expect(takeAll(successor)).toEqual([3]);
});

test("a receipt says whether the take it speaks of has happened", () => {
  const memory = createRing(RING_BYTES_MIN);
  const writer = new RingWriter(memory);
  write(writer, 1, 16);
  writer.publish();
  const receipt = new TakeReceipt(new Int32Array(3));
  const reader = new RingReader(memory);
  const control = new Int32Array(memory.control);
  const head = control[0] ?? NaN;
  reader.take(new Uint8Array(64), 8, 56, receipt);
  expect([receipt.isOpen, receipt.copyEnd, reader.hasPassed(receipt)]).toEqual([true, 24, true]);
  // As if the thread had ended before the ring was freed.
  control[0] = head;
  expect(new RingReader(memory).hasPassed(receipt)).toBe(false);
  receipt.clear();
  expect(receipt.isOpen).toBe(false);
});

/** Random operations against an array. */
function compareWithModel(random: Random, startUnits: number, operations: number): void {
  const memory = ringAt(startUnits);
  let writer = new RingWriter(memory);
  let reader = new RingReader(memory);
  const model: { value: number; length: number }[] = [];
  let unpublished = 0;
  for (let value = 0; value < operations; value++) {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const length = random.chance(0.1) ? random.between(8, 2048) : random.between(8, 200);
        if (write(writer, value, length)) {
          model.push({ value, length });
          unpublished++;
        }
        break;
      }
      case 4:
        writer.publish();
        unpublished = 0;
        break;
      case 5: {
        const bytesMax = random.between(8, 4096);
        let fits = 0;
        let bytes = 0;
        for (const { length } of model.slice(0, model.length - unpublished)) {
          bytes += align8(length);
          if (bytes > bytesMax) break;
          fits++;
        }
        expect(takeAll(reader, bytesMax & ~7, 8)).toEqual(
          model.splice(0, fits).map((record) => record.value),
        );
        break;
      }
      case 6: {
        unpublished = 0;
        const at = writer.dropOldest();
        const oldest = model.shift();
        if (oldest === undefined) expect(at).toBe(-1);
        else expect(valueAt(writer.bytes, writer.words, at)).toBe(oldest.value);
        break;
      }
      case 7:
        // Both ends can be opened anew at any time.
        if (unpublished === 0 && random.chance(0.1)) writer = new RingWriter(memory);
        if (random.chance(0.1)) reader = new RingReader(memory);
    }
  }
  writer.publish();
  const rest: number[] = [];
  for (let values = takeAll(reader); values.length > 0; values = takeAll(reader)) rest.push(...values);
  expect(rest).toEqual(model.map((record) => record.value));
}

test.each([0, 2 ** 31 - 300, 2 ** 32 - 300])(
  "a ring from position %d behaves like a queue",
  (start) =>
    withRandom((random) => {
      for (let round = 0; round < 20; round++) compareWithModel(random, start + random.below(600), 2000);
    }),
);

test("next() and release() give the same records as take()", () =>
  withRandom((random) => {
    for (const start of [0, 2 ** 31 - 100, 2 ** 32 - 100]) {
      const memory = ringAt(start);
      const writer = new RingWriter(memory);
      const reader = new RingReader(memory);
      let written = 0;
      let read = 0;
      while (read < 5000) {
        while (random.chance(0.9) && write(writer, written, random.between(8, 300))) written++;
        writer.publish();
        while (random.chance(0.9)) {
          const at = reader.next();
          if (at < 0) break;
          expect(valueAt(reader.bytes, reader.words, at)).toBe(read++);
        }
        reader.release();
      }
    }
  }));

/** Starts the writing end of a ring in a thread of its own. */
function startPeer(
  memory: RingMemory,
  count: number,
  drops: boolean,
): { worker: Worker; result: Promise<number> } {
  const worker = new Worker(new URL("./ring-peer.ts", import.meta.url), {
    workerData: { memory, count, drops },
  });
  const result = new Promise<number>((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
  return { worker, result };
}

test.each([0, 2 ** 31 - 1000, 2 ** 32 - 1000])(
  "two threads: a million records in order, none lost, from position %d",
  async (start) => {
    const memory = ringAt(start, 1 << 16);
    const count = 1_000_000;
    const { worker, result } = startPeer(memory, count, false);
    const reader = new RingReader(memory);
    const target = new Uint8Array(1 << 15);
    const words = new Int32Array(target.buffer);
    let expected = 0;
    while (expected < count) {
      const end = reader.take(target, 0, target.length);
      for (let at = 0; at < end; at += align8(words[at >> 2] ?? 0)) {
        const value = valueAt(target, words, at);
        if (value !== expected) throw new Error(`Record ${value} instead of ${expected}`);
        expected++;
      }
      // The thread's start and its messages need this thread's event loop.
      if (end === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await result).toBe(0);
    await worker.terminate();
  },
);

test("two threads: dropOldest() racing take(): each record is taken or dropped, once, in order", async () => {
  const memory = createRing(1 << 13);
  const count = 1_000_000;
  const { worker, result } = startPeer(memory, count, true);
  let dropped = -1;
  void result.then((value) => dropped = value);
  const reader = new RingReader(memory);
  const target = new Uint8Array(1 << 12);
  const words = new Int32Array(target.buffer);
  let taken = 0;
  let last = -1;
  for (;;) {
    const end = reader.take(target, 0, target.length);
    for (let at = 0; at < end; at += align8(words[at >> 2] ?? 0)) {
      const value = valueAt(target, words, at);
      if (value <= last) throw new Error(`Record ${value} after ${last}`);
      last = value;
      taken++;
    }
    if (end > 0) continue;
    if (dropped >= 0 && reader.isEmpty()) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(taken + dropped).toBe(count);
  expect(last).toBe(count - 1);
  expect(dropped).toBeGreaterThan(0);
  expect(taken).toBeGreaterThan(0);
  await worker.terminate();
});
