/** OKX v5 as a server. */
import { type Dialect, rows } from "./dialect.ts";
import { isArray, isObject, parseJson, textOf } from "./json.ts";
import { okxChecksum } from "../../book/checksum.ts";

export const okx: Dialect = {
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
