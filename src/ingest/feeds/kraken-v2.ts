/**
 * Kraken's second websocket protocol: `book`, `trade`, `ticker`, `instrument`, `status`, `heartbeat`.
 *
 * Numbers are JSON numbers; they are kept as the text they are, because a double cannot hold all of them. The
 * checksum runs over digits of the instrument's precision, which the `instrument` channel (or the configuration)
 * tells; until it is known, the digits received are used.
 */
import { InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { isoToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJsonKeepingDigits, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushNamedRows, readTrade, readTradeId } from "./rows.ts";

const LEVEL_NAMES = { price: "price", qty: "qty" };

export interface KrakenPrecision {
  readonly price_precision: number;
  readonly qty_precision: number;
}

export class KrakenV2Decoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;

  constructor(
    sink: MessageSink,
    options: {
      venue?: string;
      aliases?: Readonly<Record<string, string>>;
      precisions?: Readonly<Record<string, KrakenPrecision>>;
    } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "kraken", options.aliases);
    for (const [symbol, precision] of Object.entries(options.precisions ?? {})) {
      this.#setPrecision(symbol, precision.price_precision, precision.qty_precision);
    }
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJsonKeepingDigits(text);
    if (!isObject(root)) return "not_json";
    if (typeof root.method === "string") return this.#decodeAnswer(root, receivedUs);
    const isSnapshot = root.type === "snapshot";
    switch (root.channel) {
      case "heartbeat":
        return this.#out.text("heartbeat", "heartbeat", receivedUs);
      case "status":
        return this.#out.text("ack", "status", receivedUs);
      case "instrument":
        return this.#learnPrecisions(root.data);
      case "book":
        return this.#each(root.data, (entry) => this.#decodeBook(entry, isSnapshot, receivedUs));
      case "trade":
        return this.#each(root.data, (entry) => this.#decodeTrade(entry, isSnapshot, receivedUs));
      case "ticker":
        return this.#each(root.data, (entry) => this.#decodeTicker(entry, receivedUs));
    }
    return "ok";
  }

  #decodeAnswer(root: JsonObject, receivedUs: number): DecodeResult {
    if (root.method === "pong") return this.#out.text("heartbeat", "pong", receivedUs);
    return root.success === false
      ? this.#out.text("error", textOf(root.error), receivedUs)
      : this.#out.text("ack", textOf(root.method), receivedUs);
  }

  #each(data: unknown, decodeEntry: (entry: JsonObject) => DecodeResult): DecodeResult {
    if (!isArray(data)) return "bad_message";
    for (const entry of data) {
      const result = isObject(entry) ? decodeEntry(entry) : "bad_message";
      if (result !== "ok") return result;
    }
    return "ok";
  }

  #decodeBook(entry: JsonObject, isSnapshot: boolean, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(entry.symbol));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin(isSnapshot ? "book_snapshot" : "book_delta", instrument, receivedUs);
    message.setEventTime(isoToUs(textOf(entry.timestamp)));
    message.checksum = numberOf(entry.checksum);
    let result = pushNamedRows(message, message.bids, entry.bids, LEVEL_NAMES);
    if (result === "ok") result = pushNamedRows(message, message.asks, entry.asks, LEVEL_NAMES);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTrade(entry: JsonObject, isSnapshot: boolean, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(entry.symbol));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("trade", instrument, receivedUs);
    message.historic = isSnapshot;
    message.setEventTime(isoToUs(textOf(entry.timestamp)));
    message.side = entry.side === "buy" ? 1 : entry.side === "sell" ? -1 : 0;
    readTradeId(message, entry.trade_id);
    const result = readTrade(message, entry.price, entry.qty);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTicker(entry: JsonObject, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(entry.symbol));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(isoToUs(textOf(entry.timestamp)));
    message.bidPrice = message.priceOf(textOf(entry.bid));
    message.bidQty = message.qtyOf(textOf(entry.bid_qty));
    message.askPrice = message.priceOf(textOf(entry.ask));
    message.askQty = message.qtyOf(textOf(entry.ask_qty));
    message.price = message.priceOf(textOf(entry.last));
    if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
    return this.#out.emit();
  }

  #learnPrecisions(data: unknown): DecodeResult {
    if (!isObject(data) || !isArray(data.pairs)) return "bad_message";
    for (const pair of data.pairs) {
      if (!isObject(pair)) return "bad_message";
      this.#setPrecision(textOf(pair.symbol), numberOf(pair.price_precision), numberOf(pair.qty_precision));
    }
    return "ok";
  }

  #setPrecision(symbol: string, pricePrecision: number, qtyPrecision: number): void {
    const instrument = this.instruments.get(symbol);
    if (instrument === undefined) return;
    if (Number.isInteger(pricePrecision)) instrument.pricePrecision = pricePrecision;
    if (Number.isInteger(qtyPrecision)) instrument.qtyPrecision = qtyPrecision;
  }
}
