/**
 * Binance: spot, USD-M and COIN-M futures, single and combined streams, REST depth snapshots.
 *
 * The three speak the same messages; futures add `T` (matching engine's time) and `pu` (the previous message's last
 * id). Spot's `bookTicker` has no event type and no time. Messages are told apart by their fields. The hot ones
 * (`depthUpdate`, `bookTicker`, `trade`) go through `binance-scan.ts` without JSON.parse; whatever it does not
 * know word for word comes here.
 */
import type { Instrument } from "../../market/instrument.ts";
import { InstrumentTable } from "../../market/instrument.ts";
import { BinanceScanner } from "./binance-scan.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { millisToUs } from "./decoder.ts";
import { isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushRows } from "./rows.ts";

/** Trades that did not come from the order book: no price discovery, so no bars. */
const OFF_BOOK = new Set(["INSURANCE_FUND", "ADL", "NA"]);

const KLINE_INTERVAL_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

export interface BinanceOptions {
  /** `binance`, `binance-usdm` or `binance-coinm`: the venue in topics. */
  readonly venue: string;
  readonly aliases?: Readonly<Record<string, string>>;
  /** Decode hot messages without JSON.parse. On unless a test compares both ways. */
  readonly scan?: boolean;
}

export class BinanceDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #scanner: BinanceScanner | undefined;
  readonly #out: MessageOutput;

  constructor(sink: MessageSink, options: BinanceOptions) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue, options.aliases);
    this.#scanner = options.scan === false
      ? undefined
      : new BinanceScanner(this.instruments, this.#out.message);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    if (this.#scanner !== undefined && this.#scanner.scan(text, receivedUs)) {
      return this.#out.emit();
    }
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    return this.#decodeEvent(isObject(root.data) ? root.data : root, receivedUs);
  }

  decodeSnapshot(text: string, instrument: Instrument, receivedUs: number): DecodeResult {
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    if (typeof root.lastUpdateId !== "number") return "bad_message";
    const { message } = this.#out;
    message.begin("book_snapshot", instrument, receivedUs);
    message.lastId = root.lastUpdateId;
    message.setEventTime(millisToUs(numberOf(root.T)));
    return this.#finishLevels(root.bids, root.asks);
  }

  #decodeEvent(event: JsonObject, receivedUs: number): DecodeResult {
    switch (event.e) {
      case "depthUpdate":
        return this.#decodeDepth(event, receivedUs);
      case "trade":
      case "aggTrade":
        return this.#decodeTrade(event, receivedUs);
      case "kline":
        return this.#decodeKline(event, receivedUs);
      case "serverShutdown":
        return this.#out.text("reconnect", "serverShutdown", receivedUs);
      case "bookTicker":
        return this.#decodeTicker(event, receivedUs);
    }
    if (typeof event.u === "number" && event.B !== undefined) return this.#decodeTicker(event, receivedUs);
    if ("result" in event) return this.#out.text("ack", String(event.id), receivedUs);
    if (isObject(event.error)) return this.#out.text("error", textOf(event.error.msg), receivedUs);
    if ("code" in event && "msg" in event) return this.#out.text("error", textOf(event.msg), receivedUs);
    return "ok"; // a stream nobody asked this decoder to understand
  }

  #decodeDepth(event: JsonObject, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(event.s));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("book_delta", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(event.T ?? event.E)));
    message.firstId = numberOf(event.U);
    message.lastId = numberOf(event.u);
    message.previousId = numberOf(event.pu);
    return this.#finishLevels(event.b, event.a);
  }

  #finishLevels(bids: unknown, asks: unknown): DecodeResult {
    const { message } = this.#out;
    let result = pushRows(message, message.bids, bids);
    if (result === "ok") result = pushRows(message, message.asks, asks);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTrade(event: JsonObject, receivedUs: number): DecodeResult {
    if (OFF_BOOK.has(textOf(event.X))) return "ok";
    const instrument = this.instruments.get(textOf(event.s));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("trade", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(event.T)));
    message.price = message.priceOf(textOf(event.p));
    message.qty = message.qtyOf(textOf(event.q));
    message.side = event.m === true ? -1 : 1;
    message.id = numberOf(event.e === "aggTrade" ? event.a : event.t);
    if (event.e === "aggTrade") {
      message.firstTradeId = numberOf(event.f);
      message.lastTradeId = numberOf(event.l);
    }
    if (!(message.price > 0) || !(message.qty > 0)) return "bad_number";
    return this.#out.emit();
  }

  #decodeTicker(event: JsonObject, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(event.s));
    if (instrument === undefined) return "unknown_symbol";
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(event.T)));
    message.lastId = numberOf(event.u);
    message.bidPrice = message.priceOf(textOf(event.b));
    message.bidQty = message.qtyOf(textOf(event.B));
    message.askPrice = message.priceOf(textOf(event.a));
    message.askQty = message.qtyOf(textOf(event.A));
    if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
    return this.#out.emit();
  }

  #decodeKline(event: JsonObject, receivedUs: number): DecodeResult {
    const instrument = this.instruments.get(textOf(event.s));
    if (instrument === undefined) return "unknown_symbol";
    const kline = event.k;
    if (!isObject(kline)) return "bad_message";
    const { message } = this.#out;
    message.begin("bar", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(event.E)));
    message.barStartUs = millisToUs(numberOf(kline.t));
    message.barIntervalMs = klineIntervalMs(textOf(kline.i));
    message.open = message.priceOf(textOf(kline.o));
    message.high = message.priceOf(textOf(kline.h));
    message.low = message.priceOf(textOf(kline.l));
    message.price = message.priceOf(textOf(kline.c));
    message.qty = message.qtyOf(textOf(kline.v));
    message.buyQty = message.qtyOf(textOf(kline.V));
    message.tradeCount = numberOf(kline.n);
    message.barClosed = kline.x === true;
    message.firstTradeId = numberOf(kline.f);
    message.lastTradeId = numberOf(kline.L);
    if (!(message.price > 0) || !(message.qty >= 0)) return "bad_number";
    return this.#out.emit();
  }
}

/** `1m` → 60,000; months have no fixed length and give NaN. */
function klineIntervalMs(name: string): number {
  const unit = KLINE_INTERVAL_MS[name.slice(-1)];
  return unit === undefined ? NaN : Number(name.slice(0, -1)) * unit;
}
