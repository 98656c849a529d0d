/** Kraken's second websocket protocol, as a server. Numbers are JSON numbers with the digits of the book. */
import { krakenChecksum } from "../../book/checksum.ts";
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";

export const krakenV2: Dialect = {
  answer(text) {
    const root = parseJson(text);
    if (!isObject(root)) return [];
    if (root.method === "ping") return ['{"method":"pong"}'];
    const { method, params, req_id } = root;
    if (!isObject(params)) return [];
    const symbols = isArray(params.symbol) ? params.symbol : [undefined];
    return symbols.map((symbol) =>
      JSON.stringify({ method, result: { ...params, symbol }, success: true, req_id })
    );
  },
  subscribed(text) {
    const root = parseJson(text);
    if (!isObject(root) || root.method !== "subscribe" || !isObject(root.params)) return undefined;
    const { channel, symbol } = root.params;
    return channel === "book" && isArray(symbol) ? symbol.map(textOf) : [];
  },
  snapshot(book, _lastId, symbol) {
    const levels = (side: typeof book.bids) =>
      rows(side, book).map(([price, qty]) => `{"price":${price},"qty":${qty}}`).join(",");
    const at = new Date(book.eventTimeUs / 1000).toISOString();
    return `{"channel":"book","type":"snapshot","data":[{"symbol":${JSON.stringify(symbol)},` +
      `"bids":[${levels(book.bids)}],"asks":[${levels(book.asks)}],` +
      `"checksum":${krakenChecksum(book)},"timestamp":"${at}"}]}`;
  },
  heartbeat: () => ['{"channel":"heartbeat"}'],
};
