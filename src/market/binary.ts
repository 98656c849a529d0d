/**
 * Normalised messages as compact bytes: the same content as the JSON of `payload.ts`, a third to a fifth of its size.
 *
 *     u8 1 | u8 kind | u8 price scale | u8 quantity scale | number received | number time (0: as received)
 *     trade            price, qty, id, u8 side (0 unknown, 1 buy, 2 sell), text id
 *     quote            bid, bid qty, ask, ask qty, last id, price
 *     book_*           first id, last id, previous id, checksum, n, (price, qty) × n bids, m, (price, qty) × m asks
 *     bar              start, interval, open, high, low, close, qty, trades
 *
 *     number = varint of zigzag(value) + 1, 7 bits a byte, lowest first; a single 0 byte: absent
 *     text   = varint length, UTF-8
 *
 * Venue and symbol are in the topic. Prices and quantities are mantissas. A message with a quantity over 2^53 does
 * not fit and is given as JSON: whoever reads looks at the first byte, `{` or 1.
 */
import type { OrderBook } from "../book/book.ts";
import type { LevelColumns } from "../book/levels.ts";
import type { BookSide } from "../book/side.ts";
import type { Instrument } from "./instrument.ts";
import { type MarketMessage, MESSAGE_KINDS, type MessageKind } from "./message.ts";
import { type BookChange, bookDeltaJson, bookSnapshotJson, messageJson } from "./payload.ts";

const VERSION = 1;

class Bytes {
  #bytes = new Uint8Array(4096);
  #length = 0;

  begin(kind: MessageKind, { priceScale, qtyScale }: Instrument, receivedUs: number, timeUs: number): void {
    this.#length = 0;
    this.byte(VERSION);
    this.byte(MESSAGE_KINDS.indexOf(kind));
    this.byte(priceScale);
    this.byte(qtyScale);
    this.number(receivedUs);
    this.number(timeUs === receivedUs ? 0 : timeUs);
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = value;
  }

  /** NaN is written as absent. */
  number(value: number): void {
    if (value !== value) return this.byte(0);
    this.#varint((value < 0 ? -value * 2 - 1 : value * 2) + 1);
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.#varint(bytes.length);
    for (const byte of bytes) this.byte(byte);
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #varint(value: number): void {
    // Values reach 2^54, so no 32-bit operators: division and remainder are exact for all of them.
    let left = value;
    while (left >= 128) {
      const low = left % 128;
      this.byte(low | 128);
      left = (left - low) / 128;
    }
    this.byte(left);
  }
}

const bytes = new Bytes();

/** A trade, quote or provider's bar as bytes. */
export function encodeMessage(message: MarketMessage): Uint8Array | string {
  const { instrument, kind } = message;
  const values = valuesOf(message);
  if (values === undefined || values.some((value) => Math.abs(value) > Number.MAX_SAFE_INTEGER / 2)) {
    return messageJson(message);
  }
  bytes.begin(kind, instrument, message.receivedUs, message.eventTimeUs);
  for (const value of values) bytes.number(value);
  if (kind === "trade") {
    bytes.byte(message.side < 0 ? 2 : message.side);
    bytes.text(message.idText);
  }
  return bytes.take();
}

function valuesOf(message: MarketMessage): number[] | undefined {
  switch (message.kind) {
    case "trade":
      return [message.price, message.qty, message.id];
    case "quote":
      return [
        message.bidPrice,
        message.bidQty,
        message.askPrice,
        message.askQty,
        message.lastId,
        message.price,
      ];
    case "bar":
      return [
        message.barStartUs,
        message.barIntervalMs,
        message.open,
        message.high,
        message.low,
        message.price,
        message.qty,
        message.tradeCount,
      ];
    default:
      return undefined;
  }
}

/** A book's update as bytes. */
export function encodeBookDelta(update: BookChange, instrument: Instrument): Uint8Array | string {
  if (isWide(update.bids) || isWide(update.asks)) return bookDeltaJson(update, instrument);
  bytes.begin("book_delta", instrument, update.receivedUs, update.eventTimeUs);
  for (const id of [update.firstId, update.lastId, update.previousId, update.checksum]) bytes.number(id);
  writeColumns(update.bids);
  writeColumns(update.asks);
  return bytes.take();
}

/** A whole book as bytes, best levels first. */
export function encodeBookSnapshot(
  book: OrderBook,
  lastId: number,
  instrument: Instrument,
): Uint8Array | string {
  if (isWideSide(book.bids) || isWideSide(book.asks)) return bookSnapshotJson(book, lastId, instrument);
  bytes.begin("book_snapshot", instrument, book.receivedUs, book.eventTimeUs);
  for (const id of [NaN, lastId, NaN, NaN]) bytes.number(id);
  for (const side of [book.bids, book.asks]) {
    bytes.number(side.count);
    for (let rank = 0; rank < side.count; rank++) {
      bytes.number(side.price(rank));
      bytes.number(side.quantity(rank));
    }
  }
  return bytes.take();
}

function writeColumns(levels: LevelColumns): void {
  bytes.number(levels.count);
  for (let at = 0; at < levels.count; at++) {
    bytes.number(levels.price[at] as number);
    bytes.number(levels.qty[at] as number);
  }
}

function isWide(levels: LevelColumns): boolean {
  for (let at = 0; at < levels.count; at++) {
    if ((levels.qty[at] as number) > Number.MAX_SAFE_INTEGER / 2) return true;
  }
  return false;
}

function isWideSide(side: BookSide): boolean {
  for (let rank = 0; rank < side.count; rank++) {
    if (side.quantity(rank) > Number.MAX_SAFE_INTEGER / 2) return true;
  }
  return false;
}
