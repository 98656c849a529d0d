/** Venues a simulator can be, by name. */
import { binance } from "./dialect-binance.ts";
import { bitstamp } from "./dialect-bitstamp.ts";
import { bybit } from "./dialect-bybit.ts";
import { coinbaseAdvanced } from "./dialect-coinbase-advanced.ts";
import { coinbase } from "./dialect-coinbase.ts";
import { krakenV1 } from "./dialect-kraken-v1.ts";
import { krakenV2 } from "./dialect-kraken-v2.ts";
import { okx } from "./dialect-okx.ts";
import { twelveData } from "./dialect-twelve-data.ts";

export const DIALECTS = {
  binance,
  bitstamp,
  bybit,
  coinbase,
  "coinbase-advanced": coinbaseAdvanced,
  "kraken-v1": krakenV1,
  "kraken-v2": krakenV2,
  okx,
  twelvedata: twelveData,
} as const;
export type DialectName = keyof typeof DIALECTS;

/** How a venue of the configuration speaks. */
export function dialectOf(venue: string): DialectName | undefined {
  if (venue.startsWith("binance")) return "binance";
  if (venue.startsWith("bybit")) return "bybit";
  return venue in DIALECTS ? venue as DialectName : undefined;
}
