/**
 * Recordings of one venue in the words of another, for formats nobody here has recorded: the same books and trades, so
 * the same numbers are expected.
 */
import { formatFixed, formatScaled } from "../../src/book/decimal.ts";
import type { LevelColumns } from "../../src/book/levels.ts";
import { CoinbaseDecoder } from "../../src/ingest/feeds/coinbase.ts";
import type { Decoder, MessageSink } from "../../src/ingest/feeds/decoder.ts";
import { KrakenV1Decoder } from "../../src/ingest/feeds/kraken-v1.ts";
import { OkxDecoder } from "../../src/ingest/feeds/okx.ts";
import type { SimulatedLine } from "../../src/ingest/feeds/simulator.ts";
import type { Instrument } from "../../src/market/instrument.ts";
import type { MarketMessage } from "../../src/market/message.ts";
import { readRecording } from "../feeds/recordings.ts";

type Level = [price: string, qty: string];

/** Every message of the files, through `write`, as lines of the other venue. */
async function translate(
  files: readonly string[],
  makeDecoder: (sink: MessageSink) => Decoder,
  write: (message: MarketMessage) => string | undefined,
): Promise<SimulatedLine[]> {
  const lines: SimulatedLine[] = [];
  const decoder = makeDecoder((message) => {
    const text = message.instrument.venueSymbol === "" ? undefined : write(message);
    if (text !== undefined) lines.push({ receivedUs: message.receivedUs, text });
  });
  const recorded = (await Promise.all(files.map((file) => readRecording(file)))).flat();
  recorded.sort((a, b) => Number(a.receivedNs - b.receivedNs));
  for (const { text, receivedUs } of recorded) decoder.decode(text, receivedUs);
  return lines;
}

/** OKX's BTC-USDT as Bybit's BTCUSDT. */
export function asBybit(): Promise<SimulatedLine[]> {
  let u = 1000;
  return translate(["okx-v5/ws.gz"], (sink) => new OkxDecoder(sink), (message) => {
    const s = message.instrument.venueSymbol.replace("-", "");
    const ts = Math.floor(message.eventTimeUs / 1000);
    if (message.kind === "trade") {
      const data = [{
        T: ts,
        s,
        S: message.side > 0 ? "Buy" : "Sell",
        v: qtyText(message.qty, message.instrument),
        p: priceText(message.price, message.instrument),
        i: String(message.id),
        BT: false,
      }];
      return JSON.stringify({ topic: `publicTrade.${s}`, type: "snapshot", ts, data });
    }
    if (message.kind !== "book_snapshot" && message.kind !== "book_delta") return undefined;
    const { bids: b, asks: a } = sides(message);
    const type = message.kind === "book_snapshot" ? "snapshot" : "delta";
    return JSON.stringify({
      topic: `orderbook.50.${s}`,
      type,
      ts,
      data: { s, b, a, u: ++u, seq: u },
      cts: ts,
    });
  });
}

/** Coinbase Exchange's products as Advanced Trade sends them. */
export function asCoinbaseAdvanced(): Promise<SimulatedLine[]> {
  let sequence = 0;
  return translate(["coinbase-exchange/ws.gz"], (sink) => new CoinbaseDecoder(sink), (message) => {
    const { instrument } = message;
    const product_id = instrument.venueSymbol;
    const timestamp = isoOf(message.eventTimeUs);
    const wrap = (channel: string, events: object[]) =>
      JSON.stringify({ channel, timestamp, sequence_num: sequence++, events });
    switch (message.kind) {
      case "trade":
        return wrap("market_trades", [{
          type: message.historic ? "snapshot" : "update",
          trades: [{
            trade_id: String(message.id),
            product_id,
            price: priceText(message.price, instrument),
            size: qtyText(message.qty, instrument),
            side: message.side > 0 ? "BUY" : "SELL",
            time: timestamp,
          }],
        }]);
      case "book_snapshot":
      case "book_delta": {
        const { bids, asks } = sides(message);
        const updates = ([["bid", bids], ["offer", asks]] as const).flatMap(([side, levels]) =>
          levels.map(([price_level, new_quantity]) => ({
            side,
            event_time: timestamp,
            price_level,
            new_quantity,
          }))
        );
        const type = message.kind === "book_snapshot" ? "snapshot" : "update";
        return wrap("l2_data", [{ type, product_id, updates }]);
      }
      default:
        return undefined;
    }
  });
}

