/**
 * What a book says about the market now. Two forms of each figure: a double for the hot path, and exact text
 * for people. All answers are NaN or `undefined` while a side they need is empty.
 *
 *     mid = (bid + ask) / 2        spread = ask - bid        spread_bps = spread / mid · 10⁴
 *     microprice = (ask · bidQty + bid · askQty) / (bidQty + askQty)
 *     imbalance_n = (B - A) / (B + A), summed quantity of the best n levels a side, -1 .. 1, positive: bid-heavy
 *     depth_n_bps = quantity resting at price ≥ mid · (1 - n/10⁴) / ≤ mid · (1 + n/10⁴)
 */
import type { OrderBook } from "./book.ts";
import { formatScaled, pow10, ratioText } from "./decimal.ts";
import type { BookSide } from "./side.ts";

/** Middle of the best prices, in price units. */
export function mid(book: OrderBook): number {
  if (book.bids.count === 0 || book.asks.count === 0) return NaN;
  return (book.bids.price(0) + book.asks.price(0)) / (2 * pow10(book.priceScale));
}

/** Best ask minus best bid, in price units; 0 or less when the book is crossed. */
export function spread(book: OrderBook): number {
  if (book.bids.count === 0 || book.asks.count === 0) return NaN;
  return (book.asks.price(0) - book.bids.price(0)) / pow10(book.priceScale);
}

/** The spread in ten-thousandths of the middle. */
export function spreadBps(book: OrderBook): number {
  if (book.bids.count === 0 || book.asks.count === 0) return NaN;
  const bid = book.bids.price(0);
  const ask = book.asks.price(0);
  return ((ask - bid) / (ask + bid)) * 20_000;
}

/** The middle weighted by the opposite side's size: nearer to the side about to be taken. */
export function microprice(book: OrderBook): number {
  if (book.bids.count === 0 || book.asks.count === 0) return NaN;
  const bidQty = book.bids.quantity(0);
  const askQty = book.asks.quantity(0);
  const weighted = book.asks.price(0) * bidQty + book.bids.price(0) * askQty;
  return weighted / (bidQty + askQty) / pow10(book.priceScale);
}

/** Share by which the bids outweigh the asks over the best `levels` levels of each side. */
export function imbalance(book: OrderBook, levels: number): number {
  const bid = topQuantity(book.bids, levels);
  const ask = topQuantity(book.asks, levels);
  return bid + ask === 0 ? NaN : (bid - ask) / (bid + ask);
}

/** Quantity mantissa resting within `bps` ten-thousandths of the middle, per side. */
export function depthWithin(book: OrderBook, bps: number): { bid: number; ask: number } {
  if (book.bids.count === 0 || book.asks.count === 0) return { bid: NaN, ask: NaN };
  // Both sides of price ≥ mid · (1 - bps/10⁴) times 20,000, so that integers are compared with integers.
  const doubleMid = book.bids.price(0) + book.asks.price(0);
  const lowest = doubleMid * (10_000 - bps);
  const highest = doubleMid * (10_000 + bps);
  let bid = 0;
  let ask = 0;
  for (let rank = 0; rank < book.bids.count && book.bids.price(rank) * 20_000 >= lowest; rank++) {
    bid += book.bids.quantity(rank);
  }
  for (let rank = 0; rank < book.asks.count && book.asks.price(rank) * 20_000 <= highest; rank++) {
    ask += book.asks.quantity(rank);
  }
  return { bid, ask };
}

/** Quantity summed over the best `levels` levels, a mantissa. */
export function topQuantity(side: BookSide, levels: number): number {
  const count = Math.min(levels, side.count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sum += side.quantity(rank);
  return sum;
}

/** What a market or limit order of `qty` (mantissa) would get now: average price, and how much is not there. */
export function costToTrade(side: BookSide, qty: number): { averagePrice: number; missing: number } {
  let left = qty;
  let cost = 0;
  for (let rank = 0; rank < side.count && left > 0; rank++) {
    const taken = Math.min(left, side.quantity(rank));
    cost += taken * side.price(rank);
    left -= taken;
  }
  return { averagePrice: qty === left ? NaN : cost / (qty - left), missing: left };
}

/** One level as texts: price, quantity. */
export type LevelText = readonly [price: string, qty: string];

/** Everything above as exact text and rounded ratios, as queries and `esc book` show it. */
export interface BookSummary {
  readonly bestBid: string | undefined;
  readonly bestBidQty: string | undefined;
  readonly bestAsk: string | undefined;
  readonly bestAskQty: string | undefined;
  readonly mid: string | undefined;
  readonly spread: string | undefined;
  readonly spreadBps: number;
  /** Twelve significant digits, half-even. */
  readonly microprice: string | undefined;
  readonly imbalance1: number;
  readonly imbalance5: number;
  readonly imbalance10: number;
  readonly depth10BpsBid: string | undefined;
  readonly depth10BpsAsk: string | undefined;
  readonly bidLevels: number;
  readonly askLevels: number;
  readonly bids: readonly LevelText[];
  readonly asks: readonly LevelText[];
}

/** Describes the book in exact text, with its best `levels` levels a side. Allocates: not for every update. */
export function summarise(book: OrderBook, levels = 10): BookSummary {
  const { bids, asks, priceScale, qtyScale } = book;
  const both = bids.count > 0 && asks.count > 0;
  const depth = depthWithin(book, 10);
  return {
    bestBid: bids.count > 0 ? formatScaled(bids.price(0), priceScale) : undefined,
    bestBidQty: bids.count > 0 ? bids.qtyText(0, qtyScale) : undefined,
    bestAsk: asks.count > 0 ? formatScaled(asks.price(0), priceScale) : undefined,
    bestAskQty: asks.count > 0 ? asks.qtyText(0, qtyScale) : undefined,
    // Half of an integer is that integer times five with one more decimal.
    mid: both ? formatScaled((bids.price(0) + asks.price(0)) * 5, priceScale + 1) : undefined,
    spread: both ? formatScaled(asks.price(0) - bids.price(0), priceScale) : undefined,
    spreadBps: spreadBps(book),
    microprice: both ? micropriceText(book) : undefined,
    imbalance1: imbalance(book, 1),
    imbalance5: imbalance(book, 5),
    imbalance10: imbalance(book, 10),
    depth10BpsBid: both ? formatScaled(depth.bid, qtyScale) : undefined,
    depth10BpsAsk: both ? formatScaled(depth.ask, qtyScale) : undefined,
    bidLevels: bids.count,
    askLevels: asks.count,
    bids: levelTexts(bids, book, levels),
    asks: levelTexts(asks, book, levels),
  };
}

function micropriceText(book: OrderBook): string {
  const bidQty = BigInt(book.bids.quantity(0));
  const askQty = BigInt(book.asks.quantity(0));
  const weighted = BigInt(book.asks.price(0)) * bidQty + BigInt(book.bids.price(0)) * askQty;
  return ratioText(weighted, bidQty + askQty, book.priceScale);
}

function levelTexts(side: BookSide, book: OrderBook, levels: number): LevelText[] {
  const texts: LevelText[] = [];
  for (let rank = 0; rank < Math.min(levels, side.count); rank++) {
    texts.push([formatScaled(side.price(rank), book.priceScale), side.qtyText(rank, book.qtyScale)]);
  }
  return texts;
}
