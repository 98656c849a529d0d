import { expect, test } from "bun:test";
import { TradeContinuity } from "../../src/ingest/feeds/trade-continuity.ts";
import { MarketMessage } from "../../src/market/message.ts";

/** A trade of that number, or an aggregated one of `first` to `last`. */
function trade(first: number, last = first): MarketMessage {
  const message = new MarketMessage();
  message.id = last;
  if (first !== last) [message.firstTradeId, message.lastTradeId] = [first, last];
  return message;
}

test("trades in order are in order, jumps are counted, repeats are told", () => {
  const continuity = new TradeContinuity();
  const verdicts = [7, 8, 11, 11, 9, 12].map((id) => continuity.check(trade(id)));
  expect(verdicts.map(({ missing, isRepeat }) => isRepeat ? "repeat" : missing)).toEqual(
    [0, 0, 2, "repeat", "repeat", 0],
  );
  expect(continuity).toMatchObject({ missingCount: 2, repeatCount: 2 });
});

test("aggregated trades continue by the trades they cover", () => {
  const continuity = new TradeContinuity();
  expect([trade(1, 3), trade(4, 9), trade(12, 13)].map((one) => continuity.check(one).missing)).toEqual([
    0,
    0,
    2,
  ]);
});

test("trades without numbers are always in order", () => {
  const continuity = new TradeContinuity();
  expect([NaN, NaN].map((id) => continuity.check(trade(id)))).toEqual([
    { missing: 0, isRepeat: false },
    { missing: 0, isRepeat: false },
  ]);
});

test("a heartbeat that knows a later trade shows the loss of all up to it", () => {
  const continuity = new TradeContinuity();
  continuity.check(trade(20));
  expect(continuity.checkHeartbeat(20).missing).toBe(0);
  expect(continuity.checkHeartbeat(23).missing).toBe(3);
  expect(continuity.check(trade(24)).missing).toBe(0);
});