/** Kraken's pairs as its second protocol sends them: numbers, and checksums over the instrument's precision. */
export async function asKrakenV2(): Promise<SimulatedLine[]> {
  const precisions = new Map<string, { price_precision: number; qty_precision: number }>();
  let tradeId = 1;
  const lines = await translate(
    ["kraken-v1/book.gz", "kraken-v1/trade.gz"],
    (sink) => new KrakenV1Decoder(sink),
    (message) => {
      const { instrument } = message;
      const symbol = instrument.venueSymbol;
      const timestamp = isoOf(message.eventTimeUs);
      if (message.kind === "trade") {
        const price = priceText(message.price, instrument);
        const qty = qtyText(message.qty, instrument);
        const side = message.side > 0 ? "buy" : "sell";
        const head = `{"channel":"trade","type":"update","data":[{"symbol":${JSON.stringify(symbol)},`;
        return `${head}"side":"${side}","price":${price},"qty":${qty},"ord_type":"limit",` +
          `"trade_id":${tradeId++},"timestamp":"${timestamp}"}]}`;
      }
      if (message.kind !== "book_snapshot" && message.kind !== "book_delta") return undefined;
      for (const { digits, count } of [message.bids, message.asks]) {
        const first = digits[0] ?? 0;
        if (count > 0) precisions.set(symbol, { price_precision: first >> 8, qty_precision: first & 0xff });
      }
      const { bids, asks } = sides(message);
      const rows = (levels: Level[]) =>
        levels.map(([price, qty]) => `{"price":${price},"qty":${qty}}`).join(",");
      const checksum = Number.isNaN(message.checksum) ? "" : `"checksum":${message.checksum},`;
      const type = message.kind === "book_snapshot" ? "snapshot" : "update";
      return `{"channel":"book","type":"${type}","data":[{"symbol":${JSON.stringify(symbol)},` +
        `"bids":[${rows(bids)}],"asks":[${rows(asks)}],${checksum}"timestamp":"${timestamp}"}]}`;
    },
  );
  const pairs = Array.from(precisions, ([symbol, precision]) => ({ symbol, ...precision }));
  const instruments = JSON.stringify({
    channel: "instrument",
    type: "snapshot",
    data: { assets: [], pairs },
  });
  return [{ receivedUs: lines[0]?.receivedUs ?? 0, text: instruments }, ...lines];
}

/** Levels as texts without zeros at their ends: what the venue would send as numbers. */
function sides(message: MarketMessage): { bids: Level[]; asks: Level[] } {
  const rows = ({ price, qty, count, wideQty }: LevelColumns): Level[] =>
    Array.from({ length: count }, (_, at) => [
      priceText(price[at] ?? NaN, message.instrument),
      wideQty?.get(at) ?? qtyText(qty[at] ?? NaN, message.instrument),
    ]);
  return { bids: rows(message.bids), asks: rows(message.asks) };
}

function priceText(mantissa: number, { priceScale }: Instrument): string {
  return formatScaled(mantissa, priceScale);
}

function qtyText(mantissa: number, { qtyScale }: Instrument): string {
  return mantissa === 0 ? formatFixed(0, 0, 0) : formatScaled(mantissa, qtyScale);
}

function isoOf(timeUs: number): string {
  const micros = String(Math.floor(timeUs % 1_000_000)).padStart(6, "0");
  return `${new Date(Math.floor(timeUs / 1_000_000) * 1000).toISOString().slice(0, 19)}.${micros}Z`;
}
