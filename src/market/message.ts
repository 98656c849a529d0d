/**
 * One normalised market message: what every venue's decoder makes, and all that bars, books and statistics read.
 *
 * A decoder owns one and fills it again for each message: whoever keeps anything must copy it before returning.
 * Prices and quantities are mantissas at the scales of `instrument`. A number that is absent is NaN.
 */
import { DecimalRegister, pow10, readDecimal } from "../book/decimal.ts";
import { LevelColumns } from "../book/levels.ts";
import { Instrument } from "./instrument.ts";

export const MESSAGE_KINDS = [
  "trade",
  "quote",
  "book_snapshot",
  "book_delta",
  "bar",
  "heartbeat",
  "ack",
  "error",
  "reconnect",
] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** 1 the taker bought, -1 the taker sold, 0 the venue does not say. */
export type TakerSide = 1 | -1 | 0;

/** Before the first message has been decoded. */
const NO_INSTRUMENT = new Instrument("", "", "");

export class MarketMessage {
  kind: MessageKind = "heartbeat";
  instrument: Instrument = NO_INSTRUMENT;
  /** The venue's time, microseconds since 1970; the receipt time where the venue gives none (`eventTimeKnown`). */
  eventTimeUs = 0;
  eventTimeKnown = false;
  receivedUs = 0;

  /** Trade, bar close, or last price of a quote that has one. */
  price = NaN;
  qty = NaN;
  side: TakerSide = 0;
  /** Trade number, where the venue numbers trades; else NaN and `idText`. */
  id = NaN;
  idText = "";
  /** Trades covered by an aggregated trade or a provider's bar. */
  firstTradeId = NaN;
  lastTradeId = NaN;
  /** Repeats what was before we subscribed: kept, but counted in no bar. */
  historic = false;

  bidPrice = NaN;
  bidQty = NaN;
  askPrice = NaN;
  askQty = NaN;

  readonly bids = new LevelColumns();
  readonly asks = new LevelColumns();
  /** Update ids: first and last covered, last of the previous message; as far as the venue gives them. */
  firstId = NaN;
  lastId = NaN;
  previousId = NaN;
  checksum = NaN;

  /** A provider's bar: its interval and values; volume in `qty`, close in `price`. */
  barStartUs = NaN;
  barIntervalMs = NaN;
  open = NaN;
  high = NaN;
  low = NaN;
  buyQty = NaN;
  tradeCount = NaN;
  barClosed = false;

  /** What an ack, an error or a reconnect request says. */
  text = "";

  readonly #register = new DecimalRegister();
  /** Index behind the number that `price…At` or `qty…At` read last; -1 when there was none. */
  readEnd = -1;

  /** Makes the message an empty one of `kind`; the decoder fills in the rest. */
  begin(kind: MessageKind, instrument: Instrument, receivedUs: number): void {
    this.kind = kind;
    this.instrument = instrument;
    this.receivedUs = receivedUs;
    this.eventTimeUs = receivedUs;
    this.eventTimeKnown = false;
    this.price = this.qty = this.id = NaN;
    this.side = 0;
    this.idText = this.text = "";
    this.historic = this.barClosed = false;
    this.bidPrice =
      this.bidQty =
      this.askPrice =
      this.askQty =
        NaN;
    this.firstId =
      this.lastId =
      this.previousId =
      this.checksum =
        NaN;
    this.bids.clear();
    this.asks.clear();
    if (kind === "bar") this.#clearBar();
  }

  /** Makes the message one that concerns the line and no instrument. */
  beginText(kind: "ack" | "error" | "heartbeat" | "reconnect", text: string, receivedUs: number): void {
    this.begin(kind, NO_INSTRUMENT, receivedUs);
    this.text = text;
  }

  setEventTime(timeUs: number): void {
    if (!(timeUs > 0)) return;
    this.eventTimeUs = timeUs;
    this.eventTimeKnown = true;
  }

