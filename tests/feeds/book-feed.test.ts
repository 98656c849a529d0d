/** The state machine of one book: joined, checked, never shown while wrong. */
import { expect, test } from "bun:test";
import { okxChecksum } from "../../src/book/checksum.ts";
import { topLine } from "../../src/book/top-series.ts";
import { BookFeed, type BookFeedListener, type BookFeedOptions } from "../../src/ingest/feeds/book-feed.ts";
import { SEQUENCE_RULES } from "../../src/ingest/feeds/sequence.ts";
import { Instrument } from "../../src/market/instrument.ts";
import { MarketMessage } from "../../src/market/message.ts";

type Levels = [price: string, qty: string][];

/** A feed, the log of everything it tells, and a message to feed it with. */
class Bench implements BookFeedListener {
  readonly log: string[] = [];
  readonly feed: BookFeed;
  readonly #instrument = new Instrument("test", "BTCUSDT", "BTC-USDT");
  readonly #message = new MarketMessage();

  constructor(options: BookFeedOptions) {
    this.feed = new BookFeed(this.#instrument, this, options);
  }

  onUpdate(feed: BookFeed): void {
    this.log.push(`update ${topLine(feed.lastId, feed.book)}`);
  }
  onSnapshot(feed: BookFeed): void {
    this.log.push(`snapshot ${topLine(feed.lastId, feed.book)}`);
  }
  onFault(
    feed: BookFeed,
    { fault, expected, received, missing, severity }: Parameters<BookFeedListener["onFault"]>[1],
  ) {
    // Nobody may read a wrong book: it is empty before the fault is told.
    expect(feed.book.bids.count + feed.book.asks.count).toBe(0);
    this.log.push(`${fault} ${expected} ${received} ${missing} ${severity}`);
  }
  onSnapshotWanted(): void {
    this.log.push("wanted");
  }
  onStateChange(feed: BookFeed, from: string): void {
    this.log.push(`${from}→${feed.state}`);
  }

  /** What was told since the last call. */
  told(): string[] {
    return this.log.splice(0);
  }

  snapshot(lastId: number, bids: Levels, asks: Levels, checksum = NaN): void {
    this.#send("book_snapshot", { lastId, checksum }, bids, asks);
  }

  update(
    ids: { firstId?: number; lastId?: number; previousId?: number; checksum?: number },
    bids: Levels,
    asks: Levels,
  ) {
    this.#send("book_delta", ids, bids, asks);
  }

  #send(kind: "book_snapshot" | "book_delta", ids: object, bids: Levels, asks: Levels): void {
    const message = this.#message;
    message.begin(kind, this.#instrument, 1_000_000);
    Object.assign(message, ids);
    for (const [price, qty] of bids) message.pushLevel(message.bids, price, qty);
    for (const [price, qty] of asks) message.pushLevel(message.asks, price, qty);
    this.feed.take(message);
  }
}

function range(first: number, last = first) {
  return { firstId: first, lastId: last };
}

test("updates before the REST snapshot are buffered, the old dropped, the rest applied in order", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.update(range(98, 99), [["9", "5"]], []);
  bench.update(range(100, 101), [["10", "7"]], []);
  bench.update(range(102), [], [["11.5", "2"]]);
  expect(bench.told()).toEqual(["wanted"]);
  bench.snapshot(100, [["10", "1"]], [["12", "1"]]);
  expect(bench.told()).toEqual([
    "syncing→live",
    "snapshot 100,10,1,12,1",
    "update 101,10,7,12,1",
    "update 102,10,7,11.5,2",
  ]);
  expect(bench.feed).toMatchObject({ appliedCount: 2, ignoredCount: 1, faultCount: 0, state: "live" });
});

test("a snapshot older than the buffer is asked for again, and the buffer kept", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.update(range(105), [["10", "7"]], []);
  bench.told();
  bench.snapshot(100, [["9", "1"]], [["12", "1"]]);
  expect(bench.told()).toEqual(["snapshot_too_old 105 100 NaN critical", "wanted"]);
  bench.snapshot(104, [["9", "1"]], [["12", "1"]]);
  expect(bench.told().at(-1)).toBe("update 105,10,7,12,1");
});

test("a gap empties the book before it is told, and the update that showed it waits for the snapshot", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.previous });
  bench.update({ ...range(95, 100), previousId: 94 }, [], []);
  bench.snapshot(100, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.update({ ...range(140, 150), previousId: 130 }, [["11", "3"]], []);
  expect(bench.told()).toEqual(["live→syncing", "gap_detected 100 140 39 high", "wanted"]);
  bench.update({ ...range(151, 160), previousId: 150 }, [["11", "4"]], []);
  expect(bench.told()).toEqual([]);
  bench.snapshot(145, [["10", "1"]], [["12", "1"]]);
  expect(bench.told()).toEqual([
    "syncing→live",
    "snapshot 145,10,1,12,1",
    "update 150,11,3,12,1",
    "update 160,11,4,12,1",
  ]);
});

