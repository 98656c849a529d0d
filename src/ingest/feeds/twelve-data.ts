/**
 * Twelve Data: prices of currencies, shares and coins, one JSON object a price.
 *
 * There is no sequence, no trade and no book: a price with bid and ask becomes a quote, one without becomes a quote
 * that has only a last price. Times are whole seconds.
 */
import { InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJsonKeepingDigits, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";

export class TwelveDataDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "twelvedata", options.aliases);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJsonKeepingDigits(text);
    if (!isObject(root)) return "not_json";
    switch (root.event) {
      case "price":
        return this.#decodePrice(root, receivedUs);
      case "heartbeat":
        return this.#out.text("heartbeat", textOf(root.status), receivedUs);
      case "subscribe-status":
        return this.#decodeStatus(root, receivedUs);
    }
    return "ok";
  }

  /** One answer may accept some symbols and refuse others: both are told. */
  #decodeStatus(root: JsonObject, receivedUs: number): DecodeResult {
    const accepted = symbolsOf(root.success);
    const refused = symbolsOf(root.fails);
    if (accepted !== "") this.#out.text("ack", accepted, receivedUs);
    if (refused !== "" || root.status === "error") {
      this.#out.text("error", `not subscribed: ${refused}`, receivedUs);
    }
    return "ok";
  }

  #decodePrice(root: JsonObject, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(root.symbol));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(numberOf(root.timestamp) * 1_000_000);
    message.price = message.priceOf(textOf(root.price));
    if (!(message.price > 0)) return "bad_number";
    if (root.bid !== undefined && root.ask !== undefined) {
      message.bidPrice = message.priceOf(textOf(root.bid));
      message.askPrice = message.priceOf(textOf(root.ask));
      if (!(message.bidPrice > 0) || !(message.askPrice > 0)) return "bad_number";
    }
    return this.#out.emit();
  }
}

function symbolsOf(list: unknown): string {
  if (!isArray(list)) return "";
  return list.map((entry) => isObject(entry) ? textOf(entry.symbol) : textOf(entry)).join(" ");
}
