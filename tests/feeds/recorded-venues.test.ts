/** The other venues' recordings through decoder, book and analytics: every number of the expected files. */
import { expect, test } from "bun:test";
import { krakenChecksumText } from "../../src/book/checksum.ts";
import { BinanceDecoder } from "../../src/ingest/feeds/binance.ts";
import { CoinbaseDecoder } from "../../src/ingest/feeds/coinbase.ts";
import { KrakenV1Decoder } from "../../src/ingest/feeds/kraken-v1.ts";
import { type KrakenPrecision, KrakenV2Decoder } from "../../src/ingest/feeds/kraken-v2.ts";
import { mappedBookOptions, MappingDecoder } from "../../src/ingest/feeds/mapping.ts";
import { parseMapping } from "../../src/ingest/feeds/mapping-spec.ts";
import bitstampYaml from "../../src/ingest/feeds/mappings/bitstamp.yaml";
import { OkxDecoder } from "../../src/ingest/feeds/okx.ts";
import { SEQUENCE_RULES } from "../../src/ingest/feeds/sequence.ts";
import { BAR_COLUMNS } from "../../src/market/bar.ts";
import { readExpected, readRecording, readRest, readText, type RecordedLine } from "./recordings.ts";
import { expectSame, type InstrumentReplay, Replay } from "./replay.ts";

type Expected = Record<string, Record<string, unknown>>;

/** What the expected files hold of an instrument's trades: a count of 0, or everything. */
function describeTrades(one: InstrumentReplay): Record<string, unknown> {
  if (one.trades().length === 0) return { trades: 0 };
  const {
    realised_vol_1s: _r,
    kyle_lambda_1s: _k,
    amihud_1s: _a,
    vpin_50: _v,
    vpin_buckets: _n,
    ...summary
  } = one
    .summary();
  return { summary, bar_columns: BAR_COLUMNS.join(","), bars: one.barRows(), profiles: [] };
}

test("Binance's combined stream of 2021 gives every expected number of its four books", async () => {
  const expected = (await readExpected("binance-spot-2021")) as Expected;
  const result = new Replay(
    (sink) => new BinanceDecoder(sink, { venue: "binance" }),
    { rule: SEQUENCE_RULES.range },
    true,
  );
  const rest = await readRest("binance-spot-2021/rest.jsonl.gz");
  for (const { text, receivedUs } of await readRecording("binance-spot-2021/ws.gz")) {
    while (rest.length > 0 && (rest[0]?.receivedUs ?? 0) <= receivedUs) {
      takeRest(result, rest.shift(), /symbol=(\w+)/);
    }
    result.line(text, receivedUs);
  }
  result.flush();
  for (const [symbol, one] of result.instruments) {
    const { kline_check, last_kline, ...rest } = expected[symbol] ?? {};
    expect(one.faults).toEqual([]);
    expectSame({
      snapshot_last_update_id: one.snapshotId,
      dropped: one.feed.ignoredCount,
      gaps: one.feed.gapCount,
      last_update_id: one.feed.lastId,
      book: one.book(),
      final: one.final(),
      book_ticker_check: { same_update_id: one.tickerSameId, equal: one.tickerEqual },
      ...describeTrades(one),
    }, rest);
    expectSame(describeKlines(one), { kline_check, last: describeProviderKline(last_kline) });
  }
  expect([...result.instruments.keys()].sort()).toEqual(Object.keys(expected));
});

function takeRest(
  result: Replay,
  answer: { url: string; body: string; receivedUs: number } | undefined,
  name: RegExp,
) {
  const symbol = name.exec(answer?.url ?? "")?.[1];
  if (answer !== undefined && symbol !== undefined) result.snapshot(answer.body, symbol, answer.receivedUs);
}

/** The provider's candles whose trades we have all seen equal the bars we made. */
function describeKlines(one: InstrumentReplay) {
  const seen = one.aggregateTrades;
  const newest = new Map<number, (typeof one.klines)[number]>();
  for (const kline of one.klines) newest.set(kline.start, kline);
  let covered = 0;
  let equal = 0;
  for (const kline of newest.values()) {
    const isCovered = seen.some(({ first }) => first <= kline.first) &&
      seen.some(({ last }) => last >= kline.last);
    if (!isCovered) continue;
    covered++;
    const bar = one.barRows()["1m"] as string[][];
    if (bar.some((row) => Number(row[0]) === kline.start && row.slice(1, 6).join() === kline.row.join())) {
      equal++;
    }
  }
  const last = one.klines.at(-1);
  return {
    kline_check: { klines_fully_covered: covered, equal },
    last: last === undefined ? null : { t: last.start, f: last.first, L: last.last },
  };
}

function describeProviderKline(kline: unknown) {
  if (kline === null) return null;
  const { t, f, L } = kline as { t: number; f: number; L: number };
  return { t, f, L };
}

test("Coinbase Exchange gives every expected number of its six products", async () => {
  const expected = (await readExpected("coinbase-exchange")) as Expected;
  const lines = await readRecording("coinbase-exchange/ws.gz");
  const result = new Replay((sink) => new CoinbaseDecoder(sink), { rule: SEQUENCE_RULES.none });
  const types: Record<string, Record<string, number>> = {};
  for (const { text, receivedUs } of lines) {
    result.line(text, receivedUs);
    const { type, product_id } = JSON.parse(text) as { type: string; product_id?: string };
    if (product_id === undefined) continue;
    const counts = (types[product_id] ??= {});
    counts[type] = (counts[type] ?? 0) + 1;
  }
  result.flush();
  for (const [symbol, one] of result.instruments) {
    expect(one.faults).toEqual([]);
    expect(one.tradeGapCount).toBe(0);
    expectSame({
      message_types: types[symbol],
      match_sequence_increasing: one.sequences.every((id, at) =>
        at === 0 || id > (one.sequences[at - 1] ?? 0)
      ),
      book: one.book(),
      final: one.final(),
      ...describeTrades(one),
    }, expected[symbol]);
  }
  expect([...result.instruments.keys()].sort()).toEqual(Object.keys(expected));
});

