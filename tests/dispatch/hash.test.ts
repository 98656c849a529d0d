import { expect, test } from "bun:test";
import { hashBytes } from "../../src/dispatch/hash.ts";

test("hashBytes() never changes: it decides in which log an event lies", () => {
  const hashOf = (text: string) => hashBytes(Buffer.from(text), 0, Buffer.byteLength(text));
  expect(["", "a", "sensor/1", "market.btc.trade"].map(hashOf)).toMatchInlineSnapshot(`
    [
      2872998923,
      444641715,
      3555769250,
      2641754087,
    ]
  `);
});

test("hashBytes() spreads numbered topics evenly over few shards", () => {
  for (const shardCount of [2, 3, 4, 8]) {
    const counts = new Array<number>(shardCount).fill(0);
    for (let index = 0; index < 10_000; index++) {
      const topic = Buffer.from(`sensor/${index}`);
      const shard = hashBytes(topic, 0, topic.length) % shardCount;
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts) * shardCount / 10_000).toBeGreaterThan(0.9);
  }
});
