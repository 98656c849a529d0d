/** Faults of a venue's line, through the executable: told, repaired, and nothing wrong published meanwhile. */
import { afterEach, expect, test } from "bun:test";
import { summarise } from "../../src/book/analytics.ts";
import type { Fault, SimulatedLine, Simulator } from "../../src/ingest/feeds/simulator.ts";
import { EscServer } from "../support/esc.ts";
import { FollowedBook } from "./followed-book.ts";
import { queryEvents } from "./read-log.ts";
import { untilHolds } from "./told-figures.ts";
import { asBybit, asCoinbaseAdvanced, asKrakenV2 } from "./translated.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";
import { testIf } from "../support/drill.ts";

const servers: EscServer[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const simulator of simulators.splice(0)) await simulator.stop();
});

type FaultKind = Fault["kind"];

interface FaultVenue extends RecordedVenue {
  readonly name: string;
  readonly topic: string;
  readonly symbol: string;
  readonly venueSymbol: string;
  readonly lines?: () => Promise<SimulatedLine[]>;
  /** Lines faults are put at. */
  readonly isTarget: (text: string) => boolean;
  /** Targets passed over before the first fault, and between two. */
  readonly skip: number;
  readonly step: number;
  /** What must be told of each fault; `none`: nothing, because the rules of the venue see nothing wrong. */
  readonly told: Readonly<Partial<Record<FaultKind, string>>>;
}

const NUMBERED = {
  lose: "gap_detected",
  duplicate: "none",
  swap: "gap_detected",
  truncate: "gap_detected",
  disconnect: "line_lost",
} as const;
/** Checksums: a swap may change nothing in the levels they cover, so nothing is promised of it. */
const CHECKED = { lose: "checksum_mismatch", duplicate: "none", disconnect: "line_lost" } as const;

function binance(
  venue: "binance" | "binance-usdm" | "binance-coinm",
  file: string,
  venueSymbol: string,
  symbol: string,
): FaultVenue {
  return {
    name: venue,
    dialect: "binance",
    venue,
    topic: venue,
    files: [file],
    snapshotSymbol: venueSymbol,
    symbol,
    venueSymbol,
    isTarget: (text) => text.includes("depthUpdate"),
    skip: 60,
    step: 20,
    told: NUMBERED,
  };
}