async function krakenLines(): Promise<RecordedLine[]> {
  return [
    ...await readRecording("kraken-v1/book.gz"),
    ...await readRecording("kraken-v1/trade.gz"),
    ...await readRecording("kraken-v1/ticker.gz"),
  ];
}

const KRAKEN_BOOK = { rule: SEQUENCE_RULES.none, checksum: "kraken", depth: 1000 } as const;

test("Kraken v1 gives every expected number of its five pairs, and every checksum matches", async () => {
  const expected = (await readExpected("kraken-v1")) as Expected;
  const result = new Replay((sink) => new KrakenV1Decoder(sink), KRAKEN_BOOK);
  for (const { text, receivedUs } of await krakenLines()) result.line(text, receivedUs);
  result.flush();
  for (const [symbol, one] of result.instruments) {
    const { if_one_update_is_lost: _lost, ...rest } = expected[symbol] ?? {};
    expectSame({
      checksums_ok: one.feed.checksumOkCount,
      checksums_bad: one.faults.length,
      book: one.book(),
      final: one.final(),
      ...describeTrades(one),
    }, rest);
  }
  expect([...result.instruments.keys()].sort()).toEqual(Object.keys(expected));
});

test(
  "Kraken v1 surfaces a lost update where the venue's checksum can show it, and nowhere else",
  async () => {
    const expected = (await readExpected("kraken-v1")) as Expected;
    const lines = await readRecording("kraken-v1/book.gz");
    for (const [symbol, { if_one_update_is_lost }] of Object.entries(expected)) {
      for (
        const [lost, surfacesAt] of Object.entries(if_one_update_is_lost as Record<string, number | null>)
      ) {
        const result = new Replay((sink) => new KrakenV1Decoder(sink), KRAKEN_BOOK);
        let updateCount = 0;
        let surfacedAt: number | null = null;
        for (const { text, receivedUs } of lines) {
          if (!text.endsWith(`"${symbol}"]`)) continue;
          const isUpdate = !text.includes('"as"');
          if (isUpdate && ++updateCount === Number(lost)) continue;
          result.line(text, receivedUs);
          const one = result.named(symbol);
          if (surfacedAt === null && one.faults.length > 0) surfacedAt = updateCount;
        }
        expect({ symbol, lost, surfacedAt }).toEqual({ symbol, lost, surfacedAt: surfacesAt });
      }
    }
  },
  20_000,
);

test("Kraken v2 checksums over the instrument's precision, snapshot included", async () => {
  const expected = await readExpected("kraken-v2");
  const precisions: Record<string, KrakenPrecision> = JSON.parse(await readText("kraken-v2/precisions.json"));
  const result = new Replay(
    (sink) => new KrakenV2Decoder(sink, { precisions }),
    { rule: SEQUENCE_RULES.none, checksum: "kraken", depth: 10 },
  );
  const texts: string[] = [];
  for (const { text, receivedUs } of await readRecording("kraken-v2/btcusd_depth10.txt")) {
    result.line(text, receivedUs);
    texts.push(krakenChecksumText(result.named("BTC/USD").feed.book));
  }
  const messages = expected.messages as { string: string }[];
  expect(texts).toEqual(messages.map(({ string }) => string));
  const one = result.named("BTC/USD");
  expect(one.faults).toEqual([]);
  expect(one.feed.checksumOkCount).toBe(4);
  expectSame(one.final(), expected.final);
});

test("OKX gives every expected number, and every checksum matches", async () => {
  const expected = (await readExpected("okx-v5")) as Expected;
  const result = new Replay((sink) => new OkxDecoder(sink), {
    rule: SEQUENCE_RULES.chained,
    checksum: "okx",
  });
  for (const { text, receivedUs } of await readRecording("okx-v5/ws.gz")) result.line(text, receivedUs);
  result.flush();
  const one = result.named("BTC-USDT");
  expectSame({
    checksums_ok_including_snapshot: one.feed.checksumOkCount,
    checksums_bad: one.faults.length,
    book: one.book(),
    final: one.final(),
    ...describeTrades(one),
  }, expected["BTC-USDT"]);
});

test("Bitstamp gives every expected number by its mapping alone", async () => {
  const expected = (await readExpected("bitstamp")) as Expected;
  const mapping = parseMapping(bitstampYaml);
  const result = new Replay(
    (sink) => new MappingDecoder(sink, "bitstamp", mapping),
    mappedBookOptions(mapping),
  );
  const rest = await readRest("bitstamp/rest.jsonl.gz");
  for (const { text, receivedUs } of await readRecording("bitstamp/ws.gz")) {
    while (rest.length > 0 && (rest[0]?.receivedUs ?? 0) <= receivedUs) {
      takeRest(result, rest.shift(), /book\/(\w+)$/);
    }
    result.line(text, receivedUs);
  }
  result.flush();
  for (const [symbol, wanted] of Object.entries(expected)) {
    const one = result.named(symbol);
    expect(one.faults).toEqual([]);
    expectSame({
      dropped: one.feed.ignoredCount,
      book: one.book(),
      final: one.final(),
      ...describeTrades(one),
    }, wanted);
  }
});
