/** Simulated venue → WebSocket → feed → lanes → log → HTTP, through the executable: the numbers must be the expected ones. */
import { afterEach, expect, test } from "bun:test";
import type { SimulatedLine, Simulator } from "../../src/ingest/feeds/simulator.ts";
import { HAS_FULL_SETS, readExpected, readRecording, readText } from "../feeds/recordings.ts";
import { expectSame } from "../feeds/replay.ts";
import { EscServer } from "../support/esc.ts";
import { queryEvents } from "./read-log.ts";
import { type Figures, ToldFigures, untilHolds } from "./told-figures.ts";
import { asBybit, asCoinbaseAdvanced, asKrakenV2 } from "./translated.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";
import { testIf } from "../support/drill.ts";

const servers: EscServer[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const simulator of simulators.splice(0)) await simulator.stop();
});

interface SmallSet extends RecordedVenue {
  /** Name of the expected file. */
  readonly set: string;
  readonly topic: string;
  /** The series is keyed by the venue's update id. */
  readonly byId: boolean;
  readonly lines?: () => Promise<SimulatedLine[]>;
  /** The venue's name of an expected symbol. */
  readonly venueSymbol?: (symbol: string) => string;
}

const SMALL_SETS: readonly SmallSet[] = [
  {
    set: "binance-spot-2021",
    dialect: "binance",
    venue: "binance",
    topic: "binance",
    files: ["binance-spot-2021/ws.gz"],
    rest: "binance-spot-2021/rest.jsonl.gz",
    byId: true,
  },
  {
    set: "coinbase-exchange",
    dialect: "coinbase",
    venue: "coinbase",
    topic: "coinbase",
    files: ["coinbase-exchange/ws.gz"],
    byId: false,
  },
  {
    set: "coinbase-exchange",
    dialect: "coinbase-advanced",
    venue: "coinbase-advanced",
    topic: "coinbase",
    files: [],
    lines: asCoinbaseAdvanced,
    byId: false,
  },
  {
    set: "kraken-v1",
    dialect: "kraken-v1",
    venue: "kraken-v1",
    topic: "kraken",
    files: ["kraken-v1/book.gz", "kraken-v1/trade.gz", "kraken-v1/ticker.gz"],
    byId: false,
  },
  {
    set: "kraken-v1",
    dialect: "kraken-v2",
    venue: "kraken-v2",
    topic: "kraken",
    files: [],
    lines: asKrakenV2,
    byId: false,
  },
  { set: "okx-v5", dialect: "okx", venue: "okx", topic: "okx", files: ["okx-v5/ws.gz"], byId: false },
  {
    set: "okx-v5",
    dialect: "bybit",
    venue: "bybit",
    topic: "bybit",
    files: [],
    lines: asBybit,
    venueSymbol: (symbol) => symbol.replace("-", ""),
    byId: false,
  },
  {
    set: "bitstamp",
    dialect: "bitstamp",
    venue: "mapping",
    topic: "bitstamp",
    files: ["bitstamp/ws.gz"],
    rest: "bitstamp/rest.jsonl.gz",
    byId: false,
  },
];

async function start(feeds: readonly object[]): Promise<EscServer> {
  const server = await EscServer.start({ config: { feeds } });
  servers.push(server);
  return server;
}

/** Waits until the newest book of the API is the simulator's, and the flow has told its last trade. */
async function untilCaughtUp(told: ToldFigures, simulator: Simulator, venueSymbol: string, trades: number) {
  const truth = simulator.book(venueSymbol);
  await untilHolds(`book and trades of ${venueSymbol}`, async () => {
    const book = await told.now("books");
    const isThere = Number.isNaN(truth?.lastId)
      ? book?.["time_us"] === truth?.book.eventTimeUs
      : book?.["last_id"] === truth?.lastId;
    if (book?.["state"] !== "live" || !isThere) return false;
    return trades === 0 || (await told.now("flow"))?.["trades"] === trades;
  });
}

type ExpectedSet = Record<string, Figures>;

const IS_LONG = process.env["ESC_DRILL"] !== undefined;
/** The longest sets, of formats whose parts other sets cover, are left to drills. */
const LEFT_TO_DRILLS = ["coinbase-advanced", "binance-usdm", "binance"];
const isLeftOut = (set: { files: readonly string[]; venue: string; rest?: string }) =>
  !IS_LONG && set.rest === undefined && LEFT_TO_DRILLS.includes(set.venue);

