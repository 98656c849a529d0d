import { expect, test } from "bun:test";
import { costToTrade, depthWithin, imbalance, summarise } from "../../src/book/analytics.ts";
import { OrderBook } from "../../src/book/book.ts";
import { gradeBook, gradeOf } from "../../src/book/grade.ts";
import { LevelColumns, MESSAGE_LEVELS_MAX } from "../../src/book/levels.ts";
import type { BookSide } from "../../src/book/side.ts";
import {
  checkBook,
  checkLevels,
  checkOrder,
  gapSeverity,
  isCrossed,
  silenceSeverity,
  validationScore,
} from "../../src/book/validation.ts";

function columns(...rows: [price: number, qty: number][]): LevelColumns {
  const levels = new LevelColumns();
  for (const [price, qty] of rows) levels.push(price, qty, 0);
  return levels;
}

/** Levels of a side from the best on. */
function levelsOf(side: BookSide): [number, number][] {
  return Array.from({ length: side.count }, (_, rank) => [side.price(rank), side.quantity(rank)]);
}

/** Deterministic pseudo-random numbers (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Best first, cut to `depth`: what a book must equal, by sorting everything anew. */
function naiveLevels(model: ReadonlyMap<number, number>, sign: number): [number, number][] {
  return [...model].sort((a, b) => sign * (b[0] - a[0]));
}

function compareWithModel(
  seed: number,
  options: { depth: number; levelsMax: number; updates: number; prices: number },
) {
  const { depth, levelsMax, updates, prices } = options;
  const random = randomOf(seed);
  const book = new OrderBook({ depth, levelsMax });
  const models = [new Map<number, number>(), new Map<number, number>()] as const;
  const sides = [book.bids, book.asks];
  const [bids, asks] = [new LevelColumns(), new LevelColumns()];
  const limit = depth === 0 ? levelsMax : depth;
  for (let done = 0; done < updates;) {
    bids.clear();
    asks.clear();
    for (const [at, levels] of [bids, asks].entries()) {
      const model = models[at] ?? new Map();
      for (let left = random(6); left > 0; left--, done++) {
        const price = 1 + random(prices);
        const qty = random(3) === 0 ? 0 : 1 + random(1000);
        levels.push(price, qty, 0);
        if (qty === 0) model.delete(price);
        else model.set(price, qty);
        // A side that is full drops its farthest level at once, and only then takes the next level of the message.
        if (depth === 0 && model.size > limit) {
          model.delete(naiveLevels(model, at === 0 ? 1 : -1).at(-1)?.[0] ?? 0);
        }
      }
      if (depth > 0) {
        for (const [price] of naiveLevels(model, at === 0 ? 1 : -1).slice(depth)) model.delete(price);
      }
    }
    book.apply(bids, asks);
    const isSample = random(400) === 0 || done >= updates;
    for (const [at, side] of sides.entries()) {
      const model = models[at] ?? new Map();
      if (side.count !== model.size) {
        throw new Error(`seed ${seed}: ${side.count} levels, model ${model.size}`);
      }
      if (!isSample) continue;
      if (!checkOrder(side)) throw new Error(`seed ${seed}: side not sorted after ${done} updates`);
      expect(levelsOf(side)).toEqual(naiveLevels(model, at === 0 ? 1 : -1));
    }
  }
}

test("a book equals a naive model over a million random updates", () => {
  compareWithModel(20_261_121, { depth: 0, levelsMax: 100_000, updates: 1_000_000, prices: 2000 });
}, 30_000);

test("a book cut to its depth equals a naive model", () => {
  for (let seed = 1; seed <= 5; seed++) {
    compareWithModel(seed, { depth: 25, levelsMax: 1000, updates: 20_000, prices: 200 });
  }
});

test("a book at its level limit drops the farthest level and equals a naive model", () => {
  for (let seed = 1; seed <= 5; seed++) {
    compareWithModel(seed, { depth: 0, levelsMax: 30, updates: 5000, prices: 100 });
  }
});

test("load() takes levels in any order, and the later of two with one price", () => {
  const book = new OrderBook();
  book.load(columns([100, 1], [99, 2], [101, 3], [99, 5]), columns([102, 4], [103, 0], [105, 1]));
  expect(levelsOf(book.bids)).toEqual([[101, 3], [100, 1], [99, 5]]);
  expect(levelsOf(book.asks)).toEqual([[102, 4], [105, 1]]);
});

