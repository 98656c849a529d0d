/** Kraken's first websocket protocol, as a server. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const krakenV1: Dialect = {
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
  heartbeat: () => ['{"event":"heartbeat"}'],
};
