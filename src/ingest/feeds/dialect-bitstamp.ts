/** Bitstamp as a server. */
import { type Dialect, rows } from "./dialect.ts";
import { isObject, parseJson, textOf } from "./json.ts";

export const bitstamp: Dialect = {
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
