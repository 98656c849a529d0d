/**
 * The levels of one message, as columns: what decoders fill and books apply, reused from message to message.
 *
 *     price   mantissas at the instrument's price scale
 *     qty     mantissas at the instrument's quantity scale; 0 removes the level
 *     digits  decimals as the venue wrote them, price << 8 | quantity: checksums run over the received text
 */

import { formatFixed } from "./decimal.ts";

/** Most levels one message may bring on one side; a longer snapshot is refused by the decoder. */
export const MESSAGE_LEVELS_MAX = 131_072;

/** One side of a message. Not shared between threads. */
export class LevelColumns {
  price: Float64Array;
  qty: Float64Array;
  digits: Uint16Array;
  count = 0;
  /** Texts of quantities over 2^53, by index; `undefined` while there is none (nearly always). */
  wideQty: Map<number, string> | undefined = undefined;

  constructor(capacity = 64) {
    this.price = new Float64Array(capacity);
    this.qty = new Float64Array(capacity);
    this.digits = new Uint16Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.wideQty = undefined;
  }

  /** Appends a level; `false` when the message has more than MESSAGE_LEVELS_MAX. */
  push(price: number, qty: number, digits: number): boolean {
    const at = this.count;
    if (at === this.price.length && !this.#grow()) return false;
    this.price[at] = price;
    this.qty[at] = qty;
    this.digits[at] = digits;
    this.count = at + 1;
    return true;
  }

  /** Notes the exact text of the quantity last pushed, which does not fit 2^53. */
  noteWideQty(text: string): void {
    this.wideQty ??= new Map();
    this.wideQty.set(this.count - 1, text);
  }

  /** Multiplies what is already here: the instrument's scale grew in the middle of a message, from `qtyScale`. */
  rescale(priceFactor: number, qtyFactor: number, qtyScale: number): void {
    for (let at = 0; at < this.count; at++) {
      const qty = this.qty[at] as number;
      this.price[at] = (this.price[at] as number) * priceFactor;
      this.qty[at] = qty * qtyFactor;
      if (Number.isSafeInteger(qty) && !Number.isSafeInteger(qty * qtyFactor)) {
        this.wideQty ??= new Map();
        this.wideQty.set(at, formatFixed(qty, qtyScale, (this.digits[at] as number) & 0xff));
      }
    }
  }

  /** A copy that owns its memory, for the buffer before a book's join. */
  copy(): LevelColumns {
    const copied = new LevelColumns(0);
    copied.price = this.price.slice(0, this.count);
    copied.qty = this.qty.slice(0, this.count);
    copied.digits = this.digits.slice(0, this.count);
    copied.count = this.count;
    copied.wideQty = this.wideQty && new Map(this.wideQty);
    return copied;
  }

  #grow(): boolean {
    const capacity = Math.min(MESSAGE_LEVELS_MAX, Math.max(16, this.price.length * 2));
    if (capacity <= this.price.length) return false;
    const price = new Float64Array(capacity);
    const qty = new Float64Array(capacity);
    const digits = new Uint16Array(capacity);
    price.set(this.price);
    qty.set(this.qty);
    digits.set(this.digits);
    this.price = price;
    this.qty = qty;
    this.digits = digits;
    return true;
  }
}
