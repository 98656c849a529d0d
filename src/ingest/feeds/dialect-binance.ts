/** Binance as a server: spot and futures speak alike. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const binance: Dialect = {
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
