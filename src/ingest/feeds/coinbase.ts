/**
 * Coinbase Exchange: `level2_batch`, `matches`, `ticker`, `heartbeat`.
 *
 * `side` of a match is the maker's, so the taker's is the opposite. `last_match` repeats history. `sequence` counts
 * messages of all channels and only increases; `trade_id` is contiguous and tells lost matches.
 */
import { type Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { isoToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushRows, readTrade, readTradeId } from "./rows.ts";

export class CoinbaseDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;
  /** The venue very rarely sends year 1: then the time before counts. */
  readonly #lastTimeUs = new Map<Instrument, number>();

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "coinbase", options.aliases);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    switch (root.type) {
      case "subscriptions":
        return this.#out.text("ack", "subscriptions", receivedUs);
      case "error":
        return this.#out.text("error", `${textOf(root.message)}: ${textOf(root.reason)}`, receivedUs);
      case "snapshot":
      case "l2update":
      case "match":
      case "last_match":
      case "ticker":
      case "heartbeat": {
        const instrument = this.instruments.get(textOf(root.product_id));
        if (instrument === undefined) return "unknown_symbol";
        return this.#decodeProduct(root, instrument, receivedUs);
      }
    }
    return "ok"; // the venue asks clients to ignore types they do not know
  }

  #decodeProduct(root: JsonObject, instrument: Instrument, receivedUs: number): DecodeResult {
    const { message } = this.#out;
    let result: DecodeResult;
    switch (root.type) {
      case "snapshot":
        message.begin("book_snapshot", instrument, receivedUs);
        result = pushRows(message, message.bids, root.bids);
        if (result === "ok") result = pushRows(message, message.asks, root.asks);
        break;
      case "l2update":
        message.begin("book_delta", instrument, receivedUs);
        result = this.#pushChanges(root.changes);
        break;
      case "ticker":
        message.begin("quote", instrument, receivedUs);
        result = this.#readTicker(root);
        break;
      case "heartbeat":
        message.begin("heartbeat", instrument, receivedUs);
        message.id = numberOf(root.last_trade_id);
        result = "ok";
        break;
      default:
        message.begin("trade", instrument, receivedUs);
        message.historic = root.type === "last_match";
        message.side = root.side === "sell" ? 1 : root.side === "buy" ? -1 : 0;
        readTradeId(message, root.trade_id);
        result = readTrade(message, root.price, root.size);
    }
    if (result !== "ok") return result;
    if (root.sequence !== undefined) message.lastId = numberOf(root.sequence);
    this.#setTime(textOf(root.time));
    return this.#out.emit();
  }

  /** `["buy"|"sell", price, size]`: the side of the book. */
  #pushChanges(changes: unknown): DecodeResult {
    if (!isArray(changes)) return "bad_message";
    const { message } = this.#out;
    for (const change of changes) {
      if (!isArray(change)) return "bad_message";
      const levels = change[0] === "buy" ? message.bids : change[0] === "sell" ? message.asks : undefined;
      if (levels === undefined) return "bad_message";
      if (!message.pushLevel(levels, textOf(change[1]), textOf(change[2]))) return "bad_number";
    }
    return "ok";
  }

  #readTicker(root: JsonObject): DecodeResult {
    const { message } = this.#out;
    message.bidPrice = message.priceOf(textOf(root.best_bid));
    message.askPrice = message.priceOf(textOf(root.best_ask));
    message.bidQty = message.qtyOf(textOf(root.best_bid_size));
    message.askQty = message.qtyOf(textOf(root.best_ask_size));
    message.price = message.priceOf(textOf(root.price));
    return message.bidPrice >= 0 && message.askPrice >= 0 ? "ok" : "bad_number";
  }

  #setTime(text: string): void {
    if (text === "") return;
    const { message } = this.#out;
    const timeUs = isoToUs(text);
    if (timeUs > 0) this.#lastTimeUs.set(message.instrument, timeUs);
    message.setEventTime(timeUs > 0 ? timeUs : this.#lastTimeUs.get(message.instrument) ?? NaN);
  }
}
