/** A normalised message as plain text values, for comparing decoders. */
import { formatScaled } from "../../src/book/decimal.ts";
import type { LevelColumns } from "../../src/book/levels.ts";
import type { MarketMessage } from "../../src/market/message.ts";

/** Only what is there: absent numbers and empty texts are left out. */
export function describeMessage(message: MarketMessage): Record<string, unknown> {
  const { priceScale, qtyScale } = message.instrument;
  const price = (mantissa: number) => Number.isNaN(mantissa) ? undefined : formatScaled(mantissa, priceScale);
  const qty = (mantissa: number) => Number.isNaN(mantissa) ? undefined : formatScaled(mantissa, qtyScale);
  const number = (value: number) => Number.isNaN(value) ? undefined : value;
  const levels = (columns: LevelColumns) =>
    columns.count === 0 ? undefined : Array.from({ length: columns.count }, (_, at) =>
      [
        price(columns.price[at] ?? NaN),
        columns.wideQty?.get(at) ?? qty(columns.qty[at] ?? NaN),
        columns.digits[at],
      ].join(" "));
  const all = {
    kind: message.kind,
    symbol: message.instrument.symbol || undefined,
    time: message.eventTimeKnown ? message.eventTimeUs : undefined,
    price: price(message.price),
    qty: qty(message.qty),
    side: message.side || undefined,
    id: number(message.id) ?? (message.idText || undefined),
    trades: number(message.firstTradeId) && [message.firstTradeId, message.lastTradeId],
    historic: message.historic || undefined,
    bid: price(message.bidPrice) && [price(message.bidPrice), qty(message.bidQty)],
    ask: price(message.askPrice) && [price(message.askPrice), qty(message.askQty)],
    bids: levels(message.bids),
    asks: levels(message.asks),
    first: number(message.firstId),
    last: number(message.lastId),
    previous: number(message.previousId),
    checksum: number(message.checksum),
    text: message.text || undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
