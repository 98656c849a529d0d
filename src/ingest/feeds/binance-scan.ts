/**
 * Reads Binance's three hot messages straight from their text: no JSON.parse, no objects, no strings.
 *
 * Only messages made of exactly the fields and forms below are taken; anything else (blanks, escapes, unknown
 * fields, other event types) is left to JSON.parse by answering `false`, so this is never more than a shortcut.
 *
 *     {"stream":"…","data":{…}} or {…}
 *     depthUpdate   e E T s ps U u pu b:[["p","q"],…] a:[["p","q"],…]
 *     bookTicker    e u s ps b:"p" B:"q" a:"p" A:"q" T E
 *     trade         e E T s t p q X m M
 */
import type { LevelColumns } from "../../book/levels.ts";
import type { Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";

const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const UPPER_A = 65;
const UPPER_B = 66;
const UPPER_E = 69;
const UPPER_M = 77;
const UPPER_T = 84;
const UPPER_U = 85;
const UPPER_X = 88;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const LOWER_A = 97;
const LOWER_B = 98;
const LOWER_D = 100;
const LOWER_E = 101;
const LOWER_F = 102;
const LOWER_M = 109;
const LOWER_P = 112;
const LOWER_Q = 113;
const LOWER_S = 115;
const LOWER_T = 116;
const LOWER_U = 117;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

const DEPTH = 1;
const TICKER = 2;
const TRADE = 3;

const STREAM_PREFIX = '{"stream":"';
const DATA_PREFIX = '","data":{';

export class BinanceScanner {
  readonly #instruments: InstrumentTable;
  readonly #message: MarketMessage;
  /** The instrument of the message before: streams come in bursts of one symbol. */
  #lastInstrument: Instrument | undefined;
  #at = 0;
  /** Where the symbol's text begins, with its quote. */
  #symbolAt = 0;

  constructor(instruments: InstrumentTable, message: MarketMessage) {
    this.#instruments = instruments;
    this.#message = message;
  }

  /** Fills the message and answers `true`, or leaves the text to JSON.parse. Levels and prices are checked as there. */
  scan(text: string, receivedUs: number): boolean {
    if (text.includes("\\")) return false; // an escape, or not JSON at all
    let at = 1;
    const isCombined = text.startsWith(STREAM_PREFIX);
    if (isCombined) {
      const end = text.indexOf('"', STREAM_PREFIX.length);
      if (!text.startsWith(DATA_PREFIX, end)) return false;
      at = end + DATA_PREFIX.length;
    } else if (text.charCodeAt(0) !== OPEN_OBJECT) {
      return false;
    }
    const instrument = this.#findInstrument(text, at);
    if (instrument === undefined) return false;
    const kind = kindOf(text, at);
    if (kind === 0) return false;
    this.#message.begin(
      kind === DEPTH ? "book_delta" : kind === TICKER ? "quote" : "trade",
      instrument,
      receivedUs,
    );
    this.#at = at;
    if (!this.#scanFields(text, kind)) return false;
    if (isCombined && text.charCodeAt(this.#at++) !== CLOSE_OBJECT) return false;
    return this.#at === text.length && this.#isComplete(kind);
  }

  /** The symbol comes after other fields, but scales are needed from the first number on: look ahead for it. */
  #findInstrument(text: string, from: number): Instrument | undefined {
    const key = text.indexOf('"s":"', from);
    if (key === -1) return undefined;
    const start = key + 5;
    this.#symbolAt = start - 1;
    const last = this.#lastInstrument;
    if (last !== undefined) {
      const end = start + last.venueSymbol.length;
      if (text.charCodeAt(end) === QUOTE && text.startsWith(last.venueSymbol, start)) return last;
    }
    const instrument = this.#instruments.get(text.slice(start, text.indexOf('"', start)));
    this.#lastInstrument = instrument;
    return instrument;
  }

  #scanFields(text: string, kind: number): boolean {
    for (;;) {
      if (text.charCodeAt(this.#at) !== QUOTE) return false;
      const key = text.charCodeAt(this.#at + 1);
      const isLong = text.charCodeAt(this.#at + 2) !== QUOTE;
      const colon = this.#at + (isLong ? 4 : 3);
      if (text.charCodeAt(colon) !== COLON) return false;
      this.#at = colon + 1;
      const isRead = isLong ? this.#scanLongField(text, key, kind) : this.#scanField(text, key, kind);
      if (!isRead) return false;
      const code = text.charCodeAt(this.#at++);
      if (code === CLOSE_OBJECT) return true;
      if (code !== COMMA) return false;
    }
  }

  /** `ps` (the pair, known from the symbol) and `pu` (the previous message's last id). */
  #scanLongField(text: string, key: number, kind: number): boolean {
    if (key !== LOWER_P || text.charCodeAt(this.#at - 2) !== QUOTE) return false;
    const second = text.charCodeAt(this.#at - 3);
    if (second === LOWER_S) return this.#skipString(text);
    if (second !== LOWER_U || kind !== DEPTH) return false;
    this.#message.previousId = this.#integer(text);
    return this.#message.previousId >= 0;
  }

  #scanField(text: string, key: number, kind: number): boolean {
    const message = this.#message;
    switch (key) {
      case LOWER_S: // a second one would be another instrument's
        return this.#at === this.#symbolAt && this.#skipString(text);
      case LOWER_E:
        return kindOfEvent(text, this.#at + 1) === kind && this.#skipString(text);
      case UPPER_E: {
        const timeMs = this.#integer(text);
        // The matching engine's time, where there is one, is the better one and comes from "T".
        if (kind === DEPTH && !message.eventTimeKnown) message.setEventTime(toUs(timeMs));
        return timeMs >= 0;
      }
      case UPPER_T: {
        const timeMs = this.#integer(text);
        message.setEventTime(toUs(timeMs));
        return timeMs >= 0;
      }
      case UPPER_U:
        return (message.firstId = this.#integer(text)) >= 0;
      case LOWER_U:
        return (message.lastId = this.#integer(text)) >= 0;
      case LOWER_T:
        return (message.id = this.#integer(text)) >= 0;
      case LOWER_B:
        return kind === DEPTH
          ? this.#levels(text, message.bids)
          : (message.bidPrice = this.#quotedPrice(text)) >= 0;
      case LOWER_A:
        return kind === DEPTH
          ? this.#levels(text, message.asks)
          : (message.askPrice = this.#quotedPrice(text)) >= 0;
      case UPPER_B:
        return (message.bidQty = this.#quotedQty(text)) >= 0;
      case UPPER_A:
        return (message.askQty = this.#quotedQty(text)) >= 0;
      case LOWER_P:
        return (message.price = this.#quotedPrice(text)) > 0;
      case LOWER_Q:
        return (message.qty = this.#quotedQty(text)) > 0;
      case UPPER_X:
        if (!text.startsWith('"MARKET"', this.#at)) return false; // off-book trades are judged over there
        this.#at += 8;
        return true;
      case LOWER_M:
        message.side = text.charCodeAt(this.#at) === LOWER_T ? -1 : 1;
        return this.#skipBoolean(text);
      case UPPER_M:
        return this.#skipBoolean(text);
      default:
        return false;
    }
  }

  /** Every field a message of this kind must have was there. */
  #isComplete(kind: number): boolean {
    const message = this.#message;
    if (kind === DEPTH) return message.firstId >= 0 && message.lastId >= 0;
    if (kind === TICKER) {
      return message.lastId >= 0 && message.bidPrice >= 0 && message.bidQty >= 0 && message.askPrice >= 0 &&
        message.askQty >= 0;
    }
    return message.id >= 0 && message.price > 0 && message.qty > 0 && message.side !== 0;
  }

  /** `[["p","q"],…]` into columns. */
  #levels(text: string, levels: LevelColumns): boolean {
    const message = this.#message;
    if (text.charCodeAt(this.#at) !== OPEN_LIST || levels.count > 0) return false;
    let at = this.#at + 1;
    if (text.charCodeAt(at) === CLOSE_LIST) {
      this.#at = at + 1;
      return true;
    }
    for (;;) {
      if (text.charCodeAt(at) !== OPEN_LIST || text.charCodeAt(at + 1) !== QUOTE) return false;
      const price = message.priceAt(text, at + 2);
      const priceDigits = message.digitsRead;
      at = message.readEnd;
      if (
        at === -1 || text.charCodeAt(at) !== QUOTE || text.charCodeAt(at + 1) !== COMMA ||
        text.charCodeAt(at + 2) !== QUOTE
      ) return false;
      const qty = message.qtyAt(text, at + 3);
      at = message.readEnd;
      if (at === -1 || text.charCodeAt(at) !== QUOTE || text.charCodeAt(at + 1) !== CLOSE_LIST) return false;
      // A quantity over 2^53 needs its text kept, and a price that cannot be exact is refused: over there.
      if (price !== price || qty > Number.MAX_SAFE_INTEGER) return false;
      if (!levels.push(price, qty, (priceDigits << 8) | message.digitsRead)) return false;
      const code = text.charCodeAt(at + 2);
      at += 3;
      if (code === CLOSE_LIST) {
        this.#at = at;
        return true;
      }
      if (code !== COMMA) return false;
    }
  }

  /** Reads an id or a time; -1 when there is none. Over 2^53 it would not be exact, and is refused too. */
  #integer(text: string): number {
    let at = this.#at;
    let code = text.charCodeAt(at);
    if (!(code >= ZERO && code <= NINE)) return -1;
    if (code === ZERO && text.charCodeAt(at + 1) >= ZERO && text.charCodeAt(at + 1) <= NINE) return -1; // not JSON
    let value = 0;
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + (code - ZERO);
      code = text.charCodeAt(++at);
    }
    this.#at = at;
    return value <= Number.MAX_SAFE_INTEGER ? value : -1;
  }

  #quotedPrice(text: string): number {
    if (text.charCodeAt(this.#at) !== QUOTE) return NaN;
    const price = this.#message.priceAt(text, this.#at + 1);
    return this.#endQuoted(text) ? price : NaN;
  }

  #quotedQty(text: string): number {
    if (text.charCodeAt(this.#at) !== QUOTE) return NaN;
    const qty = this.#message.qtyAt(text, this.#at + 1);
    return this.#endQuoted(text) ? qty : NaN;
  }

  #endQuoted(text: string): boolean {
    const end = this.#message.readEnd;
    if (end === -1 || text.charCodeAt(end) !== QUOTE) return false;
    this.#at = end + 1;
    return true;
  }

  /** Past a string. */
  #skipString(text: string): boolean {
    if (text.charCodeAt(this.#at) !== QUOTE) return false;
    const end = text.indexOf('"', this.#at + 1);
    if (end === -1) return false;
    this.#at = end + 1;
    return true;
  }

  #skipBoolean(text: string): boolean {
    const code = text.charCodeAt(this.#at);
    if (code !== LOWER_T && code !== LOWER_F) return false;
    const word = code === LOWER_T ? "true" : "false";
    if (!text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }
}

function toUs(timeMs: number): number {
  return timeMs > 1e14 ? timeMs : timeMs * 1000;
}

/** Which hot message starts at `at`; 0 for none. `e` comes first, or after the update id, or (spot ticker) never. */
function kindOf(text: string, at: number): number {
  if (text.startsWith('"e":"', at)) return kindOfEvent(text, at + 5);
  if (!text.startsWith('"u":', at)) return 0;
  const comma = text.indexOf(",", at);
  if (text.startsWith('"e":"', comma + 1)) return kindOfEvent(text, comma + 6);
  return TICKER;
}

function kindOfEvent(text: string, at: number): number {
  switch (text.charCodeAt(at)) {
    case LOWER_D:
      return text.startsWith('depthUpdate"', at) ? DEPTH : 0;
    case LOWER_B:
      return text.startsWith('bookTicker"', at) ? TICKER : 0;
    case LOWER_T:
      return text.startsWith('trade"', at) ? TRADE : 0;
    default:
      return 0;
  }
}
