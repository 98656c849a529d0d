/** The client's cache: the newest in memory, history on a shelf, never more than it may hold. */
import { expect, test } from "bun:test";
import "fake-indexeddb/auto";
import { MarketCache } from "../../src/client/market/cache.ts";
import { type CacheShelf, memoryShelf, openIndexedDbShelf } from "../../src/client/market/cache-shelf.ts";

let databases = 0;
const SHELVES: readonly (readonly [name: string, open: () => Promise<CacheShelf>])[] = [
  ["memory", () => Promise.resolve(memoryShelf())],
  [
    "IndexedDB (a stand-in; the real one is tested in Chromium)",
    () => openIndexedDbShelf(`test-${databases++}`),
  ],
];

const trade = (id: number) => ({ kind: "trade", id, price: String(id), qty: "1" });

for (const [name, open] of SHELVES) {
  test(`${name}: getRange() gives events of a topic by time, written and unwritten`, async () => {
    let nowMs = 1000;
    const cache = new MarketCache({ shelf: await open(), now: () => nowMs });
    for (let id = 0; id < 1300; id++) {
      nowMs = 1000 + id;
      cache.put("market.v.A-B.trade", trade(id));
      cache.put("market.v.C-D.trade", trade(-id));
    }
    const range = await cache.getRange("market.v.A-B.trade", 1100, 1200);
    expect(range.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, at) => 100 + at));
    expect((await cache.getRange("market.v.A-B.trade")).length).toBe(1300);
    await cache.flush();
    expect((await cache.getRange("market.v.A-B.trade", 2299)).map(({ id }) => id)).toEqual([1299]);
    expect(cache.get("market.v.C-D.trade")).toEqual(trade(-1299));
    await cache.clear();
    expect([cache.size(), await cache.bytes(), await cache.getRange("market.v.A-B.trade")]).toEqual([
      0,
      0,
      [],
    ]);
    await cache.close();
  });

  test(`${name}: over its bytes the least recently used leaves, until 80 % are left; old blocks leave first`, async () => {
    let nowMs = 1;
    const bytesMax = 4000;
    const cache = new MarketCache({ shelf: await open(), bytesMax, ageMaxMs: 10_000, now: () => nowMs });
    const fill = async (topic: string) => {
      nowMs++;
      for (let id = 0; id < 16; id++) cache.put(topic, { ...trade(id), text: crypto.randomUUID() });
      await cache.flush();
    };
    await fill("first");
    await fill("second");
    let before = 0;
    // The first one is read again and again: the second is the least recently used.
    for (let more = 0; await cache.bytes() > before; more++) {
      before = await cache.bytes();
      expect(before).toBeLessThanOrEqual(bytesMax);
      nowMs++;
      await cache.getRange("first");
      await fill(`more ${more}`);
    }
    expect(before).toBeGreaterThan(bytesMax / 2);
    expect(await cache.bytes()).toBeLessThanOrEqual(bytesMax * 0.8);
    expect((await cache.getRange("second")).length).toBe(0);
    expect((await cache.getRange("first")).length).toBe(16);
    nowMs += 20_000;
    await fill("young");
    expect([(await cache.getRange("first")).length, (await cache.getRange("young")).length]).toEqual([0, 16]);
    await cache.close();
  });
}

test("in memory there are at most topicsMax topics; a shelf that fails is told and keeps nothing back", async () => {
  const problems: unknown[] = [];
  const shelf = { ...memoryShelf(), put: () => Promise.reject(new Error("quota")) };
  const cache = new MarketCache({ topicsMax: 2, shelf }, (problem) => problems.push(problem));
  for (const topic of ["a", "b", "a", "c"]) cache.put(topic, trade(1));
  expect([cache.size(), cache.get("b"), cache.get("a")]).toEqual([2, undefined, trade(1)]);
  await cache.flush();
  expect(problems.map(String)).toContain("Error: quota");
  await cache.close();
});
