/** Coinbase Exchange as a server. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const coinbase: Dialect = {
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
  heartbeat: (lastTradeIds) =>
    Array.from(
      lastTradeIds,
      ([product_id, last_trade_id]) =>
        JSON.stringify({ type: "heartbeat", last_trade_id, product_id, time: new Date().toISOString() }),
    ),
};
