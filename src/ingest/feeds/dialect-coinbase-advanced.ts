/** Coinbase Advanced Trade as a server: every message of a connection has its number. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const coinbaseAdvanced: Dialect = {
  answer(text) {
    const root = parseJson(text);
    if (!isObject(root) || root.type !== "subscribe") return [];
    const subscriptions = { [textOf(root.channel)]: root.product_ids };
    return [message("subscriptions", [{ subscriptions }], new Date())];
  },
  subscribed(text) {
    const root = parseJson(text);
    if (!isObject(root) || root.type !== "subscribe" || !isArray(root.product_ids)) return undefined;
    return root.channel === "level2" ? root.product_ids.map(textOf) : [];
  },
  snapshot(book, _lastId, product_id) {
    const updates = ([["bid", book.bids], ["offer", book.asks]] as const).flatMap(([side, levels]) =>
      rows(levels, book).map(([price_level, new_quantity]) => ({ side, price_level, new_quantity }))
    );
    const at = new Date(book.eventTimeUs / 1000);
    return message("l2_data", [{ type: "snapshot", product_id, updates }], at);
  },
  heartbeat: () => [message("heartbeats", [{ heartbeat_counter: String(Date.now()) }], new Date())],
  // The number last in the text wins over one that was recorded.
  numbered: (text, n) =>
    text.endsWith("}")
      ? `${text.replace(/"sequence_num":\d+,?/, "").slice(0, -1)},"sequence_num":${n}}`
      : text,
};

function message(channel: string, events: readonly object[], at: Date): string {
  return JSON.stringify({ channel, timestamp: at.toISOString(), events });
}