for (const recorded of SMALL_SETS) {
  testIf(!isLeftOut(recorded))(
    `${recorded.venue}: every number of ${recorded.set}, from the log and from the API`,
    async () => {
      const expected = (await readExpected(recorded.set)) as ExpectedSet;
      const venueSymbol = recorded.venueSymbol ?? ((symbol: string) => symbol);
      const symbols = Object.keys(expected);
      const all = await (recorded.lines?.() ?? recordedLines(recorded));
      const lines = all.filter(({ snapshotOf }) => snapshotOf === undefined || symbols.includes(snapshotOf));
      const simulator = simulate(recorded, lines);
      simulators.push(simulator);
      const server = await start([feedTo(simulator, recorded, symbols.map(venueSymbol), { flow: "100ms" })]);
      await simulator.finished;
      for (const symbol of symbols) {
        const own = expected[symbol] ?? {};
        const summary = own["summary"] as Figures | undefined;
        const trades = Number(summary?.["trades"] ?? 0);
        const first = new ToldFigures(server, recorded.topic, venueSymbol(symbol));
        await untilCaughtUp(first, simulator, venueSymbol(symbol), trades);
        const book = await first.now("books") ?? {};
        const told = new ToldFigures(server, recorded.topic, String(book["symbol"]));
        // Events are in the log a moment after they were told.
        await untilHolds(
          `updates of ${symbol}`,
          async () => (await told.book(recorded.byId)).book.updates === book["updates"],
        );
        const { book: series, book_ticker_check, snapshot_last_update_id } = await told.book(recorded.byId);
        expectSame({ symbol, book: series, final: await told.final() }, {
          symbol,
          book: own["book"],
          final: own["final"],
        });
        if (own["snapshot_last_update_id"] !== undefined) {
          const { snapshot_last_update_id: id, dropped, book_ticker_check: check } = own;
          expect([snapshot_last_update_id, book["ignored"]]).toEqual([id, dropped]);
          expect<unknown>(book_ticker_check).toEqual(check);
        } else if (own["dropped"] !== undefined) expect(book["ignored"]).toBe(own["dropped"]);
        const checksums = own["checksums_ok"] ?? own["checksums_ok_including_snapshot"];
        if (checksums !== undefined && recorded.venue !== "bybit") {
          expect([symbol, book["checksums_ok"]]).toEqual([symbol, checksums]);
        }
        if (summary !== undefined) {
          expectSame({ summary: await told.summary(false), bars: await told.bars() }, {
            summary,
            bars: own["bars"],
          });
        } else if (own["trades"] === 0) expect(await told.events("trade")).toEqual([]);
        const kline = own["last_kline"] as Record<string, unknown> | null | undefined;
        if (kline !== undefined) {
          const provider = (await told.events("bar")).findLast(({ closed }) => closed !== undefined);
          expect(provider === undefined ? null : Number(provider["start_us"]) / 1000).toBe(
            kline === null ? null : Number(kline["t"]),
          );
          if (kline !== null) {
            const numbers = ["o", "h", "l", "c", "v"].map((name) => Number(kline[name]));
            expect(["open", "high", "low", "price", "qty"].map((name) => Number(provider?.[name]))).toEqual(
              numbers,
            );
          }
        }
        const bad = (await told.events("integrity")).filter(({ event }) =>
          /gap|error|missing/.test(String(event))
        );
        expect(bad).toEqual([]);
      }
    },
    60_000,
  );
}

test("kraken-v2: the recorded messages of the venue, with the precisions its instrument channel tells", async () => {
  const precisions: Record<string, object> = JSON.parse(await readText("kraken-v2/precisions.json"));
  const pairs = Object.entries(precisions).map(([symbol, precision]) => ({ symbol, ...precision }));
  const recorded = await readRecording("kraken-v2/btcusd_depth10.txt");
  const lines = [
    {
      receivedUs: recorded[0]?.receivedUs ?? 0,
      text: JSON.stringify({ channel: "instrument", type: "snapshot", data: { assets: [], pairs } }),
    },
    ...recorded.map(({ receivedUs, text }) => ({ receivedUs, text })),
  ];
  const venue: RecordedVenue = { dialect: "kraken-v2", venue: "kraken-v2", files: [] };
  const simulator = simulate(venue, lines, { depth: 10 });
  simulators.push(simulator);
  const server = await start([feedTo(simulator, venue, ["BTC/USD"], { depth: 10 })]);
  const told = new ToldFigures(server, "kraken", "BTC-USD");
  await untilHolds("four checksums", async () => (await told.now("books"))?.["checksums_ok"] === 4);
  const expected = (await readExpected("kraken-v2"))["messages"] as { crc32: number }[];
  await untilHolds("updates in the log", async () => (await told.events("book_delta")).length === 3);
  expect((await told.events("book_delta")).map(({ checksum }) => checksum)).toEqual(
    expected.slice(1).map(({ crc32 }) => crc32),
  );
});

