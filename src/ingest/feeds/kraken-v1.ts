/**
 * Kraken's first websocket protocol: `book-N`, `trade`, `ticker`, `spread`; frozen by the venue but in wide use.
 *
 * Data are lists whose last two elements name channel and pair. A book update of both sides comes as two maps, the
 * checksum in the last. Texts keep the venue's digits: its checksum runs over them.
 */
import { type Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { secondsToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushRows, readTrade } from "./rows.ts";

export class KrakenV1Decoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "kraken", options.aliases);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = parseJson(text);
    if (isObject(root)) return this.#decodeEvent(root, receivedUs);
    if (!isArray(root)) return "not_json";
    if (root.length < 4) return "bad_message";
    const channel = textOf(root.at(-2));
    const instrument = this.instruments.get(textOf(root.at(-1)));
    if (instrument === undefined) return "unknown_symbol";
    const parts = root.slice(1, -2);
    if (channel.startsWith("book-")) return this.#decodeBook(parts, instrument, receivedUs);
    if (channel === "trade") return this.#decodeTrades(parts[0], instrument, receivedUs);
    if (channel === "ticker") return this.#decodeTicker(parts[0], instrument, receivedUs);
    if (channel === "spread") return this.#decodeSpread(parts[0], instrument, receivedUs);
    return "ok";
  }

  #decodeEvent(event: JsonObject, receivedUs: number): DecodeResult {
    switch (event.event) {
      case "heartbeat":
      case "pong":
        return this.#out.text("heartbeat", textOf(event.event), receivedUs);
      case "systemStatus":
        return this.#out.text(event.status === "online" ? "ack" : "error", textOf(event.status), receivedUs);
      case "subscriptionStatus":
        return event.status === "error"
          ? this.#out.text("error", textOf(event.errorMessage), receivedUs)
          : this.#out.text("ack", `${textOf(event.channelName)} ${textOf(event.pair)}`, receivedUs);
      case "error":
        return this.#out.text("error", textOf(event.errorMessage), receivedUs);
    }
    return "ok";
  }

  #decodeBook(parts: readonly unknown[], instrument: Instrument, receivedUs: number): DecodeResult {
    const { message } = this.#out;
    const first = parts[0];
    const isSnapshot = isObject(first) && ("as" in first || "bs" in first);
    message.begin(isSnapshot ? "book_snapshot" : "book_delta", instrument, receivedUs);
    let newestUs = 0;
    for (const part of parts) {
      if (!isObject(part)) return "bad_message";
      const asks = isSnapshot ? part.as : part.a;
      const bids = isSnapshot ? part.bs : part.b;
      let result = pushRows(message, message.asks, asks);
      if (result === "ok") result = pushRows(message, message.bids, bids);
      if (result !== "ok") return result;
      newestUs = Math.max(newestUs, newestTimeUs(asks), newestTimeUs(bids));
      if (part.c !== undefined) message.checksum = numberOf(part.c);
    }
    message.setEventTime(newestUs);
    return this.#out.emit();
  }

  #decodeTrades(rows: unknown, instrument: Instrument, receivedUs: number): DecodeResult {
    if (!isArray(rows)) return "bad_message";
    const { message } = this.#out;
    for (const row of rows) {
      if (!isArray(row)) return "bad_message";
      message.begin("trade", instrument, receivedUs);
      message.setEventTime(secondsToUs(textOf(row[2])));
      message.side = row[3] === "b" ? 1 : row[3] === "s" ? -1 : 0;
      const result = readTrade(message, row[0], row[1]);
      if (result !== "ok") return result;
      this.#out.emit();
    }
    return "ok";
  }

  /** `{"b":[price, whole lots, volume],"a":[…],"c":[price, volume]}`. */
  #decodeTicker(ticker: unknown, instrument: Instrument, receivedUs: number): DecodeResult {
    if (!isObject(ticker) || !isArray(ticker.a) || !isArray(ticker.b)) return "bad_message";
    const last = isArray(ticker.c) ? ticker.c[0] : undefined;
    return this.#emitQuote(instrument, receivedUs, {
      bid: [ticker.b[0], ticker.b[2]],
      ask: [ticker.a[0], ticker.a[2]],
      last,
      timeUs: NaN,
    });
  }

  /** `[bid, ask, time, bid volume, ask volume]`. */
  #decodeSpread(row: unknown, instrument: Instrument, receivedUs: number): DecodeResult {
    if (!isArray(row)) return "bad_message";
    const timeUs = secondsToUs(textOf(row[2]));
    return this.#emitQuote(instrument, receivedUs, { bid: [row[0], row[3]], ask: [row[1], row[4]], timeUs });
  }

  #emitQuote(
    instrument: Instrument,
    receivedUs: number,
    quote: { bid: [unknown, unknown]; ask: [unknown, unknown]; last?: unknown; timeUs: number },
  ): DecodeResult {
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(quote.timeUs);
    message.bidPrice = message.priceOf(textOf(quote.bid[0]));
    message.bidQty = message.qtyOf(textOf(quote.bid[1]));
    message.askPrice = message.priceOf(textOf(quote.ask[0]));
    message.askQty = message.qtyOf(textOf(quote.ask[1]));
    message.price = message.priceOf(textOf(quote.last));
    if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
    return this.#out.emit();
  }
}

/** The newest time among level rows `[price, volume, time, …]`; 0 without rows. */
function newestTimeUs(rows: unknown): number {
  let newest = 0;
  if (!isArray(rows)) return newest;
  for (const row of rows) {
    const timeUs = isArray(row) ? secondsToUs(textOf(row[2])) : NaN;
    if (timeUs > newest) newest = timeUs;
  }
  return newest;
}
