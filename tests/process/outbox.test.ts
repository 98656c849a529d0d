import { expect, test } from "bun:test";
import { Outbox, OUTBOX_BYTES_MAX } from "../../src/process/outbox.ts";
import { withRandom } from "../support/seed.ts";

/** A frame whose content is its number. */
function frameOf(number: number, bytes = 8): Uint8Array {
  const frame = new Uint8Array(bytes);
  new DataView(frame.buffer).setUint32(0, number);
  return frame;
}

function numbersIn(saved: readonly string[]): number[] {
  return saved.map((text) => Buffer.from(text, "base64").readUInt32BE(0)).sort((a, b) => a - b);
}

test("whatever happens, what is not known to be durable is in the checkpoint, and all of it gets there", () =>
  withRandom((random) => {
    for (let round = 0; round < 100; round++) {
      let outbox = new Outbox();
      let next = 0;
      /** Numbers that are not durable yet; what the engine has, in order; held ones may not be there. */
      const open = new Set<number>();
      const held = new Set<number>();
      let offered: number[] = [];
      let done = 0;
      const take = (bytes: Uint8Array, count: number): boolean => {
        if (random.chance(0.2)) return false;
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        for (let index = 0; index < count; index++) {
          const number = view.getUint32(index * 8);
          expect([round, number, held.has(number)]).toEqual([round, number, false]);
          offered.push(number);
        }
        return true;
      };
      const settle = (count: number, refuses: boolean) => {
        if (refuses) outbox.refuse(done + 1, count);
        else for (const number of offered.slice(done, done + count)) open.delete(number);
        done += count;
        outbox.done(done);
      };
      for (let step = 0; step < 200; step++) {
        const choice = random.below(7);
        if (choice === 0 || choice === 1) {
          open.add(next);
          if (choice === 0) held.add(next);
          outbox[choice === 0 ? "hold" : "add"](frameOf(next++));
        } else if (choice === 2) {
          held.clear();
          outbox.release();
        } else if (choice === 3) outbox.send(take);
        else if (choice === 4 && done < offered.length) {
          settle(random.between(1, offered.length - done), random.chance(0.3));
        } else if (choice === 5) outbox.again();
        else if (random.chance(0.1)) {
          // A crash: what the engine took and has not confirmed is sent again; its message ids make that harmless.
          const saved = outbox.save();
          outbox = new Outbox();
          outbox.load(saved);
          held.clear();
          offered = [];
          done = 0;
        }
        expect([round, step, numbersIn(outbox.save())]).toEqual([
          round,
          step,
          [...open].sort((a, b) => a - b),
        ]);
        expect(outbox.count).toBe(open.size);
      }
      outbox.release();
      held.clear();
      while (outbox.count > 0) {
        outbox.again();
        outbox.send(take);
        if (done < offered.length) settle(offered.length - done, false);
      }
      expect(open.size).toBe(0);
      expect(outbox.isFull).toBeFalse();
    }
  }));

test("it is full at its limit, and takes a frame larger than a run", () => {
  const outbox = new Outbox();
  const large = 1 << 20;
  for (let bytes = 0; bytes < OUTBOX_BYTES_MAX; bytes += large) {
    expect(outbox.isFull).toBeFalse();
    outbox.add(frameOf(1, large));
  }
  expect(outbox.isFull).toBeTrue();
  const sizes: number[] = [];
  outbox.send((bytes) => sizes.push(bytes.length) > 0);
  expect(sizes).toEqual(new Array<number>(OUTBOX_BYTES_MAX / large).fill(large));
  outbox.done(sizes.length);
  expect([outbox.isFull, outbox.count]).toEqual([false, 0]);
});