  /** Reads the price at `at`, as a mantissa; NaN when there is none that can be kept exact. Sets `readEnd`. */
  priceAt(text: string, at: number): number {
    const register = this.#register;
    this.readEnd = readDecimal(text, at, register);
    if (this.readEnd === -1 || register.wide) return NaN;
    const { instrument } = this;
    if (register.decimals > instrument.priceScale && !this.#raisePriceScale(register.decimals)) return NaN;
    const price = register.mantissa * pow10(instrument.priceScale - register.decimals);
    if (price > instrument.priceMax) {
      if (price > Number.MAX_SAFE_INTEGER) return NaN;
      instrument.priceMax = price;
    }
    return price;
  }

  /** Reads the quantity at `at`, as a mantissa; the nearest double over 2^53. Sets `readEnd`. */
  qtyAt(text: string, at: number): number {
    const register = this.#register;
    this.readEnd = readDecimal(text, at, register);
    if (this.readEnd === -1) return NaN;
    if (register.decimals > this.instrument.qtyScale) this.#raiseQtyScale(register.decimals);
    return register.mantissa * pow10(this.instrument.qtyScale - register.decimals);
  }

  /** The price in price units, for statistics: mantissas of different ages may be at different scales. */
  get priceValue(): number {
    return this.price / pow10(this.instrument.priceScale);
  }

  /** The quantity in quantity units. */
  get qtyValue(): number {
    return this.qty / pow10(this.instrument.qtyScale);
  }

  /** Middle of a quote in price units; NaN when it has not both prices. */
  get midValue(): number {
    return (this.bidPrice + this.askPrice) / (2 * pow10(this.instrument.priceScale));
  }

  /** The price a whole text is, as a mantissa; NaN when it is none. */
  priceOf(text: string): number {
    const price = this.priceAt(text, 0);
    return this.readEnd === text.length ? price : NaN;
  }

  /** The quantity a whole text is, as a mantissa; NaN when it is none. */
  qtyOf(text: string): number {
    const qty = this.qtyAt(text, 0);
    return this.readEnd === text.length ? qty : NaN;
  }

  /** Decimals of the number read last, as written. */
  get digitsRead(): number {
    return this.#register.textDecimals;
  }

  /**
   * Appends a level given as texts.
   *
   * @returns `false` when a text is no number, or the message has too many levels: the message is unusable.
   */
  pushLevel(levels: LevelColumns, priceText: string, qtyText: string): boolean {
    const { pricePrecision, qtyPrecision } = this.instrument;
    const price = this.priceOf(priceText);
    const priceDigits = pricePrecision < 0 ? this.digitsRead : pricePrecision;
    const qty = this.qtyOf(qtyText);
    const qtyDigits = qtyPrecision < 0 ? this.digitsRead : qtyPrecision;
    // NaN fails both comparisons; a negative number is left for validation to name.
    if (price !== price || qty !== qty) return false;
    if (!levels.push(price, qty, (priceDigits << 8) | qtyDigits)) return false;
    if (qty > Number.MAX_SAFE_INTEGER) levels.noteWideQty(qtyText);
    return true;
  }

  #raisePriceScale(scale: number): boolean {
    const factor = pow10(scale - this.instrument.priceScale);
    if (!this.instrument.raisePriceScale(scale)) return false;
    this.price *= factor;
    this.bidPrice *= factor;
    this.askPrice *= factor;
    this.open *= factor;
    this.high *= factor;
    this.low *= factor;
    this.bids.rescale(factor, 1, this.instrument.qtyScale);
    this.asks.rescale(factor, 1, this.instrument.qtyScale);
    return true;
  }

  #raiseQtyScale(scale: number): void {
    const before = this.instrument.qtyScale;
    const factor = pow10(scale - before);
    this.instrument.qtyScale = scale;
    this.qty *= factor;
    this.bidQty *= factor;
    this.askQty *= factor;
    this.buyQty *= factor;
    this.bids.rescale(1, factor, before);
    this.asks.rescale(1, factor, before);
  }

  #clearBar(): void {
    this.barStartUs =
      this.barIntervalMs =
      this.open =
      this.high =
      this.low =
        NaN;
    this.buyQty =
      this.tradeCount =
      this.firstTradeId =
      this.lastTradeId =
        NaN;
  }
}
