/** Level rows of JSON messages into columns: `["p","q",…]` or `{price, qty}`. */
import type { LevelColumns } from "../../book/levels.ts";
import type { MarketMessage } from "../../market/message.ts";
import type { DecodeResult } from "./decoder.ts";
import { isArray, isObject, textOf } from "./json.ts";

/** Reads rows that are lists with the price first and the quantity second. Absent rows are none. */
export function pushRows(message: MarketMessage, levels: LevelColumns, rows: unknown): DecodeResult {
  if (rows === undefined) return "ok";
  if (!isArray(rows)) return "bad_message";
  for (const row of rows) {
    if (!isArray(row)) return "bad_message";
    if (!message.pushLevel(levels, textOf(row[0]), textOf(row[1]))) return "bad_number";
  }
  return "ok";
}

/** Reads rows that are objects with a price and a quantity by name. */
export function pushNamedRows(
  message: MarketMessage,
  levels: LevelColumns,
  rows: unknown,
  names: { price: string; qty: string },
): DecodeResult {
  if (rows === undefined) return "ok";
  if (!isArray(rows)) return "bad_message";
  for (const row of rows) {
    if (!isObject(row)) return "bad_message";
    if (!message.pushLevel(levels, textOf(row[names.price]), textOf(row[names.qty]))) return "bad_number";
  }
  return "ok";
}

/** Reads price and quantity of a trade; `bad_number` unless both are positive. */
export function readTrade(message: MarketMessage, price: unknown, qty: unknown): DecodeResult {
  message.price = message.priceOf(textOf(price));
  message.qty = message.qtyOf(textOf(qty));
  return message.price > 0 && message.qty > 0 ? "ok" : "bad_number";
}

/** Sets a trade's number: as a number where it is one that fits 2^53, always as text otherwise. */
export function readTradeId(message: MarketMessage, id: unknown): void {
  const text = textOf(id);
  const isNumeric = /^\d{1,15}$/.test(text);
  message.id = isNumeric ? Number(text) : NaN;
  message.idText = isNumeric ? "" : text;
}
