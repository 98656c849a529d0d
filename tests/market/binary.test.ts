import { expect, test } from "bun:test";
import { encodeMessage } from "../../src/market/binary.ts";
import { Instrument } from "../../src/market/instrument.ts";
import { MarketMessage } from "../../src/market/message.ts";

function trade(price: string, qty: string): MarketMessage {
  const message = new MarketMessage();
  message.begin("trade", new Instrument("okx", "BTC-USDT", "BTC-USDT"), 1_700_000_000_000_000);
  message.price = message.priceOf(price);
  message.qty = message.qtyOf(qty);
  message.side = -1;
  message.id = 77;
  return message;
}

/** Reads the numbers behind the four bytes of the head. */
function numbersOf(bytes: Uint8Array, count: number): number[] {
  let at = 4;
  return Array.from({ length: count }, () => {
    let value = 0;
    for (let factor = 1;; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte % 128) * factor;
      if (byte < 128) break;
    }
    if (value === 0) return NaN;
    const zigzag = value - 1;
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  });
}

test("encodeMessage() writes a trade's numbers exactly, up to 2^52", () => {
  const bytes = encodeMessage(trade("61804.8", "0.00000001"));
  if (typeof bytes === "string") throw new Error("Expected bytes");
  expect([...bytes.subarray(0, 4)]).toEqual([1, 0, 1, 8]);
  expect(numbersOf(bytes, 5)).toEqual([1_700_000_000_000_000, 0, 618_048, 1, 77]);
  expect([...bytes.subarray(-2)]).toEqual([2, 0]);
  expect(bytes.length).toBeLessThan(32);
});

test("encodeMessage() gives JSON where a quantity does not fit", () => {
  const text = encodeMessage(trade("1", "9007199254740991"));
  expect(typeof text === "string" && JSON.parse(text).qty).toBe("9007199254740991");
});