const VENUES: readonly FaultVenue[] = [
  binance("binance-coinm", "binance-coinm/btcusd_perp_first3000.gz", "BTCUSD_PERP", "BTC-USD-PERP"),
  binance("binance-usdm", "binance-usdm/btcusdt_first3000.gz", "BTCUSDT", "BTC-USDT"),
  binance("binance", "binance-spot/btcusdt_first3000.gz", "BTCUSDT", "BTC-USDT"),
  {
    name: "okx",
    dialect: "okx",
    venue: "okx",
    topic: "okx",
    files: ["okx-v5/ws.gz"],
    symbol: "BTC-USDT",
    venueSymbol: "BTC-USDT",
    isTarget: (text) => text.includes('"action":"update"'),
    skip: 13,
    step: 12,
    told: { ...CHECKED, truncate: "checksum_mismatch" },
  },
  {
    name: "bybit",
    dialect: "bybit",
    venue: "bybit",
    topic: "bybit",
    files: [],
    lines: asBybit,
    symbol: "BTC-USDT",
    venueSymbol: "BTCUSDT",
    isTarget: (text) => text.includes('"type":"delta"'),
    skip: 10,
    step: 12,
    told: NUMBERED,
  },
  {
    name: "kraken-v1",
    dialect: "kraken-v1",
    venue: "kraken-v1",
    topic: "kraken",
    files: ["kraken-v1/book.gz"],
    symbol: "ETH-CHF",
    venueSymbol: "ETH/CHF",
    isTarget: (text) => text.endsWith('"ETH/CHF"]') && text.includes('"c":'),
    skip: 9, // its tenth update, which the checksum of the next one shows
    step: 40,
    told: { ...CHECKED, truncate: "line_lost" },
  },
  {
    name: "kraken-v2",
    dialect: "kraken-v2",
    venue: "kraken-v2",
    topic: "kraken",
    files: [],
    lines: asKrakenV2,
    symbol: "ETH-CHF",
    venueSymbol: "ETH/CHF",
    isTarget: (text) => text.includes('"update","data":[{"symbol":"ETH/CHF","bids"'),
    skip: 9,
    step: 40,
    told: { ...CHECKED, truncate: "line_lost" },
  },
  {
    // Updates have no number and the venue promises their delivery: what can be seen to be lost are trades.
    name: "coinbase",
    dialect: "coinbase",
    venue: "coinbase",
    topic: "coinbase",
    files: ["coinbase-exchange/ws.gz"],
    symbol: "SKL-USD",
    venueSymbol: "SKL-USD",
    isTarget: (text) => text.includes('"type":"match"') && text.includes('"SKL-USD"'),
    skip: 5,
    step: 6,
    told: { lose: "trades_missing", duplicate: "none", truncate: "line_lost", disconnect: "line_lost" },
  },
  {
    // Messages of a connection are numbered, all products together: any irregularity costs the line.
    name: "coinbase-advanced",
    dialect: "coinbase-advanced",
    venue: "coinbase-advanced",
    topic: "coinbase",
    files: [],
    lines: asCoinbaseAdvanced,
    symbol: "SKL-USD",
    venueSymbol: "SKL-USD",
    isTarget: (text) => text.includes('"l2_data"') && text.includes('"update","product_id":"SKL-USD"'),
    skip: 20,
    step: 30,
    told: {
      lose: "line_lost",
      duplicate: "line_lost",
      swap: "line_lost",
      truncate: "line_lost",
      disconnect: "line_lost",
    },
  },
  {
    // Times as numbers: what is missing cannot be seen, so neither a loss nor a swap is among the faults.
    name: "bitstamp",
    dialect: "bitstamp",
    venue: "mapping",
    topic: "bitstamp",
    files: ["bitstamp/ws.gz"],
    rest: "bitstamp/rest.jsonl.gz",
    symbol: "ETH-USD",
    venueSymbol: "ethusd",
    isTarget: (text) => text.includes("diff_order_book_ethusd") && text.includes('"event":"data"'),
    skip: 20,
    step: 10,
    told: { duplicate: "none", truncate: "line_lost", disconnect: "line_lost" },
  },
];

/** Waits until the server's book is the simulator's; returns it. */
async function settled(server: EscServer, venue: FaultVenue, simulator: Simulator) {
  await simulator.finished;
  await agreed(server, venue, simulator);
  return await bookOf(server, venue);
}

async function agreed(server: EscServer, venue: FaultVenue, simulator: Simulator): Promise<void> {
  await untilHolds(`the book of ${venue.name}`, async () => {
    const book = await bookOf(server, venue);
    const truth = simulator.book(venue.venueSymbol);
    if (book.state !== "live" || truth === undefined) return false;
    const { bids, asks } = summarise(truth.book, 1000);
    return Bun.deepEquals([book.bids, book.asks], [bids, asks]);
  });
}