test("useScales() keeps prices, and the digits of quantities that outgrow 2^53", () => {
  const book = new OrderBook();
  book.load(columns([100, 9_007_199_254_740_991]), columns([101, 7]));
  book.useScales(2, 3);
  const { bids, asks } = summarise(book);
  expect([bids[0], asks[0]]).toEqual([["100", "9007199254740991"], ["101", "7"]]);
  expect(book.bids.receivedQty(0, book.qtyScale)).toBe("9007199254740991");
});

test("LevelColumns.push() refuses more than the limit and keeps what it has", () => {
  const levels = new LevelColumns();
  for (let at = 0; at < MESSAGE_LEVELS_MAX; at++) levels.push(at + 1, 1, 0);
  expect(levels.push(1, 1, 0)).toBe(false);
  expect(levels.count).toBe(MESSAGE_LEVELS_MAX);
});

test("checkLevels() names the first defect", () => {
  expect(checkLevels(columns([1, 0], [2, 5]))).toBeUndefined();
  expect(checkLevels(columns([0, 1]))).toBe("price_not_positive");
  expect(checkLevels(columns([NaN, 1]))).toBe("price_not_positive");
  expect(checkLevels(columns([1, -1]))).toBe("quantity_negative");
});

test("checkBook() and validationScore() follow the table: 25 an error, 5 a warning", () => {
  const book = new OrderBook();
  expect(checkBook(book)).toEqual(["side_empty"]);
  expect(validationScore(["side_empty"])).toBe(95);
  book.load(columns([101, 1]), columns([101, 1]));
  expect(isCrossed(book)).toBe(true);
  expect(checkBook(book)).toEqual(["crossed"]);
  expect(validationScore(["crossed", "duplicate"])).toBe(70);
  expect(validationScore(["crossed", "unsorted", "sequence_gap", "checksum_mismatch", "duplicate"])).toBe(0);
  book.load(columns([100, 1]), columns([101, 1]));
  expect(checkBook(book, 99)).toEqual(["spread_over_tolerance"]);
  expect(checkBook(book, 100)).toEqual([]);
});

const GAPS = [[5, "low"], [6, "medium"], [20, "medium"], [21, "high"], [100, "high"], [
  101,
  "critical",
]] as const;
for (const [missing, severity] of GAPS) {
  test(`gapSeverity(${missing}) is ${severity}`, () => expect(gapSeverity(missing)).toBe(severity));
}

test("silenceSeverity() starts over 60 s and is critical over 300 s", () => {
  expect([60e6, 60e6 + 1, 300e6, 300e6 + 1].map(silenceSeverity)).toEqual([
    undefined,
    "high",
    "high",
    "critical",
  ]);
});

test("gradeBook() takes off what the table says", () => {
  const grade = (bids: LevelColumns, asks: LevelColumns, gapCount = 0, ageUs = 0) => {
    const book = new OrderBook();
    book.load(bids, asks);
    book.receivedUs = 1000;
    return gradeBook(book, { nowUs: 1000 + ageUs, gapCount });
  };
  expect(grade(columns([10_000, 1]), columns([10_001, 1]))).toEqual({ score: 100, grade: "excellent" });
  expect(grade(columns([10_000, 1]), columns([10_001, 1]), 1)).toEqual({ score: 85, grade: "good" });
  expect(grade(columns([10_000, 1]), columns([10_001, 1]), 0, 10_000_001)).toEqual({
    score: 90,
    grade: "excellent",
  });
  expect(grade(columns([100, 1]), columns([102, 1]))).toEqual({ score: 80, grade: "good" });
  expect(grade(columns([100, 1]), columns())).toEqual({ score: 50, grade: "fair" });
  expect(grade(columns([101, 1]), columns([100, 1]), 3, 20_000_000)).toEqual({ score: 35, grade: "poor" });
  expect([90, 89, 70, 69, 50, 49, 30, 29].map(gradeOf)).toEqual(
    ["excellent", "good", "good", "fair", "fair", "poor", "poor", "invalid"],
  );
});

test("depthWithin(), imbalance() and costToTrade() count levels up to the edge", () => {
  const book = new OrderBook();
  book.load(columns([9995, 2], [9990, 3], [9989, 100]), columns([10_005, 1], [10_010, 4], [10_011, 100]));
  expect(depthWithin(book, 10)).toEqual({ bid: 5, ask: 5 });
  expect(imbalance(book, 1)).toBeCloseTo(1 / 3, 12);
  expect(imbalance(book, 2)).toBe(0);
  expect(costToTrade(book.asks, 3)).toEqual({ averagePrice: (10_005 + 2 * 10_010) / 3, missing: 0 });
  expect(costToTrade(book.asks, 110)).toMatchObject({ missing: 5 });
});
