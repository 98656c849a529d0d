/**
 * Trades, or quotes, folded into one while they wait for their turn: the last one's values, and of all of them
 * the high, the low, and the summed quantity.
 */
import { formatScaled, pow10 } from "../book/decimal.ts";
import { MarketMessage } from "./message.ts";
import { messageJson } from "./payload.ts";

type Kept = Pick<
  MarketMessage,
  | "instrument"
  | "eventTimeUs"
  | "eventTimeKnown"
  | "receivedUs"
  | "price"
  | "qty"
  | "side"
  | "id"
  | "idText"
  | "bidPrice"
  | "bidQty"
  | "askPrice"
  | "askQty"
  | "lastId"
>;

/** Filled anew for each text; nothing keeps it. */
const scratch = new MarketMessage();

export class MergedTick {
  readonly kind: "trade" | "quote";
  /** Ticks in it. */
  count = 1;
  #last: Kept;
  #priceScale: number;
  #qtyScale: number;
  #high: number;
  #low: number;

  /** Copies what is needed of the message. */
  constructor(message: MarketMessage) {
    this.kind = message.kind === "trade" ? "trade" : "quote";
    this.#last = keep(message);
    this.#priceScale = message.instrument.priceScale;
    this.#qtyScale = message.instrument.qtyScale;
    // Of quotes: the highest ask and the lowest bid.
    this.#high = this.kind === "trade" ? message.price : message.askPrice;
    this.#low = this.kind === "trade" ? message.price : message.bidPrice;
  }

  /** Folds a newer tick of the same kind and instrument into this one. */
  fold(newer: MergedTick): MergedTick {
    this.#rescale();
    newer.#rescale();
    const qty = this.#last.qty + newer.#last.qty;
    this.#last = newer.#last;
    if (this.kind === "trade") this.#last.qty = qty;
    this.#high = Math.max(this.#high, newer.#high);
    this.#low = Math.min(this.#low, newer.#low);
    this.count += newer.count;
    return this;
  }

  get eventTimeUs(): number {
    return this.#last.eventTimeUs;
  }

  get receivedUs(): number {
    return this.#last.receivedUs;
  }

  /** As JSON in the form of `messageJson`; `merged` tells how many, when there are several. */
  json(): string {
    this.#rescale();
    scratch.begin(this.kind, this.#last.instrument, this.#last.receivedUs);
    Object.assign(scratch, this.#last);
    const json = messageJson(scratch);
    if (this.count === 1) return json;
    const high = formatScaled(this.#high, this.#priceScale);
    const low = formatScaled(this.#low, this.#priceScale);
    return `${json.slice(0, -1)},"merged":${this.count},"high":"${high}","low":"${low}"}`;
  }

  /** To the instrument's scales of now. */
  #rescale(): void {
    const { priceScale, qtyScale } = this.#last.instrument;
    const priceFactor = pow10(priceScale - this.#priceScale);
    const qtyFactor = pow10(qtyScale - this.#qtyScale);
    if (priceFactor === 1 && qtyFactor === 1) return;
    const last = this.#last;
    last.price *= priceFactor;
    last.bidPrice *= priceFactor;
    last.askPrice *= priceFactor;
    this.#high *= priceFactor;
    this.#low *= priceFactor;
    last.qty *= qtyFactor;
    last.bidQty *= qtyFactor;
    last.askQty *= qtyFactor;
    this.#priceScale = priceScale;
    this.#qtyScale = qtyScale;
  }
}

function keep(message: MarketMessage): Kept {
  const { instrument, eventTimeUs, eventTimeKnown, receivedUs, price, qty, side, id, idText } = message;
  const { bidPrice, bidQty, askPrice, askQty, lastId } = message;
  return {
    instrument,
    eventTimeUs,
    eventTimeKnown,
    receivedUs,
    price,
    qty,
    side,
    id,
    idText,
    bidPrice,
    bidQty,
    askPrice,
    askQty,
    lastId,
  };
}
