/** The venues' side of a conversation, as far as a simulator needs it: answers, and books as the venue writes them. */
import type { OrderBook } from "../../book/book.ts";
import type { BookSide } from "../../book/side.ts";

export interface Dialect {
  /** What the venue answers at once to a client's message; [] for none. */
  answer(text: string): string[];
  /** Symbols whose books the message subscribes to; `undefined` when it subscribes to nothing. */
  subscribed(text: string): string[] | undefined;
  /** The book as a REST body or as the message that begins a subscription. */
  snapshot(book: OrderBook, lastId: number, venueSymbol: string): string;
  /** The symbol a REST request asks for; `undefined` when it asks for no book. */
  requested?(url: URL): string | undefined;
  /** What the venue sends after a second without traffic, so that a client knows the line is alive. */
  heartbeat?(lastTradeIds: ReadonlyMap<string, number>): string[];
  /** The text as the n-th message (from 0) of a connection, where the venue counts them. */
  numbered?(text: string, n: number): string;
}

/** Levels from the best on, with the digits the venue wrote. */
export function rows(side: BookSide, book: OrderBook, ...more: string[]): string[][] {
  return Array.from({ length: side.count }, (_, rank) => [
    side.receivedPrice(rank, book.priceScale),
    side.receivedQty(rank, book.qtyScale),
    ...more,
  ]);
}
