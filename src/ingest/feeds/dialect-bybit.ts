/** Bybit v5 as a server. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const bybit: Dialect = {
  answer(text) {
    const root = parseJson(text);
    if (!isObject(root)) return [];
    if (root.op === "ping") {
      return ['{"success":true,"ret_msg":"pong","conn_id":"simulated","req_id":"","op":"ping"}'];
    }
    const { op, req_id = "" } = root;
    return [JSON.stringify({ success: true, ret_msg: op, conn_id: "simulated", req_id, op })];
  },
  subscribed(text) {
    const root = parseJson(text);
    if (!isObject(root) || root.op !== "subscribe" || !isArray(root.args)) return undefined;
    const books = root.args.map(textOf).filter((topic) => topic.startsWith("orderbook."));
    return books.map((topic) => topic.split(".").slice(2).join("."));
  },
  snapshot: (book, u, s) => {
    const ms = Math.floor(book.eventTimeUs / 1000);
    return JSON.stringify({
      topic: `orderbook.50.${s}`,
      type: "snapshot",
      ts: ms,
      data: { s, b: rows(book.bids, book), a: rows(book.asks, book), u, seq: u },
      cts: ms,
    });
  },
};
