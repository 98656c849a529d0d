import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  DecimalRegister,
  formatFixed,
  formatScaled,
  parseDecimal,
  ratioText,
  readDecimal,
} from "../../src/book/decimal.ts";
import { ExactSum } from "../../src/book/exact-sum.ts";

function read(text: string) {
  const out = new DecimalRegister();
  const end = readDecimal(text, 0, out);
  return end === -1
    ? undefined
    : { end, mantissa: out.mantissa, decimals: out.decimals, textDecimals: out.textDecimals, wide: out.wide };
}

const READ: [text: string, mantissa: number, decimals: number, textDecimals: number][] = [
  ["0", 0, 0, 0],
  ["61804.70", 618047, 1, 2],
  ["0.00000000", 0, 0, 8],
  ["0.00006547", 6547, 8, 8],
  ["-1.5", -15, 1, 1],
  ["5e-05", 5, 5, 5],
  ["1.5E+3", 1500, 0, 0],
  ["1e3", 1000, 0, 0],
  ["0.10e-1", 1, 2, 3],
  [".5", 5, 1, 1],
  ["7.", 7, 0, 0],
  ["9007199254740991", 9007199254740991, 0, 0],
];

for (const [text, mantissa, decimals, textDecimals] of READ) {
  test(`readDecimal() reads ${text}`, () => {
    expect(read(text)).toEqual({ end: text.length, mantissa, decimals, textDecimals, wide: false });
  });
}

test("readDecimal() stops at the first character that is no part of the number", () => {
  const out = new DecimalRegister();
  expect(readDecimal('["12.50","3"]', 2, out)).toBe(7);
  expect(out.mantissa).toBe(125);
});

for (const text of ["", "-", ".", "abc", "1e", "1e+", `0.${"1".repeat(23)}`, "1".repeat(41), "1e999"]) {
  test(`readDecimal() refuses "${text.slice(0, 12)}"`, () => expect(read(text)).toBeUndefined());
}

test("readDecimal() marks what does not fit 2^53 as wide", () => {
  expect(read("9007199254740992")?.wide).toBe(true);
  expect(read("1063829787.23404255")).toMatchObject({ wide: true, decimals: 8 });
});

test("formatScaled() writes back what readDecimal() read, without trailing zeros", () => {
  fc.assert(fc.property(
    fc.maxSafeInteger(),
    fc.integer({ min: 0, max: 15 }),
    (mantissa, scale) => {
      const parsed = parseDecimal(formatScaled(mantissa, scale));
      if (parsed === undefined) return false;
      const { mantissa: found, decimals } = parsed;
      return BigInt(found) * 10n ** BigInt(scale - decimals) === BigInt(mantissa);
    },
  ));
});

const WRITTEN: [mantissa: number, scale: number, text: string][] = [
  [0, 0, "0"],
  [0, 8, "0"],
  [6183763, 2, "61837.63"],
  [6183700, 2, "61837"],
  [656, 7, "0.0000656"],
  [-5, 1, "-0.5"],
  [100, 0, "100"],
];
for (const [mantissa, scale, text] of WRITTEN) {
  test(`formatScaled(${mantissa}, ${scale}) is ${text}`, () =>
    expect(formatScaled(mantissa, scale)).toBe(text));
}

test("formatFixed() keeps the decimals asked for", () => {
  expect(formatFixed(2290, 8, 9)).toBe("0.000022900");
  expect(formatFixed(856030, 1, 1)).toBe("85603.0");
  expect(formatFixed(856030, 1, 0)).toBe("85603");
});

test("ratioText() rounds half-even to significant digits", () => {
  expect(ratioText(1n, 3n, 0)).toBe("0.333333333333");
  expect(ratioText(2n, 3n, 0, 3)).toBe("0.667");
  expect(ratioText(25n, 10n, 0, 1)).toBe("2");
  expect(ratioText(35n, 10n, 0, 1)).toBe("4");
  expect(ratioText(-1n, 8n, 2, 5)).toBe("-0.00125");
  expect(ratioText(999_999n, 1n, 0, 3)).toBe("1000000");
  expect(ratioText(0n, 7n, 3)).toBe("0");
});

test("ExactSum keeps every digit of sums of products", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.integer({ min: -(2 ** 45), max: 2 ** 45 }), fc.integer({ min: 0, max: 2 ** 45 })), {
      maxLength: 200,
    }),
    (terms) => {
      const sum = new ExactSum();
      let exact = 0n;
      for (const [a, b] of terms) {
        sum.addProduct(a, b);
        sum.add(a);
        exact += BigInt(a) * BigInt(b) + BigInt(a);
      }
      return sum.exact() === exact;
    },
  ));
});

test("ExactSum.rescale() multiplies exactly", () => {
  const sum = new ExactSum();
  const term = 2 ** 44 - 1;
  sum.addProduct(term, term);
  sum.rescale(1000);
  expect(sum.exact()).toBe(BigInt(term) ** 2n * 1000n);
});
