/**
 * OKX v5: `books`, `books5`, `bbo-tbt`, `trades`, `tickers`.
 *
 * The checksum field has been 0 since June 2026, which counts as absent. The answer to the text `ping` is the text
 * `pong`, not JSON.
 */
import { type Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { millisToUs } from "./decoder.ts";
import { isArray, isObject, type JsonObject, numberOf, parseJson, textOf } from "./json.ts";
import { MessageOutput } from "./message-output.ts";
import { pushRows, readTrade, readTradeId } from "./rows.ts";

/** Channels whose every message is a whole book. */
const SNAPSHOT_CHANNELS = new Set(["books5", "bbo-tbt"]);

export class OkxDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #out: MessageOutput;

  constructor(
    sink: MessageSink,
    options: { venue?: string; aliases?: Readonly<Record<string, string>> } = {},
  ) {
    this.#out = new MessageOutput(sink);
    this.instruments = new InstrumentTable(options.venue ?? "okx", options.aliases);
  }

  decode(text: string, receivedUs: number): DecodeResult {
    if (text === "pong") return this.#out.text("heartbeat", "pong", receivedUs);
    const root = parseJson(text);
    if (!isObject(root)) return "not_json";
    const arg = isObject(root.arg) ? root.arg : {};
    const channel = textOf(arg.channel);
    if (root.event === "error") return this.#out.text("error", textOf(root.msg), receivedUs);
    if (root.event !== undefined) {
      return this.#out.text("ack", `${channel} ${textOf(arg.instId)}`, receivedUs);
    }
    if (!isArray(root.data)) return "bad_message";
    for (const entry of root.data) {
      if (!isObject(entry)) return "bad_message";
      const instrument = this.instruments.get(textOf(arg.instId ?? entry.instId));
      if (instrument === undefined) return "unknown_symbol";
      const isSnapshot = root.action === "snapshot" || SNAPSHOT_CHANNELS.has(channel);
      const result = channel === "trades" || channel === "trades-all"
        ? this.#decodeTrade(entry, instrument, receivedUs)
        : channel === "tickers"
        ? this.#decodeTicker(entry, instrument, receivedUs)
        : channel.startsWith("books") || channel === "bbo-tbt"
        ? this.#decodeBook(entry, instrument, { isSnapshot, receivedUs })
        : "ok";
      if (result !== "ok") return result;
    }
    return "ok";
  }

  #decodeBook(
    entry: JsonObject,
    instrument: Instrument,
    { isSnapshot, receivedUs }: { isSnapshot: boolean; receivedUs: number },
  ): DecodeResult {
    const { message } = this.#out;
    message.begin(isSnapshot ? "book_snapshot" : "book_delta", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(entry.ts)));
    message.lastId = numberOf(entry.seqId);
    message.previousId = numberOf(entry.prevSeqId);
    const checksum = numberOf(entry.checksum);
    message.checksum = checksum === 0 ? NaN : checksum;
    let result = pushRows(message, message.bids, entry.bids);
    if (result === "ok") result = pushRows(message, message.asks, entry.asks);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTrade(entry: JsonObject, instrument: Instrument, receivedUs: number): DecodeResult {
    const { message } = this.#out;
    message.begin("trade", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(entry.ts)));
    message.side = entry.side === "buy" ? 1 : entry.side === "sell" ? -1 : 0;
    readTradeId(message, entry.tradeId);
    const result = readTrade(message, entry.px, entry.sz);
    return result === "ok" ? this.#out.emit() : result;
  }

  #decodeTicker(entry: JsonObject, instrument: Instrument, receivedUs: number): DecodeResult {
    const { message } = this.#out;
    message.begin("quote", instrument, receivedUs);
    message.setEventTime(millisToUs(numberOf(entry.ts)));
    message.bidPrice = message.priceOf(textOf(entry.bidPx));
    message.bidQty = message.qtyOf(textOf(entry.bidSz));
    message.askPrice = message.priceOf(textOf(entry.askPx));
    message.askQty = message.qtyOf(textOf(entry.askSz));
    message.price = message.priceOf(textOf(entry.last));
    if (!(message.bidPrice >= 0) || !(message.askPrice >= 0)) return "bad_number";
    return this.#out.emit();
  }
}
