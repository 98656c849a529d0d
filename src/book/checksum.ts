/**
 * Checksums venues send with their books: proof that our book is theirs.
 *
 *     kraken  best 10 asks low→high, then best 10 bids high→low: price, quantity as received, point removed,
 *             leading zeros stripped; CRC-32, unsigned
 *     okx     best 25 of each side, bid and ask in turn, price:quantity as received joined by ":", the longer
 *             side going on alone; CRC-32, signed
 *
 * Kraken's second protocol sends JSON numbers without trailing zeros; there the digits of the instrument's
 * precision count, which is what its decoder records as received.
 */
import type { OrderBook } from "./book.ts";
import type { BookSide } from "./side.ts";

const KRAKEN_LEVELS = 10;
const OKX_LEVELS = 25;

/** The string Kraken's checksum runs over. */
export function krakenChecksumText(book: OrderBook): string {
  return krakenSide(book.asks, book) + krakenSide(book.bids, book);
}

/** Kraken's checksum of the book as it is now, 0 .. 2^32 - 1. Truncate to the subscribed depth first. */
export function krakenChecksum(book: OrderBook): number {
  return Bun.hash.crc32(krakenChecksumText(book));
}

/** OKX' checksum of the book as it is now, a signed 32-bit integer. */
export function okxChecksum(book: OrderBook): number {
  const parts: string[] = [];
  for (let rank = 0; rank < OKX_LEVELS; rank++) {
    for (const side of [book.bids, book.asks]) {
      if (rank >= side.count) continue;
      parts.push(side.receivedPrice(rank, book.priceScale), side.receivedQty(rank, book.qtyScale));
    }
  }
  return Bun.hash.crc32(parts.join(":")) | 0;
}

function krakenSide(side: BookSide, book: OrderBook): string {
  const count = Math.min(KRAKEN_LEVELS, side.count);
  let text = "";
  for (let rank = 0; rank < count; rank++) {
    text += significant(side.receivedPrice(rank, book.priceScale));
    text += significant(side.receivedQty(rank, book.qtyScale));
  }
  return text;
}

/** `0.00000500` → `500`, as the checksum wants it. */
function significant(text: string): string {
  return text.replace(".", "").replace(/^0+/, "");
}
