/**
 * A market of eight shares: trades and quotes whose prices wander, and now and then a block trade that moves one.
 */
import { PRIORITY_CRITICAL, PRIORITY_HIGH } from "../../src/event/frame.ts";
import type { Preset } from "./preset.ts";
import { rounded } from "./random.ts";

const SYMBOLS = ["ACME", "GLBX", "INIT", "HOOL", "UMBR", "WAYN", "STRK", "CYBR"];
const TICK = 0.01;
const BLOCK_CHANCE = 0.004;
const LOT = 10;

export const market: Preset = (random) => {
  const shares = SYMBOLS.map((symbol) => ({ symbol, price: random.between(2_000, 40_000) / 100, trade: 0 }));
  const first = shares[0] as (typeof shares)[number];
  return () => {
    const share = random.pick([first, ...shares.slice(1)]);
    const { symbol } = share;
    // A walk of whole ticks that does not reach 0.
    const step = Math.round(share.price * 0.0004 * random.bell() / TICK) * TICK;
    share.price = Math.max(1, rounded(share.price + step, 2));
    if (random.chance(0.6)) {
      const spread = rounded(TICK * random.between(1, 4), 2);
      return {
        topic: `market.${symbol}.quote`,
        priority: PRIORITY_HIGH,
        key: symbol,
        payload: {
          symbol,
          bid: rounded(share.price - spread / 2, 2),
          ask: rounded(share.price + spread / 2, 2),
          bid_size: LOT * random.between(1, 50),
          ask_size: LOT * random.between(1, 50),
        },
      };
    }
    const side = random.pick(["buy", "sell"]);
    const isBlock = random.chance(BLOCK_CHANCE);
    if (isBlock) share.price = rounded(share.price * (side === "buy" ? 1.015 : 0.985), 2);
    return {
      topic: `market.${symbol}.trade`,
      priority: isBlock ? PRIORITY_CRITICAL : PRIORITY_HIGH,
      key: symbol,
      payload: {
        symbol,
        trade: ++share.trade,
        price: share.price,
        quantity: LOT * (isBlock ? random.between(2_000, 5_000) : random.between(1, 30)),
        side,
      },
    };
  };
};
