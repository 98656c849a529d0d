/**
 * One side of an order book: sorted columns with the best level last.
 *
 *     key     ascending; bids: price, asks: -price, so that both sides have their best level at count - 1
 *     qty     mantissa, > 0
 *     digits  decimals as received, price << 8 | quantity
 *
 * Nearly all updates touch the top, so inserting and removing moves few elements and the search starts there.
 * Invariant: key[0] < key[1] < … < key[count - 1].
 */
import { formatFixed, formatScaled, stripZeros } from "./decimal.ts";

/** Levels looked at one by one from the top before the search halves what is left. */
const LINEAR_STEPS = 8;
/** Below this many elements a loop moves them faster than copyWithin. */
const COPY_WITHIN_MIN = 24;

export class BookSide {
  /** 1 for bids, -1 for asks: key = sign · price. */
  readonly sign: 1 | -1;
  readonly levelsMax: number;
  key: Float64Array;
  qty: Float64Array;
  digits: Uint16Array;
  count = 0;
  /** Levels dropped because the side had levelsMax already; the farthest ones. */
  droppedCount = 0;
  /** Exact texts of quantities over 2^53, by key. */
  readonly #wide = new Map<number, string>();

  constructor(sign: 1 | -1, levelsMax: number) {
    this.sign = sign;
    this.levelsMax = levelsMax;
    const capacity = Math.min(levelsMax, 1024);
    this.key = new Float64Array(capacity);
    this.qty = new Float64Array(capacity);
    this.digits = new Uint16Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.#wide.clear();
  }

  /** Price of the level `rank` places from the best one (0). Only for rank < count. */
  price(rank: number): number {
    return this.sign * (this.key[this.count - 1 - rank] as number);
  }

  quantity(rank: number): number {
    return this.qty[this.count - 1 - rank] as number;
  }

  /**
   * Sets the quantity resting at a price; 0 removes the level, and removing an absent level is normal.
   *
   * @param wideText Exact text of a quantity over 2^53.
   */
  set(price: number, qty: number, digits: number, wideText?: string): void {
    const key = this.sign * price;
    const at = this.#find(key);
    const found = at >= 0 && this.key[at] === key;
    if (this.#wide.size > 0) this.#wide.delete(key);
    if (qty === 0) {
      if (found) this.#remove(at);
      return;
    }
    if (wideText !== undefined) this.#wide.set(key, wideText);
    if (found) {
      this.qty[at] = qty;
      this.digits[at] = digits;
    } else {
      this.#insert(at + 1, key, qty, digits);
    }
  }

  /** Keeps the best `depth` levels. */
  truncate(depth: number): void {
    const surplus = this.count - depth;
    if (surplus <= 0) return;
    if (this.#wide.size > 0) {
      for (let at = 0; at < surplus; at++) {
        this.#wide.delete(this.key[at] as number);
      }
    }
    this.key.copyWithin(0, surplus, this.count);
    this.qty.copyWithin(0, surplus, this.count);
    this.digits.copyWithin(0, surplus, this.count);
    this.count = depth;
  }

  /** Multiplies keys and quantities: a scale of the instrument has grown from `qtyScale`. */
  rescale(priceFactor: number, qtyFactor: number, qtyScale: number): void {
    const widened = [...this.#wide];
    this.#wide.clear();
    for (const [key, text] of widened) this.#wide.set(key * priceFactor, text);
    for (let at = 0; at < this.count; at++) {
      const qty = this.qty[at] as number;
      const key = (this.key[at] as number) * priceFactor;
      this.key[at] = key;
      this.qty[at] = qty * qtyFactor;
      if (Number.isSafeInteger(qty) && !Number.isSafeInteger(qty * qtyFactor)) {
        this.#wide.set(key, formatFixed(qty, qtyScale, (this.digits[at] as number) & 0xff));
      }
    }
  }

  /** Price text of a level with the decimals the venue wrote. */
  receivedPrice(rank: number, scale: number): string {
    return formatFixed(this.price(rank), scale, (this.digits[this.count - 1 - rank] as number) >> 8);
  }

  /** Quantity text of a level with the decimals the venue wrote. */
  receivedQty(rank: number, scale: number): string {
    const at = this.count - 1 - rank;
    const wide = this.#wide.size > 0 ? this.#wide.get(this.key[at] as number) : undefined;
    return wide ?? formatFixed(this.quantity(rank), scale, (this.digits[at] as number) & 0xff);
  }

  /** Quantity text without trailing zeros; exact also over 2^53. */
  qtyText(rank: number, scale: number): string {
    const wide = this.#wide.size > 0 ? this.#wide.get(this.key[this.count - 1 - rank] as number) : undefined;
    return wide === undefined ? formatScaled(this.quantity(rank), scale) : stripZeros(wide);
  }

  /** Index of the last key ≤ `key`, or -1. */
  #find(key: number): number {
    const keys = this.key;
    let at = this.count - 1;
    const linearEnd = Math.max(-1, at - LINEAR_STEPS);
    while (at > linearEnd && (keys[at] as number) > key) at--;
    if (at > linearEnd || at < 0) return at;
    let low = 0;
    let high = at; // keys[0 .. high] are still open
    while (low <= high) {
      const middle = (low + high) >> 1;
      if ((keys[middle] as number) > key) high = middle - 1;
      else low = middle + 1;
    }
    return high;
  }

  #remove(at: number): void {
    const count = --this.count;
    const { key, qty, digits } = this;
    if (count - at > COPY_WITHIN_MIN) {
      key.copyWithin(at, at + 1, count + 1);
      qty.copyWithin(at, at + 1, count + 1);
      digits.copyWithin(at, at + 1, count + 1);
      return;
    }
    for (let to = at; to < count; to++) {
      key[to] = key[to + 1] as number;
      qty[to] = qty[to + 1] as number;
      digits[to] = digits[to + 1] as number;
    }
  }

  #insert(at: number, newKey: number, newQty: number, newDigits: number): void {
    if (this.count === this.levelsMax) {
      this.droppedCount++;
      if (at === 0) return void this.#wide.delete(newKey); // the new level itself is the farthest
      this.#wide.delete(this.key[0] as number);
      this.#remove(0);
      at--;
    }
    if (this.count === this.key.length) this.#grow();
    const count = this.count++;
    const { key, qty, digits } = this;
    if (count - at > COPY_WITHIN_MIN) {
      key.copyWithin(at + 1, at, count);
      qty.copyWithin(at + 1, at, count);
      digits.copyWithin(at + 1, at, count);
    } else {
      for (let to = count; to > at; to--) {
        key[to] = key[to - 1] as number;
        qty[to] = qty[to - 1] as number;
        digits[to] = digits[to - 1] as number;
      }
    }
    key[at] = newKey;
    qty[at] = newQty;
    digits[at] = newDigits;
  }

  #grow(): void {
    const capacity = Math.min(this.levelsMax, this.key.length * 2);
    const key = new Float64Array(capacity);
    const qty = new Float64Array(capacity);
    const digits = new Uint16Array(capacity);
    key.set(this.key);
    qty.set(this.qty);
    digits.set(this.digits);
    this.key = key;
    this.qty = qty;
    this.digits = digits;
  }
}
