/** Quote bars from recorded currency ticks equal the providers' own bars. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { formatScaled, ratioText } from "../../src/book/decimal.ts";
import { type Bar, barRow } from "../../src/market/bar.ts";
import { Bars, type QuotePrice } from "../../src/market/bars.ts";
import { Instrument } from "../../src/market/instrument.ts";
import { MarketMessage } from "../../src/market/message.ts";
import { FULL_SETS_ABSENT, HAS_FULL_SETS, readExpected, readLines, readText } from "../feeds/recordings.ts";

const INTERVAL_MS = { "1s": 1000, "5s": 5000, "15s": 15_000, "30s": 30_000, "1m": 60_000, "5m": 300_000 };

/** Calls back with each tick `ms,bid,ask` as a quote; the message is reused. */
function eachQuote(ticks: readonly string[], take: (quote: MarketMessage) => void): void {
  const message = new MarketMessage();
  const instrument = new Instrument("fxcm", "EURUSD", "EUR-USD");
  for (const tick of ticks) {
    const [ms = "", bid = "", ask = ""] = tick.trim().split(",");
    message.begin("quote", instrument, Number(ms) * 1000);
    message.bidPrice = message.priceOf(bid);
    message.askPrice = message.priceOf(ask);
    take(message);
  }
}

function quoteBars(ticks: readonly string[], which: QuotePrice, intervalMs: number): Bar[] {
  const made: Bar[] = [];
  const bars = new Bars((bar) => made.push(bar), { intervalMs });
  eachQuote(ticks, (quote) => bars.addQuote(quote, which));
  bars.flush();
  expect(made.every((bar) => bar.revision === 0)).toBe(true);
  return made;
}

/** `t,open,high,low,close,ticks`. */
function quoteRow(bar: Bar): (number | string)[] {
  const [t, open, high, low, close] = barRow(bar);
  return [t, open, high, low, close, bar.tradeCount];
}

/** A provider's line `t,bidO,bidH,bidL,bidC,0,askO,askH,askL,askC,0`, numbers without trailing zeros. */
function providerBars(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line.trim().split(",").map((field) => field.replace(/(\.\d*?)0+$/, "$1")).join()
  );
}

function madeBars(ticks: readonly string[], intervalMs: number): string[] {
  const asks = quoteBars(ticks, "ask", intervalMs);
  return quoteBars(ticks, "bid", intervalMs).map((bid, at) => {
    const ask = asks[at];
    return [...quoteRow(bid).slice(0, 5), 0, ...(ask === undefined ? [] : quoteRow(ask).slice(1, 5)), 0]
      .join();
  });
}

function describeSpread(ticks: readonly string[]): Record<string, unknown> {
  let [sum, count, zero, negative, max, min, scale] = [0, 0, 0, 0, -Infinity, Infinity, 0];
  eachQuote(ticks, ({ askPrice, bidPrice, instrument }) => {
    const spread = (askPrice - bidPrice) * 10 ** (5 - instrument.priceScale); // FXCM quotes five decimals
    scale = 5;
    sum += spread;
    count++;
    if (spread === 0) zero++;
    if (spread < 0) negative++;
    max = Math.max(max, spread);
    min = Math.min(min, spread);
  });
  return {
    mean: ratioText(BigInt(sum), BigInt(count), scale),
    max: formatScaled(max, scale),
    min: formatScaled(min, scale),
    zero,
    negative,
  };
}

test("minute bars of bid and ask equal FXCM's over the first three hours", async () => {
  const ticks = await readLines("forex/fxcm_eurusd_20140505_first3h_tick.csv.gz");
  const expected = providerBars(await readLines("forex/fxcm_eurusd_20140505_first3h_minute_bars.csv.gz"));
  expect(madeBars(ticks, 60_000)).toEqual(expected);
  expect(expected.length).toBeGreaterThan(150);
});

for (const day of ["20140505", "20140506", "20140507"]) {
  // One day in the ordinary suite, the others in drills.
  if (day !== "20140505" && process.env["ESC_DRILL"] === undefined) continue;
  test.skipIf(!HAS_FULL_SETS)(
    `FXCM ${day} gives every expected number${FULL_SETS_ABSENT}`,
    async () => {
      const ticks = await readLines(`forex/fxcm_eurusd_${day}_tick.csv.gz`);
      const expected = (await readExpected("forex"))[`fxcm_eurusd_${day}`] as Record<string, unknown>;
      const made: Record<string, unknown> = {};
      for (const [name, intervalMs] of Object.entries(INTERVAL_MS)) {
        const rows = quoteBars(ticks, "mid", intervalMs).map(quoteRow);
        if (name === "1m" || name === "5m") made[name] = rows;
        else {
          const text = rows.map((row) => `${row.join()}\n`).join("");
          made[`${name}_sha256`] = createHash("sha256").update(text).digest("hex");
        }
      }
      expect(made).toEqual(expected.mid_bars as typeof made);
      expect(describeSpread(ticks)).toEqual(expected.spread as Record<string, unknown>);
      expect({
        ticks: ticks.length,
        first: ticks[0]?.trim().split(","),
        last: ticks.at(-1)?.trim().split(","),
      }).toEqual({
        ticks: expected.ticks as number,
        first: expected.first as string[],
        last: expected.last as string[],
      });
      for (const [name, intervalMs] of [["second", 1000], ["minute", 60_000]] as const) {
        const provided = providerBars(await readLines(`forex/fxcm_eurusd_${day}_${name}_bars.csv.gz`));
        expect(madeBars(ticks, intervalMs)).toEqual(provided);
        expect(provided.length).toBe((expected[`provider_${name}_bars`] as { bars: number }).bars);
      }
    },
    20_000,
  );
}

test("minute bars of Dukascopy's bid equal the provider's in prices and volume", async () => {
  const { dukascopy_eurusd_20190204_00h: expected } = (await readExpected("forex-dukascopy")) as Record<
    string,
    { ticks: number; bars: (number | string)[][] }
  >;
  const ticks: number[][] = JSON.parse(await readText("forex/dukascopy_eurusd_20190204_00h_ticks.json.gz"));
  const message = new MarketMessage();
  const instrument = new Instrument("dukascopy", "EURUSD", "EUR-USD");
  const made: Bar[] = [];
  const bars = new Bars((bar) => made.push(bar), { intervalMs: 60_000 });
  for (const [timeMs = 0, , bid, , bidVolume] of ticks) {
    message.begin("trade", instrument, timeMs * 1000);
    message.price = message.priceOf(String(bid));
    message.qty = message.qtyOf(String(bidVolume));
    bars.addTrade(message);
  }
  bars.flush();
  expect(ticks.length).toBe(expected?.ticks ?? 0);
  expect(made.map((bar) => {
    const [t, open, high, low, close, volume] = barRow(bar);
    return [t, open, high, low, close, volume, bar.tradeCount];
  })).toEqual(expected?.bars ?? []);
  const provided: number[][] = JSON.parse(await readText("forex/dukascopy_eurusd_20190204_m1_bid.json.gz"));
  for (const [at, bar] of made.entries()) {
    const [t, open, high, low, close, volume] = provided[at] ?? [];
    expect([bar.startMs, bar.openValue, bar.highValue, bar.lowValue, bar.closeValue]).toEqual(
      [t, open, high, low, close] as number[],
    );
    expect(Math.abs(bar.volumeValue - (volume ?? NaN))).toBeLessThan(0.01);
  }
});
