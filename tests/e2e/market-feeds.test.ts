/** Simulated venue → WebSocket → feed → lanes → log → HTTP, through the executable: the numbers must be the expected ones. */
import { afterEach, expect, test } from "bun:test";
import type { Simulator } from "../../src/ingest/feeds/simulator.ts";
import { FULL_SETS_ABSENT, HAS_FULL_SETS, readExpected } from "../feeds/recordings.ts";
import { EscServer } from "../support/esc.ts";
import { FollowedBook } from "./followed-book.ts";
import { queryEvents } from "./read-log.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";

const servers: EscServer[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const simulator of simulators.splice(0)) await simulator.stop();
});

type ExpectedBook = {
  readonly book: { readonly updates: number; readonly tob_series_sha256: string };
  readonly final: Readonly<Record<string, unknown>> & {
    readonly levels_10: Readonly<Record<string, unknown>>;
  };
  readonly bars?: Readonly<Record<string, readonly (readonly unknown[])[]>>;
};

async function start(feeds: readonly object[]): Promise<EscServer> {
  const server = await EscServer.start({ config: { feeds } });
  servers.push(server);
  return server;
}

/** The book as the API shows it, asked until its newest update is the simulator's. */
async function bookWhenAt(
  server: EscServer,
  venue: string,
  symbol: string,
  simulator: Simulator,
  venueSymbol: string,
) {
  const path = `/api/v1/market/books/${venue}/${encodeURIComponent(symbol)}`;
  const truth = simulator.book(venueSymbol);
  for (let left = 1500; left > 0; left--) {
    const response = await fetch(server.url(path));
    if (response.status === 200) {
      const book: Record<string, unknown> = await response.json();
      const isThere = Number.isNaN(truth?.lastId)
        ? book["time_us"] === truth?.book.eventTimeUs
        : book["last_id"] === truth?.lastId;
      if (book["state"] === "live" && isThere) return book;
    }
    await Bun.sleep(10);
  }
  throw new Error(`The book of ${symbol} does not become the venue's:\n${server.log}`);
}

function expectFinal(book: Record<string, unknown>, { levels_10, ...final }: ExpectedBook["final"]): void {
  for (const [name, value] of Object.entries(final)) {
    if (typeof value === "number" && !Number.isInteger(value)) expect(book[name]).toBeCloseTo(value, 8);
    else expect([name, book[name]]).toEqual([name, value]);
  }
  expect<Record<string, unknown>>({ bids: book["bids"], asks: book["asks"] }).toEqual(levels_10);
}

const VENUES: (RecordedVenue & { set: string; topic: string; byId: boolean; kept?: readonly string[] })[] = [
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
    set: "kraken-v1",
    dialect: "kraken-v1",
    venue: "kraken-v1",
    topic: "kraken",
    files: ["kraken-v1/book.gz"],
    byId: false,
  },
  { set: "okx-v5", dialect: "okx", venue: "okx", topic: "okx", files: ["okx-v5/ws.gz"], byId: false },
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

