import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Cache } from "../../src/store/cache.ts";
import { eventRow } from "../../src/store/event-rows.ts";
import { FanOut } from "../../src/store/fan-out.ts";
import { Lru } from "../../src/store/lru.ts";
import { RedisClient } from "../../src/store/redis.ts";
import { REDIS_MISSING, RedisServer } from "../support/redis.ts";
import { Random } from "../support/seed.ts";
import { rowsOf, T0_US } from "./rows.ts";

class Clock {
  ms = 0;
  readonly nowMs = () => this.ms;
}

function lru(options: Partial<{ keysMax: number; bytesMax: number }> = {}, clock = new Clock()): Lru {
  return new Lru({ keysMax: 100, bytesMax: 10_000, nowMs: clock.nowMs, ...options });
}

describe("lru", () => {
  test("keeps as many keys as it may, and loses the least recently used", () => {
    const cache = lru({ keysMax: 2 });
    cache.set("a", "1", 10);
    cache.set("b", "2", 10);
    expect(cache.get("a")).toBe("1");
    cache.set("c", "3", 10);
    expect([cache.get("a"), cache.get("b"), cache.get("c")]).toEqual(["1", undefined, "3"]);
    expect([cache.size, cache.evictions]).toEqual([2, 1]);
  });

  test("keeps as many bytes as it may, counts them back, and refuses what is larger than itself", () => {
    const cache = lru({ bytesMax: 20 });
    cache.set("a", "1234", 10);
    cache.set("b", "1234", 10);
    expect([cache.size, cache.bytes]).toEqual([2, 20]);
    cache.set("b", "12345", 10);
    expect([cache.get("a"), cache.get("b"), cache.bytes]).toEqual([undefined, "12345", 12]);
    cache.set("c", "x".repeat(10), 10);
    expect([cache.get("c"), cache.get("b")]).toEqual([undefined, "12345"]);
  });

  test("a value is given out before its time is over, not at it", () => {
    const clock = new Clock();
    const cache = lru({}, clock);
    cache.set("a", "1", 5);
    clock.ms = 4;
    expect(cache.get("a")).toBe("1");
    clock.ms = 5;
    expect(cache.get("a")).toBeUndefined();
    expect(cache.bytes).toBe(0);
  });
});

const redisTitle = `with Redis${REDIS_MISSING === undefined ? "" : ` (${REDIS_MISSING})`}`;

for (const isShared of [false, true]) {
  describe.skipIf(isShared && REDIS_MISSING !== undefined)(
    `cache ${isShared ? redisTitle : "in the process"}`,
    () => {
      let server: RedisServer | undefined;
      let redis: RedisClient | undefined;
      let number = 0;

      beforeAll(async () => {
        if (!isShared) return;
        server = await RedisServer.start();
        redis = new RedisClient({ url: server.url });
        await ready(redis);
      });
      afterAll(async () => {
        redis?.close();
        await server?.kill();
      });

      const cache = () =>
        new Cache({
          local: lru({ keysMax: 10_000, bytesMax: 10_000_000 }),
          keyPrefix: `t${number++}:`,
          ttlMs: 60_000,
          ...(redis === undefined ? {} : { redis }),
        });

      test("1,000 who miss one key at once load it once", async () => {
        const here = cache();
        let loads = 0;
        const load = async () => {
          loads++;
          await new Promise((resolve) => setImmediate(resolve));
          return "value";
        };
        const values = await Promise.all(Array.from({ length: 1000 }, () => here.getOrLoad("key", load)));
        expect(new Set(values)).toEqual(new Set(["value"]));
        expect(loads).toBe(1);
        expect([here.misses, here.shared]).toEqual([1, 999]);
        expect(await here.getOrLoad("key", load)).toBe("value");
        expect([loads, here.hits]).toEqual([1, 1]);
      });

      test("a load that fails is not remembered", async () => {
        const here = cache();
        const failing = () => Promise.reject(new Error("no"));
        expect(here.getOrLoad("key", failing)).rejects.toThrow("no");
        expect(await here.getOrLoad("key", async () => "yes")).toBe("yes");
      });

      test("a Zipf load of 20,000 questions over 1,000 keys, begun empty, hits more than 95 %", async () => {
        const here = cache();
        const random = new Random(7);
        for (let question = 0; question < 20_000; question++) {
          // Zipf with exponent 1.3, by the inverse of its continuous form.
          const rank = Math.floor((1 - random.unit() * (1 - 1_000 ** -0.3)) ** (-1 / 0.3));
          await here.getOrLoad(`k${rank}`, async () => `v${rank}`);
        }
        expect(here.hitRatio).toBeGreaterThan(0.95);
      });

      test("write() reaches the source first; invalidate() makes the next question a miss", async () => {
        const here = cache();
        const source: string[] = [];
        expect(here.write("key", "1", () => Promise.reject(new Error("full")))).rejects.toThrow("full");
        expect(await here.get("key")).toBeUndefined();
        await here.write("key", "2", async () => void source.push("2"));
        expect([await here.get("key"), source]).toEqual(["2", ["2"]]);
        await here.invalidate("key");
        expect(await here.get("key")).toBeUndefined();
      });

      test("writeLater() is known at once, written once with its newest value, and waits on when it fails", async () => {
        const here = cache();
        here.writeLater("a", "1");
        here.writeLater("a", "2");
        here.writeLater("b", "3");
        expect(await here.get("a")).toBe("2");
        expect(here.flush(() => Promise.reject(new Error("away")))).rejects.toThrow("away");
        await Promise.resolve();
        here.writeLater("a", "4");
        const written: [string, string][] = [];
        await here.flush(async (entries) => void written.push(...entries));
        expect(written.sort()).toEqual([["a", "4"], ["b", "3"]]);
        expect([here.laterCount, await here.get("a")]).toEqual([0, "4"]);
      });
    },
  );
}

