/**
 * Coinbase Advanced Trade: `level2` (arriving as `l2_data`), `market_trades`, `ticker`, `heartbeats`.
 *
 * One message holds events of several products. `sequence_num` counts all messages of the connection: a hole means
 * something of some product is lost, which a `reconnect` message says, because only a new subscription repairs it.
 */
import { InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { isoToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { readTrade, readTradeId } from "./rows.ts";

export class CoinbaseAdvancedDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;
  #sequence = NaN;

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "coinbase", options.aliases);
  }

  /** A new connection counts from its own start. */
  lineRestored(): void {
    this.#sequence = NaN;
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    if (root.type === "error") return this.#out.text("error", textOf(root.message), receivedUs);
    this.#checkSequence(numberOf(root.sequence_num), receivedUs);
    if (root.channel === "subscriptions") return this.#out.text("ack", "subscriptions", receivedUs);
    if (!isArray(root.events)) return "ok";
    const timeUs = isoToUs(textOf(root.timestamp));
    for (const event of root.events) {
      if (!isObject(event)) return "bad_message";
      const result = this.#decodeEvent(textOf(root.channel), event, timeUs, receivedUs);
      if (result !== "ok") return result;
    }
    return "ok";
  }

  #checkSequence(sequence: number, receivedUs: number): void {
    if (Number.isNaN(sequence)) return;
    const expected = this.#sequence + 1;
    this.#sequence = sequence;
    if (Number.isNaN(expected) || sequence === expected) return;
    this.#out.text("reconnect", `sequence_num ${sequence} after ${expected - 1}`, receivedUs);
  }

  #decodeEvent(channel: string, event: JsonObject, timeUs: number, receivedUs: number): DecodeResult {
    switch (channel) {
      case "l2_data":
        return this.#decodeBook(event, timeUs, receivedUs);
      case "market_trades":
        return this.#decodeTrades(event, receivedUs);
      case "ticker":
      case "ticker_batch":
        return this.#decodeTickers(event, timeUs, receivedUs);
      case "heartbeats":
        return this.#out.text("heartbeat", textOf(event.heartbeat_counter), receivedUs);
    }
    return "ok";
  }

  #decodeBook(event: JsonObject, timeUs: number, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(event.product_id));
    if (instrument === undefined) return "unknown_symbol";
    if (!isArray(event.updates)) return "bad_message";
    const { message } = this.#out;
    message.begin(event.type === "snapshot" ? "book_snapshot" : "book_delta", instrument, receivedUs);
    message.setEventTime(timeUs);
    for (const update of event.updates) {
      if (!isObject(update)) return "bad_message";
      const levels = update.side === "bid"
        ? message.bids
        : update.side === "offer"
        ? message.asks
        : undefined;
      if (levels === undefined) return "bad_message";
      if (!message.pushLevel(levels, textOf(update.price_level), textOf(update.new_quantity))) {
        return "bad_number";
      }
    }
    return this.#out.emit();
  }

  /** `side` is the taker's here, unlike on Coinbase Exchange. The first event repeats trades of before. */
  #decodeTrades(event: JsonObject, receivedUs: number): DecodeResult {
    if (!isArray(event.trades)) return "bad_message";
    const { message } = this.#out;
    for (const trade of event.trades) {
      if (!isObject(trade)) return "bad_message";
      const instrument = this.instruments.get(textOf(trade.product_id));
      if (instrument === undefined) return "unknown_symbol";
      message.begin("trade", instrument, receivedUs);
      message.historic = event.type === "snapshot";
      message.side = trade.side === "BUY" ? 1 : trade.side === "SELL" ? -1 : 0;
      message.setEventTime(isoToUs(textOf(trade.time)));
      readTradeId(message, trade.trade_id);
      const result = readTrade(message, trade.price, trade.size);
      if (result !== "ok") return result;
      this.#out.emit();
    }
    return "ok";
  }

  #decodeTickers(event: JsonObject, timeUs: number, receivedUs: number): DecodeResult {
    if (!isArray(event.tickers)) return "bad_message";
    const { message } = this.#out;
    for (const ticker of event.tickers) {
      if (!isObject(ticker)) return "bad_message";
      const instrument = this.instruments.get(textOf(ticker.product_id));
      if (instrument === undefined) return "unknown_symbol";
      message.begin("quote", instrument, receivedUs);
      message.setEventTime(timeUs);
      message.bidPrice = message.priceOf(textOf(ticker.best_bid));
      message.bidQty = message.qtyOf(textOf(ticker.best_bid_quantity));
      message.askPrice = message.priceOf(textOf(ticker.best_ask));
      message.askQty = message.qtyOf(textOf(ticker.best_ask_quantity));
      message.price = message.priceOf(textOf(ticker.price));
      if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
      this.#out.emit();
    }
    return "ok";
  }
}