for (const recorded of VENUES) {
  test(`${recorded.set}: books from the log and from the API are the expected ones`, async () => {
    const expected = (await readExpected(recorded.set)) as Record<string, ExpectedBook>;
    const symbols = Object.keys(expected);
    const lines = (await recordedLines(recorded)).filter(({ snapshotOf }) =>
      snapshotOf === undefined || symbols.includes(snapshotOf)
    );
    const simulator = simulate(recorded, lines);
    simulators.push(simulator);
    const server = await start([feedTo(simulator, recorded, symbols)]);
    await simulator.finished;
    const states = new Map<string, Record<string, unknown>>();
    for (const symbol of symbols) {
      const answer = await bookWhenAt(server, recorded.topic, symbol, simulator, symbol);
      states.set(symbol, answer);
    }
    await server.stop();
    const again = await EscServer.start({ folder: server.folder, config: { feeds: [] } });
    servers.push(again);
    for (const symbol of symbols) {
      const state = states.get(symbol) ?? {};
      const own = expected[symbol];
      if (own === undefined) throw new Error(`Nothing is expected of ${symbol}`);
      expectFinal(state, own.final);
      const followed = new FollowedBook();
      const topic = `market.${recorded.topic}.${state["symbol"]}`;
      for (const event of await queryEvents(again, `${topic}.book_snapshot,${topic}.book_delta`)) {
        followed.take(JSON.parse(event.payload), recorded.byId);
      }
      expect([symbol, followed.updateCount, followed.sha256()]).toEqual([
        symbol,
        own.book.updates,
        own.book.tob_series_sha256,
      ]);
      const faults = await queryEvents(again, `${topic}.integrity`);
      const bad = faults.map(({ payload }) => JSON.parse(payload)).filter(({ event }) =>
        /gap|error|missing/.test(event)
      );
      expect(bad).toEqual([]);
    }
  }, 60_000);
}

const COINM: RecordedVenue = {
  dialect: "binance",
  venue: "binance-coinm",
  files: ["binance-coinm/btcusd_perp_20240808.gz", "binance-coinm/btcusd_perp_20240809.gz"],
  snapshotSymbol: "BTCUSD_PERP",
};

test.skipIf(!HAS_FULL_SETS)(
  `Binance COIN-M, whole: 98,386 messages give the expected series, bars and book${FULL_SETS_ABSENT}`,
  async () => {
    const expected = (await readExpected("binance-coinm-btcusd_perp")) as ExpectedBook;
    const simulator = simulate(COINM, await recordedLines(COINM));
    simulators.push(simulator);
    const server = await start([feedTo(simulator, COINM, ["BTCUSD_PERP"], { profile_row: "1" })]);
    const book = await bookWhenDone(server, simulator);
    expectFinal(book, expected.final);
    const topic = "market.binance-coinm.BTC-USD-PERP";
    const followed = new FollowedBook();
    for (const event of await queryEvents(server, `${topic}.book_snapshot,${topic}.book_delta`)) {
      followed.take(JSON.parse(event.payload), true);
    }
    expect([followed.snapshotCount, followed.updateCount, followed.sha256()]).toEqual([
      1,
      expected.book.updates,
      expected.book.tob_series_sha256,
    ]);
    const trades = await queryEvents(server, `${topic}.trade`);
    const quotes = await queryEvents(server, `${topic}.quote`);
    expect([trades.length, quotes.length]).toEqual([5235, 48_355]);
    const bars = (await queryEvents(server, `${topic}.bar`)).map(({ payload }) => JSON.parse(payload));
    for (const [name, rows] of Object.entries(expected.bars ?? {})) {
      const [, count, unit] = /^(\d+)([sm])$/.exec(name) ?? [];
      const intervalMs = Number(count) * (unit === "s" ? 1000 : 60_000);
      const newest = new Map<number, unknown[]>();
      for (const bar of bars) {
        if (bar.interval_ms !== intervalMs) continue;
        newest.set(bar.start_us / 1000, [
          bar.start_us / 1000,
          bar.open,
          bar.high,
          bar.low,
          bar.close,
          bar.volume,
          bar.vwap,
          bar.buy_volume,
          bar.sell_volume,
          bar.delta,
          bar.trades,
        ]);
      }
      // The bars still open at the end of the recording have not been given out.
      const given = [...newest.values()];
      expect([name, given]).toEqual([name, rows.slice(0, given.length).map((row) => [...row])]);
      expect(rows.length - given.length).toBeLessThanOrEqual(1);
    }
  },
  60_000,
);

async function bookWhenDone(server: EscServer, simulator: Simulator): Promise<Record<string, unknown>> {
  await simulator.finished;
  return await bookWhenAt(server, "binance-coinm", "BTC-USD-PERP", simulator, "BTCUSD_PERP");
}