test("a duplicate and an old update are ignored in silence", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.snapshot(100, [["10", "1"]], [["12", "1"]]);
  bench.update(range(101), [["10", "2"]], []);
  bench.told();
  bench.update(range(101), [["10", "2"]], []);
  bench.update(range(90, 95), [["10", "9"]], []);
  expect(bench.told()).toEqual([]);
  expect(bench.feed.ignoredCount).toBe(2);
  expect(bench.feed.book.bids.quantity(0)).toBe(2);
});

test("updates of a stream venue before its snapshot are not applied; the snapshot is asked for once", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.contiguous });
  bench.update({ lastId: 5 }, [["10", "1"]], []);
  bench.update({ lastId: 6 }, [["10", "1"]], []);
  expect(bench.told()).toEqual(["wanted"]);
  bench.snapshot(6, [["10", "1"]], [["12", "1"]]);
  bench.update({ lastId: 7 }, [["10", "2"]], []);
  expect(bench.told()).toEqual(["syncing→live", "snapshot 6,10,1,12,1", "update 7,10,2,12,1"]);
});

test("a snapshot replaces the book whenever it comes", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.contiguous });
  bench.snapshot(6, [["10", "1"], ["9", "1"]], [["12", "1"]]);
  bench.snapshot(1, [["8", "1"]], [["12", "1"]]);
  bench.update({ lastId: 2 }, [["8.5", "2"]], []);
  expect(bench.told()).toEqual([
    "syncing→live",
    "snapshot 6,10,1,12,1",
    "snapshot 1,8,1,12,1",
    "update 2,8.5,2,12,1",
  ]);
  expect(bench.feed.book.bids.count).toBe(2);
});

test("a wrong checksum is a fault, with ours and theirs; a right one is counted", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.none, checksum: "okx" });
  bench.snapshot(NaN, [["10", "1"]], [["12", "1"]]);
  const ours = okxChecksum(bench.feed.book);
  bench.snapshot(NaN, [["10", "1"]], [["12", "1"]], ours);
  expect(bench.feed.checksumOkCount).toBe(1);
  bench.told();
  bench.update({ checksum: 1 }, [["10", "1"]], []);
  expect(bench.told()).toEqual(["live→syncing", `checksum_mismatch 1 ${ours} NaN critical`, "wanted"]);
});

test("a crossed book is a fault and never told as an update", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.none });
  bench.snapshot(NaN, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.update({}, [["12", "1"]], []);
  expect(bench.told()).toEqual(["live→syncing", "crossed NaN NaN NaN critical", "wanted"]);
});

test("a price that is not positive and a negative quantity are faults before they reach the book", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.none });
  bench.snapshot(NaN, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.update({}, [["-1", "1"]], []);
  expect(bench.told()[1]).toStartWith("price_not_positive");
  bench.snapshot(NaN, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.update({}, [], [["12", "-1"]]);
  expect(bench.told()[1]).toStartWith("quantity_negative");
});

test("a full join buffer starts again and asks for a newer snapshot", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range, bufferUpdatesMax: 3 });
  for (let id = 1; id <= 3; id++) bench.update(range(id), [], []);
  expect(bench.told()).toEqual(["wanted"]);
  bench.update(range(4), [], []);
  expect(bench.told()).toEqual(["buffer_overflow NaN NaN NaN critical", "wanted"]);
});

test("silence makes a live book stale; the next update in order makes it live again", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.snapshot(100, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.feed.checkSilence(6_000_000, 5_000_000);
  expect(bench.told()).toEqual([]);
  bench.feed.checkSilence(6_000_001, 5_000_000);
  expect(bench.told()).toEqual(["live→stale"]);
  bench.update(range(101), [["10", "2"]], []);
  expect(bench.told()).toEqual(["stale→live", "update 101,10,2,12,1"]);
});

test("a lost line empties the book; when it is back a REST snapshot is asked for", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.snapshot(100, [["10", "1"]], [["12", "1"]]);
  bench.told();
  bench.feed.lineLost(7);
  expect(bench.told()).toEqual(["live→syncing", "line_lost NaN NaN NaN high"]);
  bench.feed.lineRestored();
  expect(bench.told()).toEqual(["wanted"]);
});

test("a micro-time snapshot must be newer than the first update seen", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.increasing });
  bench.update({ lastId: 200 }, [["10", "7"]], []);
  bench.told();
  bench.snapshot(150, [["9", "1"]], [["12", "1"]]);
  expect(bench.told()).toEqual(["snapshot_too_old 200 150 NaN critical", "wanted"]);
  bench.snapshot(250, [["9", "1"]], [["12", "1"]]);
  expect(bench.told()).toEqual(["syncing→live", "snapshot 250,9,1,12,1"]);
  expect(bench.feed.ignoredCount).toBe(1);
});

test("digits learnt later do not change what was buffered or applied before", () => {
  const bench = new Bench({ rule: SEQUENCE_RULES.range });
  bench.update(range(101), [["10", "7"]], []);
  bench.snapshot(100, [["9.25", "1.125"]], [["12.5", "1"]]);
  bench.update(range(102), [["10.125", "0.0625"]], []);
  expect(bench.told().slice(-2)).toEqual(["update 101,10,7,12.5,1", "update 102,10.125,0.0625,12.5,1"]);
});
