import { expect, test } from "bun:test";
import { SendWindow } from "../../src/client/window.ts";

/** Encodes a frame of `frameBytes` whose body is `mark`, and commits it. @returns Whether there was room. */
function put(window: SendWindow, frameBytes: number, mark: number): boolean {
  const at = window.reserve(frameBytes);
  if (at < 0) return false;
  window.bytes.fill(mark, at, at + frameBytes);
  new DataView(window.bytes.buffer).setUint32(at, frameBytes - 4);
  window.commit(at, frameBytes);
  return true;
}

/** Writes at most `bytesMax` pending bytes. @returns Those bytes. */
function write(window: SendWindow, bytesMax: number): number[] {
  const end = Math.min(window.pendingEnd, window.pendingAt + bytesMax);
  const bytes = [...window.bytes.subarray(window.pendingAt, end)];
  window.wrote(bytes.length);
  return bytes;
}

test("reserve() refuses when full and gives the room back after release()", () => {
  const window = new SendWindow(100);
  expect(put(window, 50, 1)).toBe(true);
  expect(put(window, 50, 2)).toBe(true);
  expect(put(window, 5, 3)).toBe(false);
  expect(write(window, 100).length).toBe(100);
  window.release(1);
  expect(put(window, 51, 3)).toBe(false);
  expect(put(window, 50, 3)).toBe(true);
  expect(put(window, 5, 4)).toBe(false);
  expect(window.frameCount).toBe(2);
});

test("rewind() makes exactly the unreleased frames pending again", () => {
  const window = new SendWindow(100);
  for (const mark of [1, 2, 3]) put(window, 10, mark);
  write(window, 25);
  window.release(1);
  window.rewind();
  expect(window.unwrittenBytes).toBe(20);
  expect(write(window, 100)).toEqual([0, 0, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 0, 6, 3, 3, 3, 3, 3, 3]);
});

test("a roomy window takes a frame of frameBytesMax wherever it stands", () => {
  for (let first = 8; first <= 96; first++) {
    for (let second = 8; second <= 24; second++) {
      const window = new SendWindow(96);
      put(window, first, 1);
      put(window, second, 2);
      write(window, 96);
      write(window, 96);
      if (window.frameCount === 2) window.release(1);
      if (window.isRoomy) expect(put(window, window.frameBytesMax, 3)).toBe(true);
    }
  }
});

test("any sequence of operations yields the frames' bytes in order, as a naive model has them", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = randomFrom(seed);
  const capacity = 64 + random(200);
  const window = new SendWindow(capacity);
  /** Frames held, oldest first; and how many of their bytes have been written. */
  let held: number[][] = [];
  let writtenBytes = 0;
  let mark = 0;
  const context = `seed ${seed}`;
  for (let step = 0; step < 20_000; step++) {
    const flat = held.flat();
    switch (random(5)) {
      case 0:
      case 1: {
        const frameBytes = 4 + random(Math.floor(capacity / 2));
        mark = (mark + 1) % 256;
        if (!put(window, frameBytes, mark)) break;
        held.push([0, 0, (frameBytes - 4) >> 8, (frameBytes - 4) & 255, ...Array(frameBytes - 4).fill(mark)]);
        break;
      }
      case 2: {
        const bytes = write(window, random(capacity));
        expect(bytes, context).toEqual(flat.slice(writtenBytes, writtenBytes + bytes.length));
        writtenBytes += bytes.length;
        break;
      }
      case 3: {
        let whole = 0;
        for (let end = 0; whole < held.length; whole++) {
          end += held[whole]?.length ?? 0;
          if (end > writtenBytes) break;
        }
        expect(window.writtenFrames(), context).toBe(whole);
        const count = random(whole + 1);
        window.release(count);
        writtenBytes -= held.slice(0, count).flat().length;
        held = held.slice(count);
        break;
      }
      default:
        if (random(10) > 0) break;
        window.rewind();
        writtenBytes = 0;
    }
    expect(window.frameCount, context).toBe(held.length);
    expect(window.unwrittenBytes, context).toBe(held.flat().length - writtenBytes);
  }
});

/** Numbers from 0 to `below`-1, always the same for a seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}
