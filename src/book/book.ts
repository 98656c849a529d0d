/**
 * The order book of one instrument: what rests at which price, both sides sorted, best level first to hand.
 *
 * It applies what it is told and judges nothing: sequence rules are the feed's (`ingest/feeds/`), defects are found
 * by `validation.ts`. Levels are absolute quantities; 0 removes. One thread owns a book.
 */
import { pow10 } from "./decimal.ts";
import type { LevelColumns } from "./levels.ts";
import { BookSide } from "./side.ts";

export const BOOK_LEVELS_MAX_DEFAULT = 65_536;

export interface BookOptions {
  /** Levels kept a side; the farthest are dropped beyond it. Default 65,536. */
  readonly levelsMax?: number;
  /** Cut both sides to this many levels after each update, where the venue's rule says so. 0: never. */
  readonly depth?: number;
}

export class OrderBook {
  readonly bids: BookSide;
  readonly asks: BookSide;
  readonly depth: number;
  priceScale = 0;
  qtyScale = 0;
  /** Updates applied since the last snapshot. */
  updateCount = 0;
  /** Venue's time of the newest update, microseconds; 0 when it gives none. */
  eventTimeUs = 0;
  /** Our time of the newest update, microseconds. */
  receivedUs = 0;
  /** Scale changes so far: holders of mantissas compare it and convert. */
  rescaleCount = 0;

  constructor(options: BookOptions = {}) {
    const levelsMax = options.levelsMax ?? BOOK_LEVELS_MAX_DEFAULT;
    this.bids = new BookSide(1, levelsMax);
    this.asks = new BookSide(-1, levelsMax);
    this.depth = options.depth ?? 0;
  }

  /** Brings the book to the scales of the instrument; they only ever grow. */
  useScales(priceScale: number, qtyScale: number): void {
    if (priceScale === this.priceScale && qtyScale === this.qtyScale) return;
    const priceFactor = pow10(priceScale - this.priceScale);
    const qtyFactor = pow10(qtyScale - this.qtyScale);
    this.bids.rescale(priceFactor, qtyFactor, this.qtyScale);
    this.asks.rescale(priceFactor, qtyFactor, this.qtyScale);
    this.priceScale = priceScale;
    this.qtyScale = qtyScale;
    this.rescaleCount++;
  }

  /** Replaces everything by a snapshot at the book's scales. */
  load(bids: LevelColumns, asks: LevelColumns): void {
    this.bids.clear();
    this.asks.clear();
    this.updateCount = 0;
    setLevelsFromEnd(this.bids, bids);
    setLevelsFromEnd(this.asks, asks);
    this.#truncate();
  }

  /** Applies one update completely; within a message the later of two levels with one price wins. */
  apply(bids: LevelColumns, asks: LevelColumns): void {
    setLevels(this.bids, bids);
    setLevels(this.asks, asks);
    this.#truncate();
    this.updateCount++;
  }

  clear(): void {
    this.bids.clear();
    this.asks.clear();
    this.updateCount = 0;
  }

  #truncate(): void {
    if (this.depth === 0) return;
    this.bids.truncate(this.depth);
    this.asks.truncate(this.depth);
  }
}

function setLevels(side: BookSide, levels: LevelColumns): void {
  const { price, qty, digits, count, wideQty } = levels;
  if (wideQty === undefined) {
    for (let at = 0; at < count; at++) {
      side.set(price[at] as number, qty[at] as number, digits[at] as number);
    }
    return;
  }
  for (let at = 0; at < count; at++) {
    side.set(price[at] as number, qty[at] as number, digits[at] as number, wideQty.get(at));
  }
}

/**
 * Venues list the best level first; taken in that order every insertion would move all levels before it.
 * From the end each level lands on top. That is only the same when no price repeats and none is removed, so a
 * snapshot that does either is loaded forward again.
 */
function setLevelsFromEnd(side: BookSide, levels: LevelColumns): void {
  const { price, qty, digits, count, wideQty } = levels;
  let removalSeen = false;
  for (let at = count - 1; at >= 0; at--) {
    removalSeen ||= qty[at] === 0;
    side.set(price[at] as number, qty[at] as number, digits[at] as number, wideQty?.get(at));
  }
  if (!removalSeen && side.count === Math.min(count, side.levelsMax)) return;
  side.clear();
  setLevels(side, levels);
}
