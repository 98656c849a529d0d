/**
 * Normalised messages as event payloads: JSON for people and other languages, and the other way round for our client.
 *
 *     {"kind":"trade","venue":"binance","symbol":"BTC-USDT","time_us":…,"received_us":…,
 *      "price":"61804.8","qty":"0.5","side":"sell","id":3735683259}
 *
 * Prices and quantities are texts with every digit, without exponent and trailing zeros. What is absent is left out.
 * The same message always gives the same bytes, so two replays can be compared byte by byte.
 */
import type { OrderBook } from "../book/book.ts";
import { formatScaled, stripZeros } from "../book/decimal.ts";
import type { LevelColumns } from "../book/levels.ts";
import type { BookSide } from "../book/side.ts";
import { type Bar, barRow } from "./bar.ts";
import type { Instrument } from "./instrument.ts";
import type { MarketMessage } from "./message.ts";

/** One message as JSON text. Heartbeats, acks and errors of the line have no instrument and no symbol. */
export function messageJson(message: MarketMessage): string {
  const { instrument } = message;
  const parts = [`{"kind":"${message.kind}","venue":${JSON.stringify(instrument.venue)}`];
  if (instrument.symbol !== "") parts.push(`"symbol":${JSON.stringify(instrument.symbol)}`);
  if (message.eventTimeKnown) parts.push(`"time_us":${message.eventTimeUs}`);
  parts.push(`"received_us":${message.receivedUs}`);
  pushPrice(parts, "price", message.price, instrument);
  pushQty(parts, "qty", message.qty, instrument);
  if (message.side !== 0) parts.push(`"side":"${message.side > 0 ? "buy" : "sell"}"`);
  if (!Number.isNaN(message.id)) parts.push(`"id":${message.id}`);
  else if (message.idText !== "") parts.push(`"id":${JSON.stringify(message.idText)}`);
  if (message.historic) parts.push('"historic":true');
  pushPrice(parts, "bid", message.bidPrice, instrument);
  pushQty(parts, "bid_qty", message.bidQty, instrument);
  pushPrice(parts, "ask", message.askPrice, instrument);
  pushQty(parts, "ask_qty", message.askQty, instrument);
  if (message.kind === "book_snapshot" || message.kind === "book_delta") {
    parts.push(
      `"bids":${levelsJson(message.bids, instrument)}`,
      `"asks":${levelsJson(message.asks, instrument)}`,
    );
  }
  pushNumber(parts, "first_id", message.firstId);
  pushNumber(parts, "last_id", message.lastId);
  pushNumber(parts, "previous_id", message.previousId);
  pushNumber(parts, "checksum", message.checksum);
  if (message.kind === "bar") pushProviderBar(parts, message);
  if (message.text !== "") parts.push(`"text":${JSON.stringify(message.text)}`);
  return `${parts.join(",")}}`;
}

/** What the payload of a book's snapshot or update says. */
export interface BookChange {
  readonly eventTimeUs: number;
  readonly receivedUs: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly previousId: number;
  readonly checksum: number;
  readonly bids: LevelColumns;
  readonly asks: LevelColumns;
}

/** A book's update as JSON text, in the form of `messageJson`. */
export function bookDeltaJson(update: BookChange, instrument: Instrument): string {
  const parts = bookStart("book_delta", update.eventTimeUs, update.receivedUs, instrument);
  parts.push(
    `"bids":${levelsJson(update.bids, instrument)}`,
    `"asks":${levelsJson(update.asks, instrument)}`,
  );
  pushNumber(parts, "first_id", update.firstId);
  pushNumber(parts, "last_id", update.lastId);
  pushNumber(parts, "previous_id", update.previousId);
  pushNumber(parts, "checksum", update.checksum);
  return `${parts.join(",")}}`;
}

/** A whole book as JSON text, best levels first, in the form of `messageJson`. */
export function bookSnapshotJson(book: OrderBook, lastId: number, instrument: Instrument): string {
  const parts = bookStart("book_snapshot", book.eventTimeUs, book.receivedUs, instrument);
  parts.push(`"bids":${sideJson(book.bids, book)}`, `"asks":${sideJson(book.asks, book)}`);
  pushNumber(parts, "last_id", lastId);
  return `${parts.join(",")}}`;
}

function bookStart(kind: string, timeUs: number, receivedUs: number, instrument: Instrument): string[] {
  return [
    `{"kind":"${kind}","venue":${JSON.stringify(instrument.venue)}`,
    `"symbol":${JSON.stringify(instrument.symbol)}`,
    ...(timeUs === receivedUs ? [] : [`"time_us":${timeUs}`]),
    `"received_us":${receivedUs}`,
  ];
}

function sideJson(side: BookSide, { priceScale, qtyScale }: OrderBook): string {
  const rows: string[] = [];
  for (let rank = 0; rank < side.count; rank++) {
    rows.push(`["${formatScaled(side.price(rank), priceScale)}","${side.qtyText(rank, qtyScale)}"]`);
  }
  return `[${rows.join(",")}]`;
}

/** A bar of ours as JSON text; `revision` tells corrections, `incomplete` a lost line within it. */
export function barJson(bar: Bar, instrument: Instrument): string {
  const [t, open, high, low, close, volume, vwap, buyVolume, sellVolume, delta, trades] = barRow(bar);
  return JSON.stringify({
    kind: "bar",
    venue: instrument.venue,
    symbol: instrument.symbol,
    start_us: t * 1000,
    interval_ms: bar.intervalMs,
    open,
    high,
    low,
    close,
    volume,
    vwap,
    buy_volume: buyVolume,
    sell_volume: sellVolume,
    delta,
    trades,
    revision: bar.revision,
    ...(bar.quoteCount === 0 ? {} : { spread_mean: bar.spreadMean }),
    ...(bar.incomplete ? { incomplete: true } : {}),
  });
}

function pushProviderBar(parts: string[], message: MarketMessage): void {
  const { instrument } = message;
  pushNumber(parts, "start_us", message.barStartUs);
  pushNumber(parts, "interval_ms", message.barIntervalMs);
  pushPrice(parts, "open", message.open, instrument);
  pushPrice(parts, "high", message.high, instrument);
  pushPrice(parts, "low", message.low, instrument);
  pushQty(parts, "buy_qty", message.buyQty, instrument);
  pushNumber(parts, "trades", message.tradeCount);
  parts.push(`"closed":${message.barClosed}`);
}

function pushPrice(parts: string[], name: string, mantissa: number, { priceScale }: Instrument): void {
  if (!Number.isNaN(mantissa)) parts.push(`"${name}":"${formatScaled(mantissa, priceScale)}"`);
}

function pushQty(parts: string[], name: string, mantissa: number, { qtyScale }: Instrument): void {
  if (!Number.isNaN(mantissa)) parts.push(`"${name}":"${formatScaled(mantissa, qtyScale)}"`);
}

function pushNumber(parts: string[], name: string, value: number): void {
  if (!Number.isNaN(value)) parts.push(`"${name}":${value}`);
}

function levelsJson(levels: LevelColumns, { priceScale, qtyScale }: Instrument): string {
  const rows: string[] = [];
  for (let at = 0; at < levels.count; at++) {
    const wide = levels.wideQty?.get(at);
    const qty = wide === undefined ? formatScaled(levels.qty[at] as number, qtyScale) : stripZeros(wide);
    rows.push(`["${formatScaled(levels.price[at] as number, priceScale)}","${qty}"]`);
  }
  return `[${rows.join(",")}]`;
}