async function bookOf(server: EscServer, { topic, symbol }: FaultVenue) {
  const response = await fetch(server.url(`/api/v1/market/books/${topic}/${symbol}?levels=1000`));
  return response.status === 200 ? await response.json() : {};
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

/** Faults that were told, and trades known to be lost, in the order of the log. */
async function faultsOf(server: EscServer, { topic, symbol }: FaultVenue): Promise<string[]> {
  const events = await queryEvents(server, `market.${topic}.${symbol}.integrity`);
  return events.map(({ payload }) => JSON.parse(payload)).flatMap(({ fault, event }) =>
    event === "trades_missing" ? [event] : fault === undefined ? [] : [fault]
  );
}

async function linesOf(venue: FaultVenue): Promise<SimulatedLine[]> {
  const lines = await (venue.lines?.() ?? recordedLines(venue));
  // Of a venue whose books come by REST the others' snapshots are left out, so their updates must be, too.
  return venue.rest === undefined
    ? lines
    : lines.filter(({ snapshotOf, text }) =>
      snapshotOf === undefined ? text.includes(venue.venueSymbol) : snapshotOf === venue.venueSymbol
    );
}

/** Runs the recording with these faults, and says what was told; the book ends up as the venue's, never crossed. */
async function rehearse(venue: FaultVenue, kinds: readonly FaultKind[]): Promise<string[]> {
  const lines = await linesOf(venue);
  const targets = [...lines.keys()].filter((at) => venue.isTarget(lines[at]?.text ?? ""));
  const isTarget = new Set(targets);
  const faults = kinds.map((kind, index) => {
    const from = targets[venue.skip + index * venue.step] ?? Infinity;
    // Two messages of the book change places: a book and a trade would not notice.
    const at = targets.find((one) => one >= from && (kind !== "swap" || isTarget.has(one + 1)));
    if (at === undefined) throw new Error(`${venue.name} has only ${targets.length} targets`);
    return { at, kind };
  }).sort((a, b) => a.at - b.at);
  const places = new Set(faults.map(({ at }) => at));
  const started = Promise.withResolvers<EscServer>();
  // Each fault waits until the one before is repaired: a book that syncs would hide it.
  const before = (at: number) =>
    places.has(at) ? started.promise.then((server) => agreed(server, venue, simulator)) : undefined;
  const simulator = simulate(venue, lines, { faults, before });
  simulators.push(simulator);
  const server = await EscServer.start({
    config: { feeds: [feedTo(simulator, venue, [venue.venueSymbol], { bars: ["1s"] })] },
  });
  started.resolve(server);
  servers.push(server);
  const book = await settled(server, venue, simulator);
  const followed = await expectSound(server, venue, book);
  const told = await faultsOf(server, venue);
  const resyncs = told.filter((fault) => fault !== "trades_missing");
  expect(followed.snapshotCount).toBeGreaterThan(resyncs.length > 0 ? 1 : 0);
  return told;
}

const IS_DRILL = process.env["ESC_DRILL"] !== undefined;
/** One of each rule in the ordinary suite; all of them in a drill. */
const ORDINARY = ["binance-coinm", "bybit", "kraken-v2", "bitstamp"];

for (const venue of VENUES) {
  const kinds = (["lose", "duplicate", "swap", "truncate", "disconnect"] as const).filter((kind) =>
    venue.told[kind] !== undefined
  );
  testIf(IS_DRILL || ORDINARY.includes(venue.name))(
    `${venue.name}: ${kinds.join(", ")} in one run are told and repaired, nothing wrong is published`,
    async () => {
      const told = await rehearse(venue, kinds);
      const wanted = kinds.map((kind) => venue.told[kind] ?? "none").filter((fault) => fault !== "none");
      expect(allTold(wanted, told), `wanted ${wanted.join()}, told ${told.join()}`).toBe(true);
    },
    60_000,
  );

  for (const kind of kinds) {
    testIf(IS_DRILL)(`${venue.name}: ${kind} alone (drill)`, async () => {
      const told = await rehearse(venue, [kind]);
      const wanted = venue.told[kind] ?? "none";
      if (wanted === "none") expect(told).toEqual([]);
      else expect(told).toContain(wanted);
    }, 60_000);
  }
}

/** Whether each wanted fault was told, as often as it is wanted. */
function allTold(wanted: readonly string[], told: readonly string[]): boolean {
  const left = [...told];
  return wanted.every((fault) => {
    const at = left.indexOf(fault);
    if (at !== -1) left.splice(at, 1);
    return at !== -1;
  });
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