test("twelvedata: minute bars of bids of an hour of EUR/USD are the provider's", async () => {
  const ticks: number[][] = JSON.parse(await readText("forex/dukascopy_eurusd_20190204_00h_ticks.json.gz"));
  const minutes: number[][] = JSON.parse(await readText("forex/dukascopy_eurusd_20190204_m1_bid.json.gz"));
  const lines = ticks.map(([ms = 0, ask = 0, bid = 0]) => ({
    receivedUs: ms * 1000,
    text: JSON.stringify({
      event: "price",
      symbol: "EUR/USD",
      type: "Physical Currency",
      timestamp: Math.floor(ms / 1000),
      price: bid,
      bid,
      ask,
    }),
  }));
  const venue: RecordedVenue = { dialect: "twelvedata", venue: "twelvedata", files: [] };
  const simulator = simulate(venue, lines);
  simulators.push(simulator);
  const server = await start([{
    venue: "twelvedata",
    symbols: ["EUR/USD"],
    channels: ["quotes"],
    url: simulator.url,
    api_key: "simulated",
    bars: ["1m"],
    bar_price: "bid",
  }]);
  const told = new ToldFigures(server, "twelvedata", "EUR-USD");
  let bars: Figures[] = [];
  await untilHolds("the last minute", async () => {
    const answer = (await told.now("bars", "?interval_ms=60000"))?.["bars"];
    bars = Array.isArray(answer) ? answer : [];
    return bars.reduce((sum, { trades }) => sum + Number(trades), 0) === ticks.length;
  });
  const rows = bars.map(({ start_us, open, high, low, close }) =>
    [Number(start_us) / 1000, open, high, low, close].map(Number)
  );
  expect(rows).toEqual(minutes.slice(0, 60).map((row) => row.slice(0, 5)));
  await untilHolds("59 minutes in the log", async () => (await told.events("bar")).length >= 59);
});

interface LargeSet extends RecordedVenue {
  readonly set: string;
  readonly symbol: string;
  readonly venueSymbol: string;
  /** A fiftieth of its volume. */
  readonly vpinBucket: string;
}

const LARGE_SETS: readonly LargeSet[] = [
  {
    set: "binance-coinm-btcusd_perp",
    dialect: "binance",
    venue: "binance-coinm",
    files: ["binance-coinm/btcusd_perp_20240808.gz", "binance-coinm/btcusd_perp_20240809.gz"],
    snapshotSymbol: "BTCUSD_PERP",
    symbol: "BTC-USD-PERP",
    venueSymbol: "BTCUSD_PERP",
    vpinBucket: "3643.66",
  },
  {
    set: "binance-usdm-btcusdt",
    dialect: "binance",
    venue: "binance-usdm",
    files: ["binance-usdm/btcusdt_20240808.gz"],
    snapshotSymbol: "BTCUSDT",
    symbol: "BTC-USDT",
    venueSymbol: "BTCUSDT",
    vpinBucket: "48.58732",
  },
  {
    set: "binance-spot-btcusdt",
    dialect: "binance",
    venue: "binance",
    files: ["binance-spot/btcusdt_20240808.gz", "binance-spot/btcusdt_20240809.gz"],
    snapshotSymbol: "BTCUSDT",
    symbol: "BTC-USDT",
    venueSymbol: "BTCUSDT",
    vpinBucket: "8.7583104",
  },
];

for (const set of LARGE_SETS) {
  testIf(!isLeftOut(set))(
    `${set.venue}: its first 3,000 messages join where expected and give the expected tops`,
    async () => {
      const first = ((await readExpected("binance-first3000")) as ExpectedSet)[set.set] ?? {};
      const file = (set.files[0] ?? "").replace(/_\d{8}\.gz/, "_first3000.gz");
      const simulator = simulate(set, await recordedLines({ ...set, files: [file] }));
      simulators.push(simulator);
      const server = await start([feedTo(simulator, set, [set.venueSymbol], { bars: ["1s"] })]);
      await simulator.finished;
      const told = new ToldFigures(server, set.venue, set.symbol);
      await untilCaughtUp(told, simulator, set.venueSymbol, 0);
      const updates = (await told.now("books"))?.["updates"];
      await untilHolds("all updates", async () => (await told.book(true)).book.updates === updates);
      const { book, first_applied, snapshot_last_update_id } = await told.book(true);
      const known = first["checkpoints"] as [number, string][];
      const wanted = known.filter(([count]) => count <= book.updates);
      expect(wanted.length).toBeGreaterThan(2);
      expectSame({
        first_applied,
        snapshot_last_update_id,
        checkpoints: book.checkpoints.filter(([count]) => known.some(([one]) => one === count)),
      }, { ...first, checkpoints: wanted });
    },
    60_000,
  );
}