describe.skipIf(REDIS_MISSING !== undefined)(
  `Redis${REDIS_MISSING === undefined ? "" : ` (${REDIS_MISSING})`}`,
  () => {
    test("when it dies, answers come from loads and this process; the breaker opens, and closes when it is back", async () => {
      const server = await RedisServer.start();
      const redis = new RedisClient({ url: server.url });
      await ready(redis);
      const cache = new Cache({ local: lru(), redis, keyPrefix: "x:", ttlMs: 60_000 });
      await cache.set("kept", "1");
      await server.kill();
      let loads = 0;
      const load = async () => `loaded ${++loads}`;
      expect(await cache.getOrLoad("kept", load)).toBe("loaded 1");
      // Now this process knows it.
      for (let question = 0; question < 20; question++) {
        expect(await cache.getOrLoad("kept", load)).toBe(
          "loaded 1",
        );
      }
      expect(redis.breakerState).toBe(2);
      await server.up();
      await ready(redis);
      expect(redis.breakerState).toBe(0);
      await cache.set("again", "2");
      expect(await redis.run((client) => client.get("x:again"))).toBe("2");
      redis.close();
      await server.kill();
    });

    test("stored values fan out: last value of each topic, and a message on the channel", async () => {
      const server = await RedisServer.start();
      const redis = new RedisClient({ url: server.url });
      await ready(redis);
      const heard: string[] = [];
      await redis.subscribe("results", (message) => heard.push(JSON.parse(message).payload));
      const fanOut = new FanOut({ redis, keyPrefix: "f:", channel: "results", ttlMs: 60_000 });
      const rows = rowsOf([{ logId: 1, offset: 5, topic: "a.b", payload: "one", key: "k" }]);
      fanOut.note([eventRow(rows, 0)]);
      while (heard.length === 0) await Bun.sleep(1);
      expect(heard).toEqual(["one"]);
      expect(JSON.parse(await redis.run((client) => client.get("f:last:a.b")) ?? "")).toEqual({
        topic: "a.b",
        offset: 5,
        priority: 0,
        received_us: T0_US + 5,
        key: "k",
        payload: "one",
      });
      expect([fanOut.sent, fanOut.dropped]).toEqual([1, 0]);
      redis.close();
      await server.kill();
    });

    test("without a server, fan-out drops and counts, and nothing waits", async () => {
      const redis = new RedisClient({ url: "redis://127.0.0.1:1" });
      const fanOut = new FanOut({ redis, keyPrefix: "f:", channel: "results", ttlMs: 60_000 });
      const rows = rowsOf([{ logId: 1, offset: 0, topic: "a", payload: "x" }]);
      for (let note = 0; note < 50; note++) {
        fanOut.note([eventRow(rows, 0)]);
        await new Promise((resolve) => setImmediate(resolve));
      }
      while (fanOut.dropped === 0) await Bun.sleep(1);
      expect(fanOut.sent).toBe(0);
      redis.close();
    });
  },
);

/** Waits until Redis answers. */
async function ready(redis: RedisClient): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    try {
      await redis.run((client) => client.ping());
      return;
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
      await Bun.sleep(20);
    }
  }
}
