/** The venues' side of a conversation, as far as a simulator needs it: answers, and books as the venue writes them. */
import type { OrderBook } from "../../book/book.ts";
import { okxChecksum } from "../../book/checksum.ts";
import type { BookSide } from "../../book/side.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export interface Dialect {
  /** What the venue answers at once to a client's message; [] for none. */
  answer(text: string): string[];
  /** Symbols whose books the message subscribes to; `undefined` when it subscribes to nothing. */
  subscribed(text: string): string[] | undefined;
  /** The book as a REST body or as the message that begins a subscription. */
  snapshot(book: OrderBook, lastId: number, venueSymbol: string): string;
  /** The symbol a REST request asks for; `undefined` when it asks for no book. */
  requested?(url: URL): string | undefined;
}

/** Levels from the best on, with the digits the venue wrote. */
function rows(side: BookSide, book: OrderBook, ...more: string[]): string[][] {
  return Array.from({ length: side.count }, (_, rank) => [
    side.receivedPrice(rank, book.priceScale),
    side.receivedQty(rank, book.qtyScale),
    ...more,
  ]);
}

const binance: Dialect = {
  answer: (text) => {
    const root = parseJson(text);
    return isObject(root) && root.method !== undefined ? [JSON.stringify({ result: null, id: root.id })] : [];
  },
  subscribed: (text) => {
    const root = parseJson(text);
    if (!isObject(root) || root.method !== "SUBSCRIBE" || !isArray(root.params)) return undefined;
    return root.params.map(textOf).filter((name) => name.includes("@depth")).map((name) =>
      (name.split("@", 1)[0] ?? "").toUpperCase()
    );
  },
  snapshot: (book, lastUpdateId) =>
    JSON.stringify({ lastUpdateId, bids: rows(book.bids, book), asks: rows(book.asks, book) }),
  requested: (url) => url.searchParams.get("symbol") ?? undefined,
};

const coinbase: Dialect = {
  answer: (text) => text.includes('"subscribe"') ? ['{"type":"subscriptions","channels":[]}'] : [],
  subscribed: (text) => {
    const root = parseJson(text);
    if (!isObject(root) || root.type !== "subscribe" || !isArray(root.product_ids)) return undefined;
    return isArray(root.channels) && root.channels.includes("level2_batch")
      ? root.product_ids.map(textOf)
      : [];
  },
  snapshot: (book, _lastId, product_id) =>
    JSON.stringify({
      type: "snapshot",
      product_id,
      bids: rows(book.bids, book),
      asks: rows(book.asks, book),
    }),
};

const krakenV1: Dialect = {
  answer: (text) => text.includes('"ping"') ? ['{"event":"pong"}'] : [],
  subscribed: (text) => {
    const root = parseJson(text);
    if (!isObject(root) || root.event !== "subscribe" || !isArray(root.pair)) return undefined;
    return isObject(root.subscription) && root.subscription.name === "book" ? root.pair.map(textOf) : [];
  },
  snapshot: (book, _lastId, pair) =>
    JSON.stringify([
      1,
      { as: rows(book.asks, book, "0.000000"), bs: rows(book.bids, book, "0.000000") },
      `book-${book.depth}`,
      pair,
    ]),
};

const okx: Dialect = {
  answer(text) {
    if (text === "ping") return ["pong"];
    const root = parseJson(text);
    if (!isObject(root) || !isArray(root.args)) return [];
    return root.args.map((arg) => JSON.stringify({ event: root.op, arg }));
  },
  subscribed: (text) => {
    const root = parseJson(text);
    if (!isObject(root) || root.op !== "subscribe" || !isArray(root.args)) return undefined;
    return root.args.filter(isObject).filter((arg) => arg.channel === "books").map((arg) =>
      textOf(arg.instId)
    );
  },
  snapshot: (book, lastId, instId) =>
    JSON.stringify({
      arg: { channel: "books", instId },
      action: "snapshot",
      data: [{
        asks: rows(book.asks, book, "0", "1"),
        bids: rows(book.bids, book, "0", "1"),
        ts: String(Math.floor(book.eventTimeUs / 1000)),
        checksum: okxChecksum(book),
        ...(Number.isNaN(lastId) ? {} : { prevSeqId: -1, seqId: lastId }),
      }],
    }),
};

const bitstamp: Dialect = {
  answer(text) {
    const root = parseJson(text);
    if (!isObject(root)) return [];
    if (root.event === "bts:heartbeat") {
      return ['{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}'];
    }
    if (root.event !== "bts:subscribe" || !isObject(root.data)) return [];
    return [JSON.stringify({ event: "bts:subscription_succeeded", channel: root.data.channel, data: {} })];
  },
  subscribed: (text) => {
    const root = parseJson(text);
    if (!isObject(root) || root.event !== "bts:subscribe" || !isObject(root.data)) return undefined;
    const channel = textOf(root.data.channel);
    return channel.startsWith("diff_order_book_") ? [channel.slice("diff_order_book_".length)] : [];
  },
  snapshot: (book, lastId) =>
    JSON.stringify({
      timestamp: String(Math.floor(lastId / 1e6)),
      microtimestamp: String(lastId),
      bids: rows(book.bids, book),
      asks: rows(book.asks, book),
    }),
  requested: (url) => url.searchParams.get("symbol") ?? undefined,
};

export const DIALECTS = { binance, bitstamp, coinbase, "kraken-v1": krakenV1, okx } as const;
export type DialectName = keyof typeof DIALECTS;