const IS_DRILL = HAS_FULL_SETS && process.env["ESC_DRILL"] !== undefined;
const NO_DRILL = IS_DRILL ? "" : " (drill; needs ../shared/market-data)";

for (const set of LARGE_SETS) {
  for (const row of ["1", "10"]) {
    testIf(IS_DRILL)(
      `${set.venue}, whole, profile row ${row}: every expected number${NO_DRILL}`,
      async () => {
        const expected = await readExpected(set.set);
        const simulator = simulate(set, await recordedLines(set));
        simulators.push(simulator);
        const server = await start([feedTo(simulator, set, [set.venueSymbol], {
          profile_row: row,
          vpin_bucket: set.vpinBucket,
          // The recordings pass midnight; they are one session.
          session_start: "12h",
          flow: "500ms",
        })]);
        const told = new ToldFigures(server, set.venue, set.symbol);
        const summary = expected["summary"] as Figures;
        await simulator.finished;
        await untilCaughtUp(told, simulator, set.venueSymbol, Number(summary["trades"]));
        // The last bars are ended by the clock.
        const rows = expected["bars"] as Record<string, unknown[][]>;
        await untilHolds("the last second in the log", async () => {
          const seconds = (await told.events("indicator")).filter(({ interval_ms }) => interval_ms === 1000);
          return seconds.length === rows["1s"]?.length;
        });
        await untilHolds(
          "the last five seconds in the log",
          async () =>
            (await told.events("bar")).filter(({ interval_ms, revision }) =>
              interval_ms === 5000 && revision === 0
            )
              .length === rows["5s"]?.length,
        );
        const state = await told.now("books") ?? {};
        const book = await told.book(true);
        const counts = expected["counts"] as Figures;
        const quotes = await told.events("quote");
        const missing = (await told.events("integrity")).filter(({ event }) => event === "trades_missing");
        const { effective_spread_bps_exchange_time, ...arrival } = await told.spreads();
        expectSame(
          {
            counts: {
              ...counts,
              dropped: state["ignored"],
              applied: book.book.updates,
              gaps: state["gaps"],
              book_tickers: quotes.length,
              trade_id_gaps: missing.length,
            },
            snapshot_last_update_id: book.snapshot_last_update_id,
            first_applied: book.first_applied,
            last_update_id: state["last_id"],
            book: book.book,
            final: await told.final(),
            book_ticker_check: book.book_ticker_check,
            ...arrival,
            ...(expected["effective_spread_bps_exchange_time"] === undefined
              ? {}
              : { effective_spread_bps_exchange_time }),
            summary: await told.summary(true),
            bars: await told.bars(),
            profiles: [await told.profile()],
            indicators_1s: await told.indicators(),
            patterns_5s: await told.candles(),
          },
          omit({
            ...expected,
            profiles: (expected["profiles"] as Figures[]).filter((profile) => profile["row"] === row),
          }, ["if_depth_message_1000_is_lost", "bar_columns"]),
        );
      },
      180_000,
    );
  }

  testIf(IS_DRILL)(
    `${set.venue}: depth message 1000 is lost, and told at the next one${NO_DRILL}`,
    async () => {
      const expected = await readExpected(set.set);
      const { lost, gap_must_be_reported_at: next } = expected["if_depth_message_1000_is_lost"] as Record<
        string,
        { U: number; u: number }
      >;
      const lines = await recordedLines(set);
      const at = lines.findIndex(({ text }) =>
        text.includes("depthUpdate") && text.includes(`"u":${lost?.u}`)
      );
      const part = lines.slice(0, at + 3000);
      const simulator = simulate(set, part, { faults: [{ at, kind: "lose" }] });
      simulators.push(simulator);
      const server = await start([feedTo(simulator, set, [set.venueSymbol], { bars: ["1m"] })]);
      await simulator.finished;
      const told = new ToldFigures(server, set.venue, set.symbol);
      await untilCaughtUp(told, simulator, set.venueSymbol, 0);
      const gaps = (await told.events("integrity")).filter(({ event }) => event === "gap_detected");
      expect(gaps.map(({ received }) => received)).toEqual([next?.U]);
      expect((await told.book(true)).book.crossed_states).toBe(0);
      const names = `market.${set.venue}.${set.symbol}.book_delta`;
      const ids = (await queryEvents(server, names)).map(({ payload }) => JSON.parse(payload).last_id);
      expect(ids).not.toContain(lost?.u);
    },
    60_000,
  );
}

function omit(from: Figures, names: readonly string[]): Figures {
  return Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)));
}
