/** Keys of `feeds`: lines to trading venues. */
import { VENUE_NAMES } from "../ingest/feeds/venue.ts";
import {
  choice,
  count,
  duration,
  flag,
  limit,
  optionalText,
  priority,
  requiredDuration,
  requiredText,
} from "./leaves.ts";
import { list, section } from "./shapes.ts";

const feed = section("A feed: a venue, its symbols, and what is made of their messages", {
  name: optionalText({ description: "Name, unique among the feeds", default: "the venue" }),
  venue: choice("Venue; mapping: described by the file in mapping", [...VENUE_NAMES, "mapping"], "mapping"),
  mapping: optionalText(
    "File that describes the venue's messages (docs/market-data.md); bitstamp is built in",
  ),
  symbols: list("Symbols as the venue writes them", requiredText("Symbol")).prefault([]),
  channels: list("What to receive", choice("Kind of data", ["trades", "book", "quotes"], "trades"))
    .prefault(["trades", "book", "quotes"]),
  url: optionalText("Address of the line, instead of the venue's own"),
  backup_url: optionalText("Address of a second line that is kept open beside the first"),
  snapshot_url: optionalText("Address of book snapshots, instead of the venue's own; with {symbol} in it"),
  api_key: optionalText({
    description: "Key of the venue, where it wants one",
    examples: ["${file:twelvedata.key}"],
  }),
  depth: choice(
    "Levels of a book, where the venue offers a choice",
    ["10", "25", "100", "500", "1000"],
    "100",
  ),
  stale: duration("A book without updates for so long is stale", "60s", { min: 100 }),
  join_updates: count("Book updates kept while a snapshot is awaited", 1000, 1, 1_000_000),
  failover: duration("A line behind the other for so long gives up its lead", "2s", {
    min: 100,
    max: 60_000,
  }),
  payload: choice("Form of trades, quotes and books", ["json", "binary"], "json"),
  raw: flag("Also publish every message as it came, on market.<venue>.raw", false),
  priority: priority("Priority of the feed's events").prefault("MEDIUM"),
  quotes_per_second: limit("Most quotes a second for each symbol", "none", 1, 100_000),
  trades_per_second: limit(
    "Most trades a second published for each symbol; figures are made of all of them",
    "none",
    1,
    100_000,
  ),
  throttle: choice(
    "What becomes of quotes and trades over the limit",
    ["sample", "drop_oldest", "drop_newest", "merge"],
    "sample",
  ),
  throttle_burst: count("Quotes or trades that may wait under drop_oldest", 100, 1, 100_000),
  buffer_size: limit("Newest ticks of each symbol kept for queries", "none", 1, 1_000_000),
  buffer_age: duration("Older ticks leave the buffer", "5m", { min: 1000 }),
  buffer_strategy: choice(
    "Which tick leaves a full buffer: the oldest, the newest, quotes before trades, or none but the old ones",
    ["fifo", "lifo", "priority", "time_based"],
    "fifo",
  ),
  buffer_compress: flag("Compress older ticks of the buffer (fifo and time_based)", false),
  bars: list("Intervals of bars", requiredDuration("Interval", { min: 100 }))
    .prefault(["1s", "5s", "15s", "30s", "1m", "5m"]),
  bar_price: choice("What bars are made of", ["trade", "bid", "ask", "mid"], "trade"),
  bar_grace: duration("How long a bar waits for late trades", "0s", { max: 3_600_000 }),
  bar_idle: duration("Silence after which the clock ends a bar", "5s", { min: 100, max: 3_600_000 }),
  indicators: flag("EMA, RSI, MACD, Bollinger, ATR and flow statistics of every bar", true),
  patterns: flag("Candle and activity patterns of every bar", true),
  profile_row: optionalText("Row of the volume profile in price units, such as 0.5; none: no profile"),
  session_start: duration(
    "When a session of profile and flow begins, after midnight UTC",
    "0s",
    { max: 86_399_999 },
  ),
  flow: duration("Time between two reports of the flow of trades; 0s: none", "5s"),
  vpin_bucket: optionalText("Volume of one bucket of VPIN, such as 25; none: no VPIN"),
  quality: duration("Time between two judgements of the data", "5s", { min: 100 }),
  quality_alert: count("Quality under which an alert is raised; withdrawn 5 above", 80, 1, 100),
  checkpoint: duration("Time between two checkpoints of bars and figures; 0s: none", "5s"),
  book_summary: duration("Time between two summaries of a book that moves; 0s: none", "1s"),
});

export const feedsSection = list(
  {
    description:
      "Market data: feeds from trading venues, with the first one's thread started when there is one",
    examples: [[{ venue: "binance", symbols: ["BTCUSDT", "ETHUSDT"] }]],
  },
  feed,
);
