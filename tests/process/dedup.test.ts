import { expect, test } from "bun:test";
import { Dedup, IDS_LIMIT, IDS_MIN, UNKNOWN_ID } from "../../src/process/dedup.ts";
import { hashId } from "../../src/process/id-hash.ts";
import { withRandom } from "../support/seed.ts";

test.each([IDS_MIN - 1, IDS_LIMIT + 1, 100.5])("refuses a table of %d ids", (idsMax) => {
  expect(() => new Dedup({ idsMax, windowMs: 1 })).toThrow(RangeError);
});

test("behaves like a first-in-first-out map, for any mixture of operations and clustered hashes", () =>
  withRandom((random) => {
    for (const idsMax of [16, 17, 100, 1000]) {
      const dedup = new Dedup({ idsMax, windowMs: 1 });
      const model = new Map<number, { offset: number; timeUs: number }>();
      let offset = 0;
      let nowUs = 0;
      // Few different low words: long probe chains, which a wrong deletion would break.
      const lowOf = (key: number) => (key % 7) * 3 - 9;
      for (let step = 0; step < 30_000; step++) {
        const key = random.below(idsMax * 2);
        const known = model.get(key);
        expect(dedup.find(lowOf(key), key)).toBe(known?.offset ?? UNKNOWN_ID);
        if (known === undefined && random.chance(0.8)) {
          dedup.add(lowOf(key), key, offset, nowUs);
          if (model.size === idsMax) model.delete(model.keys().next().value ?? NaN);
          model.set(key, { offset: offset++, timeUs: nowUs });
        }
        if (random.chance(0.01)) {
          const from = offset - random.below(20);
          dedup.forgetFrom(from);
          for (const [id, entry] of model) if (entry.offset >= from) model.delete(id);
        }
        if (random.chance(0.05)) {
          nowUs += random.below(200);
          dedup.expire(nowUs);
          for (const [id, entry] of model) if (entry.timeUs < nowUs - 1000) model.delete(id);
        }
        expect(dedup.count).toBe(model.size);
      }
      const visited: number[] = [];
      dedup.visitFrom(offset - 10, (_low, high, at) => {
        expect(model.get(high)?.offset).toBe(at);
        visited.push(at);
      });
      expect(visited).toEqual(
        [...model.values()].map((entry) => entry.offset).filter((at) => at >= offset - 10),
      );
    }
  }));

test("addOldest() fills a table from its newest id on as add() does from its oldest, and stops when it is full", () =>
  withRandom((random) => {
    for (const count of [0, 1, 50, 100, 130]) {
      const idsMax = 100;
      const ids = Array.from({ length: count }, (_, offset) => ({ low: random.below(9) - 4, high: offset }));
      const forwards = new Dedup({ idsMax, windowMs: 1e6 });
      const backwards = new Dedup({ idsMax, windowMs: 1e6 });
      for (const [offset, { low, high }] of ids.entries()) forwards.add(low, high, offset, offset);
      for (const [offset, { low, high }] of [...ids.entries()].reverse()) {
        backwards.addOldest(low, high, offset, offset);
      }
      // The same from here on, too.
      for (let more = 0; more < 60; more++) {
        const offset = count + more;
        for (const dedup of [forwards, backwards]) dedup.add(more, offset, offset, offset);
      }
      expect(backwards.count).toBe(forwards.count);
      for (const [offset, { low, high }] of ids.entries()) {
        expect(backwards.find(low, high)).toBe(forwards.find(low, high));
        if (offset < count + 60 - idsMax) expect(backwards.find(low, high)).toBe(UNKNOWN_ID);
      }
      const visited = (dedup: Dedup) => {
        const all: number[][] = [];
        dedup.visitFrom(0, (...entry) => all.push(entry));
        return all;
      };
      expect(visited(backwards)).toEqual(visited(forwards));
    }
  }));

test("hashId() tells ids apart and spreads them over the low bits", () => {
  const words = new Int32Array(2);
  const seen = new Set<string>();
  const buckets = new Array<number>(64).fill(0);
  const count = 200_000;
  for (let index = 0; index < count; index++) {
    const id = Buffer.from(`order-${index}`);
    hashId(id, 0, id.length, words);
    seen.add(`${words[0]},${words[1]}`);
    const bucket = (words[0] ?? 0) & 63;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  expect(seen.size).toBe(count);
  expect(Math.max(...buckets) / (count / 64)).toBeLessThan(1.1);
  expect(Math.min(...buckets) / (count / 64)).toBeGreaterThan(0.9);
});

test("hashId() reads exactly the id's bytes, and its values never change", () => {
  const hashOf = (text: string, before = "", after = "") => {
    const words = new Int32Array(2);
    hashId(Buffer.from(before + text + after), before.length, text.length, words);
    return [...words];
  };
  for (const length of [1, 2, 3, 4, 5, 7, 8, 63, 64]) {
    const id = "abcdefgh".repeat(8).slice(0, length);
    expect(hashOf(id, "xyz", "uvw")).toEqual(hashOf(id));
  }
  // Data directories hold these values: another function needs another ID_HASH.
  expect(hashOf("a")).toMatchInlineSnapshot(`
    [
      1062855860,
      1525807735,
    ]
  `);
  expect(hashOf("order-12345")).toMatchInlineSnapshot(`
    [
      270257980,
      -854090609,
    ]
  `);
});
