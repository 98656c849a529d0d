/**
 * The series of a book's best levels, one line an update, and its fingerprint: two replays of one recording
 * are equal exactly when their fingerprints are.
 *
 *     key,bid,bidQty,ask,askQty\n         key: the venue's update id, else the update's ordinal from 1
 */
import { createHash } from "node:crypto";
import type { OrderBook } from "./book.ts";
import { formatScaled } from "./decimal.ts";

/** The line of the book as it is now, without its line end; an empty side leaves its two fields empty. */
export function topLine(key: number, book: OrderBook): string {
  const { bids, asks, priceScale, qtyScale } = book;
  const bid = bids.count > 0
    ? `${formatScaled(bids.price(0), priceScale)},${bids.qtyText(0, qtyScale)}`
    : ",";
  const ask = asks.count > 0
    ? `${formatScaled(asks.price(0), priceScale)},${asks.qtyText(0, qtyScale)}`
    : ",";
  return `${key},${bid},${ask}`;
}

/** Collects a series: SHA-256 of all lines, and the lines numbered 1, 10, 100, 500 and each 1000th. */
export class TopSeries {
  readonly checkpoints: [number: number, line: string][] = [];
  readonly #hash = createHash("sha256");
  lineCount = 0;

  add(key: number, book: OrderBook): void {
    const line = topLine(key, book);
    this.#hash.update(`${line}\n`);
    const number = ++this.lineCount;
    if (number % 1000 === 0 || number === 1 || number === 10 || number === 100 || number === 500) {
      this.checkpoints.push([number, line]);
    }
  }

  /** Fingerprint of all lines so far, as hexadecimal text. */
  sha256(): string {
    return this.#hash.copy().digest("hex");
  }
}
