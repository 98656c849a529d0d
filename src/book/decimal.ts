/**
 * Exact decimals without objects: a number is an integer mantissa in a double, and the count of its decimals.
 *
 *     "61804.70"  →  mantissa 618047, decimals 1, textDecimals 2          value = mantissa / 10^decimals
 *
 * Prices and quantities never pass through binary fractions, so checksums and texts shown to users keep every
 * digit. A mantissa over 2^53 no longer fits a double: it is marked `wide`, kept as the nearest double for
 * arithmetic, and whoever needs its digits keeps the text.
 */

/** Powers of ten a double holds exactly: 10^0 .. 10^22. */
const POW10: readonly number[] = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
/** Longest number text accepted, sign and point included. No venue sends more than some 25. */
export const DECIMAL_TEXT_MAX = 40;
/** Most decimals a number may have; scales never exceed it. */
export const DECIMALS_MAX = 22;

const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const DOT = 46;
const UPPER_E = 69;
const LOWER_E = 101;

/** Where `readDecimal` leaves what it has read; reuse one for many numbers. */
export class DecimalRegister {
  /** Signed integer; the nearest double when `wide`. */
  mantissa = 0;
  /** Decimals up to the last one that is not zero. */
  decimals = 0;
  /** Decimals as written, trailing zeros included. */
  textDecimals = 0;
  /** The mantissa does not fit 2^53: its last digits are rounded. */
  wide = false;
}

/** 10^power for 0 ≤ power ≤ 22, exact. */
export function pow10(power: number): number {
  return POW10[power] ?? Math.pow(10, power);
}

/**
 * Reads the number that starts at `at`: `-`, digits, point, digits, exponent.
 *
 * @returns The index behind the number, or -1 when there is none, or when it is longer than this program
 * keeps exact (over 40 characters or 22 decimals). `out` is only meaningful when the answer is not -1.
 */
export function readDecimal(text: string, at: number, out: DecimalRegister): number {
  const length = text.length;
  const start = at;
  let code = at < length ? text.charCodeAt(at) : 0;
  const negative = code === MINUS;
  if (negative) code = ++at < length ? text.charCodeAt(at) : 0;
  const firstDigit = at;
  let mantissa = 0;
  while (code >= ZERO && code <= NINE) {
    mantissa = mantissa * 10 + (code - ZERO);
    code = ++at < length ? text.charCodeAt(at) : 0;
  }
  let digitCount = at - firstDigit;
  let decimals = 0;
  let zeros = 0; // zeros not yet known to be trailing
  if (code === DOT) {
    const firstDecimal = at + 1;
    code = ++at < length ? text.charCodeAt(at) : 0;
    while (code >= ZERO && code <= NINE) {
      if (code === ZERO) zeros++;
      else {
        mantissa = mantissa * pow10(zeros + 1) + (code - ZERO);
        decimals += zeros + 1;
        zeros = 0;
      }
      code = ++at < length ? text.charCodeAt(at) : 0;
    }
    digitCount += at - firstDecimal;
  }
  if (digitCount === 0) return -1;
  out.decimals = decimals;
  out.textDecimals = decimals + zeros;
  out.mantissa = negative ? -mantissa : mantissa;
  if (code === LOWER_E || code === UPPER_E) at = readExponent(text, at + 1, out);
  out.wide = out.mantissa > Number.MAX_SAFE_INTEGER || out.mantissa < -Number.MAX_SAFE_INTEGER;
  return at === -1 || at - start > DECIMAL_TEXT_MAX || out.textDecimals > DECIMALS_MAX ? -1 : at;
}

/** Applies `e-05` to what has been read; returns the index behind it, or -1. */
function readExponent(text: string, at: number, out: DecimalRegister): number {
  const match = /^[+-]?\d{1,3}/.exec(text.slice(at, at + 5));
  if (match === null) return -1;
  const exponent = Number(match[0]);
  out.textDecimals = Math.max(0, out.textDecimals - exponent);
  out.decimals -= exponent;
  if (out.mantissa === 0) out.decimals = 0;
  if (out.decimals < 0) {
    if (out.decimals < -DECIMALS_MAX) return -1;
    out.mantissa *= pow10(-out.decimals);
    out.decimals = 0;
  }
  return at + match[0].length;
}

/**
 * Reads a whole text as an exact decimal, for configuration: `parseDecimal("0.05")` is `{ mantissa: 5, decimals: 2 }`.
 *
 * @returns `undefined` when the text is no number or does not fit 2^53.
 */
export function parseDecimal(text: string): { mantissa: number; decimals: number } | undefined {
  const register = new DecimalRegister();
  if (readDecimal(text, 0, register) !== text.length || register.wide) return undefined;
  return { mantissa: register.mantissa, decimals: register.decimals };
}

/** Decimal text of mantissa / 10^scale: no exponent, no trailing zeros, `-` in front when negative. */
export function formatScaled(mantissa: number | bigint, scale: number): string {
  return stripZeros(formatFixed(mantissa, scale, scale));
}

/** A decimal text without zeros behind its last digit, and without a bare point. */
export function stripZeros(text: string): string {
  if (!text.includes(".")) return text;
  let end = text.length;
  while (text.charCodeAt(end - 1) === ZERO) end--;
  if (text.charCodeAt(end - 1) === DOT) end--;
  return text.slice(0, end);
}

/**
 * Decimal text of mantissa / 10^scale with exactly `decimals` decimals, as a venue wrote it.
 * Digits behind `decimals` are cut off: callers pass at least as many as the number has.
 */
export function formatFixed(mantissa: number | bigint, scale: number, decimals: number): string {
  const negative = mantissa < 0;
  const digits = integerDigits(mantissa).padStart(scale + 1, "0");
  const integer = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).slice(0, decimals).padEnd(decimals, "0");
  const text = decimals === 0 ? integer : `${integer}.${fraction}`;
  return negative ? `-${text}` : text;
}

function integerDigits(mantissa: number | bigint): string {
  if (typeof mantissa === "bigint") return String(mantissa < 0n ? -mantissa : mantissa);
  const magnitude = Math.abs(mantissa);
  return Number.isSafeInteger(magnitude) ? String(magnitude) : String(BigInt(magnitude));
}

/**
 * Text of numerator / denominator / 10^scale rounded half-even to `digits` significant digits.
 *
 * @throws {RangeError} If the denominator is 0.
 */
export function ratioText(numerator: bigint, denominator: bigint, scale: number, digits = 12): string {
  if (denominator === 0n) throw new RangeError("Cannot divide by zero");
  const negative = numerator < 0n !== denominator < 0n;
  const top = numerator < 0n ? -numerator : numerator;
  const bottom = denominator < 0n ? -denominator : denominator;
  if (top === 0n) return "0";
  // Scale so that the integer quotient has at least `digits` digits, then drop what is too much in one rounding.
  const spare = digits + 1 + Math.max(0, String(bottom).length - String(top).length);
  const raised = top * 10n ** BigInt(spare);
  const surplus = String(raised / bottom).length - digits;
  const divisor = bottom * 10n ** BigInt(surplus);
  let quotient = raised / divisor;
  const rest = (raised % divisor) * 2n;
  if (rest > divisor || (rest === divisor && quotient % 2n === 1n)) quotient++;
  const text = shift(quotient, spare - surplus + scale);
  return negative ? `-${text}` : text;
}

/** Text of mantissa / 10^scale where the scale may be negative. */
function shift(mantissa: bigint, scale: number): string {
  return scale >= 0 ? formatScaled(mantissa, scale) : formatScaled(mantissa * 10n ** BigInt(-scale), 0);
}
