/**
 * Sums of products of integers, exact to 2^100, without BigInt and without allocation.
 *
 * A double-double: `value = hi + lo`, both integers, |lo| at most half a unit in the last place of hi. Every
 * product is split exactly (Dekker 1971), every addition carries its own rounding error (Knuth's two-sum).
 * Volumes times prices need it: 20,000 trades at eight decimals leave 2^53 behind within minutes.
 */

/** Dekker's splitter for 53-bit doubles: 2^27 + 1. */
const SPLITTER = 134_217_729;

/** One running sum. Terms must be integers below 2^53 in magnitude. */
export class ExactSum {
  hi = 0;
  lo = 0;

  clear(): void {
    this.hi = 0;
    this.lo = 0;
  }

  add(term: number): void {
    this.#carry(term, 0);
  }

  /** Adds a · b, exactly. */
  addProduct(a: number, b: number): void {
    const product = a * b;
    const aScaled = SPLITTER * a;
    const aHigh = aScaled - (aScaled - a);
    const aLow = a - aHigh;
    const bScaled = SPLITTER * b;
    const bHigh = bScaled - (bScaled - b);
    const bLow = b - bHigh;
    this.#carry(product, aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow);
  }

  addSum(other: ExactSum): void {
    this.#carry(other.hi, other.lo);
  }

  /** Multiplies the sum by a power of ten when the scale of its terms has grown. */
  rescale(factor: number): void {
    const exact = this.exact() * BigInt(factor);
    this.hi = Number(exact);
    this.lo = Number(exact - BigInt(this.hi));
  }

  /** The nearest double. */
  value(): number {
    return this.hi + this.lo;
  }

  /** Every digit. */
  exact(): bigint {
    return BigInt(this.hi) + BigInt(this.lo);
  }

  save(): readonly [hi: number, lo: number] {
    return [this.hi, this.lo];
  }

  restore([hi, lo]: readonly [hi: number, lo: number]): void {
    this.hi = hi;
    this.lo = lo;
  }

  #carry(high: number, low: number): void {
    const sum = this.hi + high;
    const part = sum - this.hi;
    const error = this.hi - (sum - part) + (high - part) + this.lo + low;
    this.hi = sum + error;
    this.lo = error - (this.hi - sum);
  }
}
