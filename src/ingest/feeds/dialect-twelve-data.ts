/** Twelve Data as a server: prices only, no books. */
import type { Dialect } from "./dialect.ts";
import { isObject, parseJson, textOf } from "./json.ts";

export const twelveData: Dialect = {
  answer(text) {
    const root = parseJson(text);
    if (!isObject(root)) return [];
    if (root.action === "heartbeat") return ['{"event":"heartbeat","status":"ok"}'];
    if (root.action !== "subscribe" || !isObject(root.params)) return [];
    const success = textOf(root.params.symbols).split(",").map((symbol) => ({ symbol }));
    return [JSON.stringify({ event: "subscribe-status", status: "ok", success, fails: null })];
  },
  subscribed: (text) => text.includes('"subscribe"') ? [] : undefined,
  snapshot: () => "",
};
