/** Binance's recordings through decoder, book and analytics: every number of the expected files. */
import { expect, test } from "bun:test";
import { BinanceDecoder } from "../../src/ingest/feeds/binance.ts";
import { SEQUENCE_RULES, type SequenceRuleName } from "../../src/ingest/feeds/sequence.ts";
import {
  FULL_SETS_ABSENT,
  HAS_FULL_SETS,
  readExpected,
  readRecording,
  type RecordedLine,
} from "./recordings.ts";
import { expectSame, type InstrumentReplay, Replay } from "./replay.ts";

const SETS: { name: string; symbol: string; rule: SequenceRuleName; files: string[] }[] = [
  {
    name: "binance-spot-btcusdt",
    symbol: "BTCUSDT",
    rule: "range",
    files: ["binance-spot/btcusdt_20240808.gz", "binance-spot/btcusdt_20240809.gz"],
  },
  {
    name: "binance-usdm-btcusdt",
    symbol: "BTCUSDT",
    rule: "previous",
    files: ["binance-usdm/btcusdt_20240808.gz"],
  },
  {
    name: "binance-coinm-btcusd_perp",
    symbol: "BTCUSD_PERP",
    rule: "previous",
    files: ["binance-coinm/btcusd_perp_20240808.gz", "binance-coinm/btcusd_perp_20240809.gz"],
  },
];

type BinanceSet = (typeof SETS)[number];

/** Replays lines; those `isLost` says are left out. */
function replay(
  set: BinanceSet,
  lines: readonly RecordedLine[],
  isLost = (_depthIndex: number) => false,
): Replay {
  const result = new Replay(
    (sink) => new BinanceDecoder(sink, { venue: "binance" }),
    { rule: SEQUENCE_RULES[set.rule] },
    true,
  );
  let depthCount = 0;
  for (const { text, receivedUs } of lines) {
    if (text.startsWith('{"lastUpdateId"')) {
      result.snapshot(text, set.symbol, receivedUs);
      result.messageCount++;
    } else if (!text.includes('"depthUpdate"') || !isLost(++depthCount)) {
      result.line(text, receivedUs);
    }
  }
  result.flush();
  return result;
}

function describeSpread(spread: { tradeCount: number; mean: number; volumeWeighted: number }) {
  return { trades: spread.tradeCount, mean: spread.mean, volume_weighted: spread.volumeWeighted };
}

function describeAll(set: BinanceSet, result: Replay, one: InstrumentReplay): Record<string, unknown> {
  const { feed, kinds, spreads } = one;
  return {
    counts: {
      depth_messages: kinds.book_delta,
      buffered: one.bufferedCount,
      dropped: feed.ignoredCount,
      applied: feed.appliedCount,
      gaps: feed.gapCount,
      book_tickers: kinds.quote,
      messages: result.messageCount,
      trade_id_gaps: one.tradeGapCount,
    },
    snapshot_last_update_id: one.snapshotId,
    first_applied: one.firstApplied,
    last_update_id: feed.lastId,
    book: one.book(),
    final: one.final(),
    book_ticker_check: { same_update_id: one.tickerSameId, equal: one.tickerEqual },
    effective_spread_bps_arrival_order: describeSpread(spreads.arrival),
    ...(set.name.includes("spot") ? {} : {
      effective_spread_bps_exchange_time: {
        ...describeSpread(spreads.exchange),
        quotes_time_ordered: spreads.quotesTimeOrdered,
      },
    }),
    summary: one.summary(),
    bars: one.barRows(),
    profiles: [one.profile("1"), one.profile("10")],
    indicators_1s: one.indicators(),
    patterns_5s: one.candles(),
  };
}

/** The first lines of each recording, with the part of the expected results that falls into them. */
for (const set of SETS) {
  test(`${set.name}: the first 3,000 messages agree with the tickers and the expected checkpoints`, async () => {
    const file = set.files[0]?.replace("_20240808.gz", "_first3000.gz") ?? "";
    const result = replay(set, await readRecording(file));
    const one = result.named(set.symbol);
    const all = await readExpected("binance-first3000");
    const expected = all[set.name] as { checkpoints: [number, string][] };
    expect(one.faults).toEqual([]);
    expect(one.tickerSameId).toBeGreaterThan(0);
    expect(one.tickerEqual).toBe(one.tickerSameId);
    expectSame({
      snapshot_last_update_id: one.snapshotId,
      first_applied: one.firstApplied,
      checkpoints: one.series.checkpoints.slice(0, 4),
    }, { ...expected, checkpoints: expected.checkpoints.filter(([line]) => line <= one.series.lineCount) });
  });
}

for (const set of SETS) {
  test.skipIf(!HAS_FULL_SETS)(`${set.name} gives every expected number${FULL_SETS_ABSENT}`, async () => {
    const lines = await readRecording(...set.files);
    const { if_depth_message_1000_is_lost: _lost, bar_columns: _columns, ...expected } = await readExpected(
      set.name,
    );
    const result = replay(set, lines);
    const one = result.named(set.symbol);
    expect(one.faults).toEqual([]);
    expectSame(describeAll(set, result, one), expected);
  }, 30_000);

  test.skipIf(!HAS_FULL_SETS)(
    `${set.name} reports a lost update at the very next one${FULL_SETS_ABSENT}`,
    async () => {
      const lines = await readRecording(...set.files);
      const expected = await readExpected(set.name);
      const { lost, gap_must_be_reported_at: next } = expected.if_depth_message_1000_is_lost as Record<
        "lost" | "gap_must_be_reported_at",
        { U: number; u: number }
      >;
      const kept = lines.filter(({ text }) => !text.includes(`"u":${lost.u},`));
      const one = replay(set, kept).named(set.symbol);
      expect(one.faults.map(({ fault, received }) => ({ fault, received }))[0]).toEqual({
        fault: "gap_detected",
        received: next.U,
      });
      expect(one.feed.lastId).toBeNaN();
      expect(one.feed.state).toBe("syncing");
      expect(one.feed.book.bids.count).toBe(0);
    },
    30_000,
  );
}
