/** The client library over the executable: what the venue sends comes out of its observables. */
import { expect, test } from "bun:test";
import { summarise } from "../../src/book/analytics.ts";
import type { BookView } from "../../src/client/market/live-book.ts";
import { createStreamingInfrastructure } from "../../src/client/market/streaming.ts";
import { STREAMING_EVENTS } from "../../src/client/market/streaming-events.ts";
import { StreamingUtils } from "../../src/client/market/presets.ts";
import { EscServer } from "../support/esc.ts";
import { untilHolds } from "./told-figures.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";

const OKX: RecordedVenue = { dialect: "okx", venue: "okx", files: ["okx-v5/ws.gz"] };

test("the client's book becomes the venue's; health, cache and loss are told", async () => {
  const simulator = simulate(OKX, await recordedLines(OKX));
  const server = await EscServer.start({ config: { feeds: [feedTo(simulator, OKX, ["BTC-USDT"])] } });
  const url = server.url("/api/v1/subscribe").replace("http", "ws");
  const source = StreamingUtils.createStreamSource("esc", url, ["BTC-USDT"]);
  const streaming = createStreamingInfrastructure({
    sources: [{ ...source, from: "earliest" }],
    reportMs: 10,
  });
  try {
    let view: BookView | undefined;
    streaming.getOrderBookStream("BTC-USDT", 20).subscribe((book) => view = book);
    const health = new Promise<string>((resolve) =>
      streaming.getSystemHealthStream().subscribe(({ status }) => status === "healthy" && resolve(status))
    );
    await simulator.finished;
    const truth = () => {
      const feed = simulator.book("BTC-USDT");
      return feed === undefined ? undefined : summarise(feed.book, 20);
    };
    for (let left = 500; left > 0 && !Bun.deepEquals(view?.bids, truth()?.bids); left--) await Bun.sleep(10);
    expect([view?.bids, view?.asks]).toEqual([[...truth()?.bids ?? []], [...truth()?.asks ?? []]]);
    expect(await health).toBe("healthy");
    const cache = streaming.getCacheManager();
    expect(cache.get("market.okx.BTC-USDT.book_delta")?.["kind"]).toBe("book_delta");
    await cache.clear();
    expect(cache.size()).toBe(0);
    const lost = new Promise<string>((resolve) =>
      streaming.on("connection_failed", ({ source }) => resolve(source))
    );
    await server.kill();
    expect(await lost).toBe("esc");
  } finally {
    streaming.destroy();
    await server.remove();
    await simulator.stop();
  }
}, 30_000);

test(
  "binary payloads give the same book and trades; events of lines and books are told by name",
  async () => {
    const simulator = simulate(OKX, await recordedLines(OKX));
    const feed = feedTo(simulator, OKX, ["BTC-USDT"], { payload: "binary", bars: ["1s"] });
    const server = await EscServer.start({ config: { feeds: [feed] } });
    const url = server.url("/api/v1/subscribe").replace("http", "ws");
    const source = StreamingUtils.createStreamSource("esc", url, ["BTC-USDT"], { from: "earliest" });
    const streaming = createStreamingInfrastructure({ sources: [source], reportMs: 20 });
    try {
      const told = new Set<string>();
      for (const name of STREAMING_EVENTS) streaming.on(name, () => told.add(name));
      let view: BookView | undefined;
      streaming.getOrderBookStream("BTC-USDT", 20).subscribe((book) => view = book);
      const trades: unknown[] = [];
      streaming.getTradeStream("BTC-USDT").subscribe((trade) => trades.push(trade["id"]));
      await simulator.finished;
      const truth = () => {
        const feed = simulator.book("BTC-USDT");
        return feed === undefined ? undefined : summarise(feed.book, 20);
      };
      await untilHolds("the venue's book", () => Promise.resolve(Bun.deepEquals(view?.bids, truth()?.bids)));
      await untilHolds("all trades", () => Promise.resolve(trades.length === 69));
      expect(new Set(trades).size).toBe(69);
      const wanted = [
        "order_book_created",
        "order_book_snapshot",
        "order_book_updated",
        "health_updated",
        "metrics_collected",
      ];
      await untilHolds("names of events", () => Promise.resolve(wanted.every((name) => told.has(name))));
      expect(told).not.toContain("error");
      const cache = streaming.getCacheManager();
      expect((await cache.getRange("market.okx.BTC-USDT.trade")).length).toBe(69);
      expect(await cache.bytes()).toBeGreaterThanOrEqual(0);
    } finally {
      await streaming.destroy();
      await server.remove();
      await simulator.stop();
    }
  },
  30_000,
);

test("addSource() refuses an id that is taken, and after destroy()", () => {
  const streaming = createStreamingInfrastructure();
  const source = StreamingUtils.createStreamSource("a", "ws://127.0.0.1:1/api/v1/subscribe");
  streaming.addSource(source);
  expect(() => streaming.addSource(source)).toThrow('There is a source "a" already');
  streaming.destroy();
  expect(() => streaming.addSource(source)).toThrow("after destroy()");
});
