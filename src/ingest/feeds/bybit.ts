/**
 * Bybit v5: `orderbook.N`, `publicTrade`, `tickers`.
 *
 * Every snapshot replaces the book, whenever it comes; update id 1 marks a restarted service and is one too.
 */
import { type Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { millisToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushRows, readTrade, readTradeId } from "./rows.ts";

export class BybitDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "bybit", options.aliases);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    if (typeof root.topic !== "string") return this.#decodeAnswer(root, receivedUs);
    const [channel] = root.topic.split(".", 1);
    switch (channel) {
      case "orderbook":
        return this.#decodeBook(root, receivedUs);
      case "publicTrade":
        return this.#decodeTrades(root.data, receivedUs);
      case "tickers":
        return this.#decodeTicker(root, receivedUs);
    }
    return "ok";
  }

  #decodeAnswer(root: JsonObject, receivedUs: number): DecodeResult {
    if (root.op === "pong" || root.ret_msg === "pong") return this.#out.text("heartbeat", "pong", receivedUs);
    if (root.success === false) return this.#out.text("error", textOf(root.ret_msg), receivedUs);
    return this.#out.text("ack", textOf(root.op), receivedUs);
  }

  #decodeBook(root: JsonObject, receivedUs: number): DecodeResult {
    const data = root.data;
    if (!isObject(data)) return "bad_message";
    const instrument = this.instruments.get(textOf(data.s));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    const updateId = numberOf(data.u);
    const isSnapshot = root.type === "snapshot" || updateId === 1;
    message.begin(isSnapshot ? "book_snapshot" : "book_delta", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(root.cts ?? root.ts)));
    message.lastId = updateId;
    let result = pushRows(message, message.bids, data.b);
    if (result === "ok") result = pushRows(message, message.asks, data.a);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTrades(data: unknown, receivedUs: number): DecodeResult {
    if (!isArray(data)) return "bad_message";
    const { message } = this.#out;
    for (const trade of data) {
      if (!isObject(trade)) return "bad_message";
      const instrument = this.instruments.get(textOf(trade.s));
      if (instrument === undefined) return "unknown_symbol";
      message.begin("trade", instrument, receivedUs);
      message.setEventTime(millisToUs(numberOf(trade.T)));
      message.side = trade.S === "Buy" ? 1 : trade.S === "Sell" ? -1 : 0;
      readTradeId(message, trade.i);
      const result = readTrade(message, trade.p, trade.v);
      if (result !== "ok") return result;
      this.#out.emit();
    }
    return "ok";
  }

  #decodeTicker(root: JsonObject, receivedUs: number): DecodeResult {
    if (!isObject(root.data)) return "bad_message";
    const instrument = this.instruments.get(textOf(root.data.symbol));
    if (instrument === undefined) return "unknown_symbol";
    if (root.data.bid1Price === undefined || root.data.ask1Price === undefined) return "ok"; // changed fields only
    return this.#emitQuote(root.data, instrument, millisToUs(numberOf(root.ts)), receivedUs);
  }

  #emitQuote(data: JsonObject, instrument: Instrument, timeUs: number, receivedUs: number): DecodeResult {
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(timeUs);
    message.bidPrice = message.priceOf(textOf(data.bid1Price));
    message.bidQty = message.qtyOf(textOf(data.bid1Size));
    message.askPrice = message.priceOf(textOf(data.ask1Price));
    message.askQty = message.qtyOf(textOf(data.ask1Size));
    message.price = message.priceOf(textOf(data.lastPrice));
    if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
    return this.#out.emit();
  }
}
