/**
 * The parts of a mapped message: each entry of a mapping becomes functions that fill a message from an item.
 * Values in a mapping are compared as texts: 1 and "1" are the same.
 */
import type { LevelColumns } from "../../book/levels.ts";
import type { MarketMessage } from "../../market/message.ts";
import { type DecodeResult, isoToUs, secondsToUs } from "./decoder.ts";
import { isArray, isObject, numberOf, textOf } from "./json.ts";
import { compileFirst, compilePath, type Getter, type Scope } from "./mapping-path.ts";
import type {
  BothSidesSpec,
  LevelsSpec,
  MappingSpec,
  MessageSpec,
  OneSideSpec,
  TimeSpec,
} from "./mapping-spec.ts";
import { readTradeId } from "./rows.ts";

/** Fills one part of a message from an item. */
export type Fill = (message: MarketMessage, scope: Scope) => DecodeResult;

/** All parts a message kind may have; those the mapping does not name cost nothing. */
export function compileFill(spec: MessageSpec): Fill {
  const parts: Fill[] = [];
  if (spec.time !== undefined) parts.push(fillTime(compileTime(spec.time)));
  if (spec.side !== undefined) parts.push(fillSide(spec.side));
  const prices = { price: spec.price, open: spec.open, high: spec.high, low: spec.low } as const;
  const quotes = { bidPrice: spec.bid_price, askPrice: spec.ask_price } as const;
  const quantities = { qty: spec.qty, bidQty: spec.bid_qty, askQty: spec.ask_qty } as const;
  for (const [field, paths] of entriesOf({ ...prices, ...quotes })) parts.push(fillPrice(field, paths));
  for (const [field, paths] of entriesOf(quantities)) parts.push(fillQty(field, paths));
  const numbers = {
    firstId: spec.first_id,
    lastId: spec.last_id,
    previousId: spec.previous_id,
    checksum: spec.checksum,
    tradeCount: spec.trade_count,
  } as const;
  for (const [field, paths] of entriesOf(numbers)) parts.push(fillNumber(field, paths));
  parts.push(...compileLevels(spec));
  parts.push(...compileRest(spec));
  return sequence(parts);
}

function compileRest(spec: MessageSpec): Fill[] {
  const parts: Fill[] = [];
  if (spec.id !== undefined) {
    const get = compileFirst(spec.id);
    parts.push((message, scope) => {
      readTradeId(message, get(scope));
      return "ok";
    });
  }
  const start = spec.start && compileTime(spec.start);
  if (start !== undefined || spec.historic) {
    parts.push((message, scope) => {
      message.historic = spec.historic;
      message.barIntervalMs = spec.interval_ms ?? NaN;
      if (start !== undefined) message.barStartUs = start(scope);
      return "ok";
    });
  }
  return parts;
}

/** The parts of a REST answer. */
export function compileSnapshot(spec: NonNullable<MappingSpec["snapshot"]>): Fill {
  const parts: Fill[] = [];
  if (spec.time !== undefined) parts.push(fillTime(compileTime(spec.time)));
  if (spec.last_id !== undefined) parts.push(fillNumber("lastId", spec.last_id));
  parts.push(...compileLevels(spec));
  return sequence(parts);
}

function sequence(parts: readonly Fill[]): Fill {
  return (message, scope) => {
    for (const part of parts) {
      const result = part(message, scope);
      if (result !== "ok") return result;
    }
    return "ok";
  };
}

function fillTime(timeOf: (scope: Scope) => number): Fill {
  return (message, scope) => {
    message.setEventTime(timeOf(scope));
    return "ok";
  };
}

function fillSide(spec: NonNullable<MessageSpec["side"]>): Fill {
  const get = compilePath(spec.path);
  const buys = texts(spec.buy);
  const sells = texts(spec.sell);
  return (message, scope) => {
    const value = comparable(get(scope));
    const side = buys.has(value) ? 1 : sells.has(value) ? -1 : 0;
    message.side = !spec.invert || side === 0 ? side : side === 1 ? -1 : 1;
    return "ok";
  };
}

type PriceField = "price" | "open" | "high" | "low" | "bidPrice" | "askPrice";

