import { expect, test } from "bun:test";
import { createRing, RingReader, RingWriter } from "../../src/queue/ring.ts";
import { sumRing } from "../../src/queue/ring-census.ts";
import { withRandom } from "../support/seed.ts";

test("sumRing() sums what is published and not freed, round the end of the ring, less what the reader has noted", () =>
  withRandom((random) => {
    const memory = createRing(4096);
    const writer = new RingWriter(memory);
    const reader = new RingReader(memory);
    const published: number[] = [];
    const reserved: number[] = [];
    let noted = 0;
    for (let step = 0; step < 20_000; step++) {
      const weight = random.below(1000);
      const at = random.chance(0.6) ? writer.reserve(8 + random.below(300)) : -1;
      if (at >= 0) {
        writer.words[(at >> 2) + 1] = weight;
        reserved.push(weight);
      }
      if (random.chance(0.5)) {
        writer.publish();
        published.push(...reserved.splice(0));
      }
      if (published.length > 0 && random.chance(0.5)) {
        reader.next();
        published.shift();
        noted = Math.min(published[0] ?? 0, random.below(50));
        reader.releaseWithin(noted, noted);
      }
      expect(sumRing(memory, 1)).toBe(published.reduce((sum, value) => sum + value, 0) - noted);
    }
  }));

test("sumRing() says nothing of a ring whose records make no sense", () => {
  const memory = createRing(4096);
  const writer = new RingWriter(memory);
  const at = writer.reserve(16);
  writer.publish();
  writer.words[at >> 2] = 5000;
  expect(sumRing(memory, 1)).toBeUndefined();
});
