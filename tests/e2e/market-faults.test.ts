/** Faults of a venue's line, through the executable: told, repaired, and nothing wrong published meanwhile. */
import { afterEach, expect, test } from "bun:test";
import { summarise } from "../../src/book/analytics.ts";
import type { Fault, SimulatedLine, Simulator } from "../../src/ingest/feeds/simulator.ts";
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

interface FaultVenue extends RecordedVenue {
  readonly topic: string;
  readonly symbol: string;
  readonly venueSymbol: string;
  readonly isUpdate: (text: string) => boolean;
  readonly from: number;
  readonly pick: number;
  readonly fault: string;
}

const VENUES: readonly FaultVenue[] = [
  {
    dialect: "binance",
    venue: "binance-coinm",
    topic: "binance-coinm",
    files: ["binance-coinm/btcusd_perp_first3000.gz"],
    snapshotSymbol: "BTCUSD_PERP",
    symbol: "BTC-USD-PERP",
    venueSymbol: "BTCUSD_PERP",
    isUpdate: (text) => text.includes("depthUpdate"),
    from: 200,
    pick: 5,
    fault: "gap_detected",
  },
  {
    dialect: "okx",
    venue: "okx",
    topic: "okx",
    files: ["okx-v5/ws.gz"],
    symbol: "BTC-USDT",
    venueSymbol: "BTC-USDT",
    isUpdate: (text) => text.includes('"action":"update"'),
    from: 20,
    pick: 5,
    fault: "checksum_mismatch",
  },
  {
    dialect: "kraken-v1",
    venue: "kraken-v1",
    topic: "kraken",
    files: ["kraken-v1/book.gz"],
    symbol: "ETH-CHF",
    venueSymbol: "ETH/CHF",
    isUpdate: (text) => text.endsWith('"ETH/CHF"]') && text.includes('"c":'),
    from: 0,
    pick: 9,
    fault: "checksum_mismatch",
  },
];

/** Waits until the server's book is the simulator's; returns it. */
async function settled(server: EscServer, { topic, symbol, venueSymbol }: FaultVenue, simulator: Simulator) {
  await simulator.finished;
  const path = server.url(`/api/v1/market/books/${topic}/${symbol}?levels=1000`);
  for (let left = 1000; left > 0; left--) {
    const response = await fetch(path);
    const book = response.status === 200 ? await response.json() : {};
    const truth = simulator.book(venueSymbol);
    if (book.state === "live" && truth !== undefined) {
      const { bids, asks } = summarise(truth.book, 1000);
      if (Bun.deepEquals([book.bids, book.asks], [bids, asks])) return book;
    }
    await Bun.sleep(10);
  }
  throw new Error(`The book does not become the venue's again:\n${server.log}`);
}

/** The book that follows from the events is the one the API shows, and at no time was it crossed. */
async function expectSound(
  server: EscServer,
  { topic, symbol }: FaultVenue,
  book: { best_bid: string; best_ask: string },
): Promise<FollowedBook> {
  const name = `market.${topic}.${symbol}`;
  for (let left = 200;; left--) {
    const followed = new FollowedBook();
    for (const event of await queryEvents(server, `${name}.book_snapshot,${name}.book_delta`)) {
      followed.take(JSON.parse(event.payload), false);
      const [bid, , ask] = followed.top().split(",");
      expect(Number(bid)).toBeLessThan(Number(ask));
    }
    const [bid, , ask] = followed.top().split(",");
    // What the book took last may still be on its way to the log.
    if (left > 0 && (bid !== book.best_bid || ask !== book.best_ask)) {
      await Bun.sleep(20);
      continue;
    }
    expect([bid, ask]).toEqual([book.best_bid, book.best_ask]);
    return followed;
  }
}

async function faultsOf(server: EscServer, { topic, symbol }: FaultVenue): Promise<string[]> {
  const events = await queryEvents(server, `market.${topic}.${symbol}.integrity`);
  return events.map(({ payload }) => JSON.parse(payload)).filter(({ fault }) => fault !== undefined).map((
    event,
  ) => event.fault);
}

function placeOf(venue: FaultVenue, lines: readonly SimulatedLine[]): number {
  return [...lines.keys()].filter((at) =>
    at > venue.from && venue.isUpdate(lines[at]?.text ?? "")
  )[venue.pick] ?? NaN;
}

for (const venue of VENUES) {
  for (const kind of ["lose", "duplicate", "swap", "truncate", "disconnect"] as const) {
    test(`${venue.venue}: ${kind} is repaired, and nothing wrong is published`, async () => {
      const lines = await recordedLines(venue);
      const faults: Fault[] = [{ at: placeOf(venue, lines), kind }];
      const simulator = simulate(venue, lines, { faults });
      simulators.push(simulator);
      const server = await EscServer.start({
        config: { feeds: [feedTo(simulator, venue, [venue.venueSymbol], { bars: ["1s"] })] },
      });
      servers.push(server);
      const book = await settled(server, venue, simulator);
      const followed = await expectSound(server, venue, book);
      const told = await faultsOf(server, venue);
      if (kind === "duplicate") expect(told).toEqual([]);
      else if (kind === "lose") expect(told).toContain(venue.fault);
      else if (kind === "disconnect") expect(told).toContain("line_lost");
      // A swap may change nothing in the levels that a checksum covers; a text that is cut is lost.
      else if (kind === "truncate") expect(told.length).toBeGreaterThan(0);
      expect(followed.snapshotCount).toBeGreaterThan(told.length > 0 ? 1 : 0);
    }, 40_000);
  }
}

test("a backup line takes over when the first is cut, without a lost trade", async () => {
  const [venue] = VENUES;
  if (venue === undefined) throw new Error("No venue");
  const lines = await recordedLines(venue);
  // Both play the same market at the same pace; the first one's line is cut in the middle and not served again.
  const cut = lines.slice(0, 1500).filter(({ snapshotOf }) => snapshotOf === undefined);
  const primary = simulate(venue, cut, { speed: 20 });
  const backup = simulate(venue, lines, { speed: 20 });
  simulators.push(primary, backup);
  const server = await EscServer.start({
    config: {
      feeds: [feedTo(primary, venue, [venue.venueSymbol], {
        backup_url: backup.url,
        snapshot_url: backup.snapshotUrl("SYMBOL").replace("SYMBOL", "{symbol}"),
        failover: "2s",
      })],
    },
  });
  servers.push(server);
  await primary.finished.then(() => primary.stop());
  const book = await settled(server, venue, backup);
  await expectSound(server, venue, book);
  const states = (await queryEvents(server, "market.binance-coinm.state")).map(({ payload }) =>
    JSON.parse(payload)
  );
  const lead = states.find(({ event }) => event === "leads");
  expect(lead).toMatchObject({ line: "backup" });
  const lost = states.find(({ line, event }) => line === "primary" && event !== "open");
  expect(lead.time_us - lost.time_us).toBeLessThan(5_000_000);
  const ids = (await queryEvents(server, "market.binance-coinm.BTC-USD-PERP.trade")).map(({ payload }) =>
    Number(JSON.parse(payload).id)
  );
  const recorded = lines.filter(({ text }) => text.includes('"e":"trade"')).map(({ text }) =>
    Number(/"t":(\d+)/.exec(text)?.[1])
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort((a, b) => a - b)).toEqual(recorded);
}, 40_000);