function fillPrice(field: PriceField, paths: string | readonly string[]): Fill {
  const get = compileFirst(paths);
  return (message, scope) => {
    const price = message.priceOf(textOf(get(scope)));
    message[field] = price;
    return price > 0 ? "ok" : "bad_number";
  };
}

function fillQty(field: "qty" | "bidQty" | "askQty", paths: string | readonly string[]): Fill {
  const get = compileFirst(paths);
  return (message, scope) => {
    const qty = message.qtyOf(textOf(get(scope)));
    message[field] = qty;
    return qty >= 0 ? "ok" : "bad_number";
  };
}

function fillNumber(
  field: "firstId" | "lastId" | "previousId" | "checksum" | "tradeCount",
  paths: string | readonly string[],
): Fill {
  const get = compileFirst(paths);
  return (message, scope) => {
    message[field] = numberOf(get(scope));
    return "ok";
  };
}

function compileLevels(spec: LevelsSpec): Fill[] {
  const parts: Fill[] = [];
  if (spec.bids !== undefined) parts.push(fillOneSide((message) => message.bids, spec.bids));
  if (spec.asks !== undefined) parts.push(fillOneSide((message) => message.asks, spec.asks));
  if (spec.levels !== undefined) parts.push(fillBothSides(spec.levels));
  return parts;
}

function fillOneSide(sideOf: (message: MarketMessage) => LevelColumns, spec: OneSideSpec): Fill {
  const getters = allPaths(spec.path);
  return (message, scope) => {
    for (const get of getters) {
      const rows = get(scope);
      if (rows === undefined) continue;
      if (!isArray(rows)) return "bad_message";
      for (const row of rows) {
        const price = textOf(memberOf(row, spec.price));
        if (!message.pushLevel(sideOf(message), price, textOf(memberOf(row, spec.qty)))) return "bad_number";
      }
    }
    return "ok";
  };
}

function fillBothSides(spec: BothSidesSpec): Fill {
  const getters = allPaths(spec.path);
  const bids = texts(spec.bid);
  const asks = texts(spec.ask);
  return (message, scope) => {
    for (const get of getters) {
      const rows = get(scope);
      if (rows === undefined) continue;
      if (!isArray(rows)) return "bad_message";
      for (const row of rows) {
        const side = comparable(memberOf(row, spec.side));
        const levels = bids.has(side) ? message.bids : asks.has(side) ? message.asks : undefined;
        if (levels === undefined) return "bad_message";
        const price = textOf(memberOf(row, spec.price));
        if (!message.pushLevel(levels, price, textOf(memberOf(row, spec.qty)))) return "bad_number";
      }
    }
    return "ok";
  };
}

function allPaths(paths: string | readonly string[]): Getter[] {
  return (typeof paths === "string" ? [paths] : paths).map(compilePath);
}

function memberOf(row: unknown, member: string | number): unknown {
  if (isArray(row)) return row.at(Number(member));
  return isObject(row) ? row[member] : undefined;
}

/** Entries of an object without those that are undefined. */
function entriesOf<Key extends string>(
  record: Readonly<Record<Key, string | readonly string[] | undefined>>,
): [Key, string | readonly string[]][] {
  const entries: [Key, string | readonly string[]][] = [];
  for (const key of Object.keys(record) as Key[]) {
    const value = record[key];
    if (value !== undefined) entries.push([key, value]);
  }
  return entries;
}

/** Values of a mapping as the texts they are compared by. */
export function texts(
  values: string | number | boolean | readonly (string | number | boolean)[],
): Set<string> {
  return new Set((Array.isArray(values) ? values : [values]).map(comparable));
}

/** A message's value as it is compared. */
export function comparable(value: unknown): string {
  return typeof value === "boolean" ? String(value) : textOf(value);
}

function compileTime(spec: TimeSpec): (scope: Scope) => number {
  const get = compileFirst(spec.path);
  switch (spec.unit) {
    case "iso":
      return (scope) => isoToUs(textOf(get(scope)));
    case "s":
      return (scope) => secondsToUs(textOf(get(scope)));
    case "ms":
      return (scope) => numberOf(get(scope)) * 1000;
    case "us":
      return (scope) => numberOf(get(scope));
    case "ns":
      return (scope) => Number(textOf(get(scope)).slice(0, -3)); // more digits than a double holds
  }
}
