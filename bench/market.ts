/**
 * Market data in one thread: Binance COIN-M messages from JSON text to the published book, beside JSON.parse alone
 * in the same run, and how long one book update, tick and pattern takes.
 *
 * Checks that every book update was applied and that the book's top equals the venue's own ticker wherever both name
 * the same update id, before it prints anything.
 *
 *     bun bench/market.ts [recording.gz …]        default: the beginning of the recording kept with the tests
 */
import { cpus } from "node:os";
import { microprice } from "../src/book/analytics.ts";
import { MarketCache } from "../src/client/market/cache.ts";
import { BinanceDecoder } from "../src/ingest/feeds/binance.ts";
import { BookFeed, type BookFeedListener } from "../src/ingest/feeds/book-feed.ts";
import { threadNs } from "./thread-time.ts";
import { SEQUENCE_RULES } from "../src/ingest/feeds/sequence.ts";
import { Bars } from "../src/market/bars.ts";
import { CandlePatterns } from "../src/market/candles.ts";
import type { MarketMessage } from "../src/market/message.ts";
import { ActivityPatterns } from "../src/market/patterns.ts";

const ROUNDS = 7;
const SYMBOL = "BTCUSD_PERP";
const DEFAULT_RECORDING = new URL(
  "../tests/fixtures/market/binance-coinm/btcusd_perp_first3000.gz",
  import.meta.url,
).pathname;
/** Short recordings are replayed until a round has at least this many messages. */
const MESSAGES_MIN = 60_000;

interface Line {
  readonly text: string;
  readonly receivedUs: number;
  readonly isSnapshot: boolean;
}

/** Publishes by reading what a subscriber would: best levels and microprice. */
class Publisher implements BookFeedListener {
  updateCount = 0;
  sum = 0;
  faultCount = 0;

  onUpdate(feed: BookFeed): void {
    this.updateCount++;
    this.sum += microprice(feed.book);
  }
  onFault(): void {
    this.faultCount++;
  }
  onSnapshot(): void {}
  onSnapshotWanted(): void {}
  onStateChange(): void {}
}

/** One feed from text to book. */
class Path {
  readonly publisher = new Publisher();
  readonly #decoder: BinanceDecoder;
  #feed: BookFeed | undefined;

  constructor(scan: boolean, onOther: (message: MarketMessage) => void = () => {}) {
    this.#decoder = new BinanceDecoder((message) => {
      if (message.kind !== "book_delta" && message.kind !== "book_snapshot") return onOther(message);
      this.#feed ??= new BookFeed(message.instrument, this.publisher, { rule: SEQUENCE_RULES.previous });
      this.#feed.take(message);
    }, { venue: "binance-coinm", scan });
  }

  take(line: Line): void {
    const instrument = line.isSnapshot ? this.#decoder.instruments.get(SYMBOL) : undefined;
    const result = instrument === undefined
      ? this.#decoder.decode(line.text, line.receivedUs)
      : this.#decoder.decodeSnapshot(line.text, instrument, line.receivedUs);
    if (result !== "ok") throw new Error(`${result}: ${line.text.slice(0, 100)}`);
  }

  get feed(): BookFeed {
    if (this.#feed === undefined) throw new Error("The recording has no book");
    return this.#feed;
  }
}

const names = process.argv.slice(2);
const lines = await load(names.length === 0 ? [DEFAULT_RECORDING] : names);
const repeats = Math.ceil(MESSAGES_MIN / lines.length);
const matches = checkTickers();

console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, Bun ${Bun.version}; median of ${ROUNDS} rounds (min to max)`,
);
console.log(
  `${lines.length} messages, ${repeats} times a round; ${matches} tops equal to the venue's ticker\n`,
);
const parse = measure(() => {
  for (const { text } of lines) JSON.parse(text);
});
const scan = measure(() => replay(true));
const json = measure(() => replay(false));
report("JSON.parse alone", parse, parse);
report("text to book, scanner", scan, parse);
report("text to book, JSON.parse", json, parse);
reportLatencies();

async function load(paths: readonly string[]): Promise<Line[]> {
  const loaded: Line[] = [];
  for (const path of paths) {
    const text = new TextDecoder().decode(Bun.gunzipSync(await Bun.file(path).bytes()));
    for (const line of text.trimEnd().split("\n")) {
      const space = line.indexOf(" ");
      // A slice of the file's text would drag the whole file along; a socket's message is a text of its own.
      const message = Buffer.from(line.slice(space + 1)).toString("latin1");
      const isSnapshot = message.startsWith('{"lastUpdateId"');
      loaded.push({ text: message, receivedUs: Number(line.slice(0, space - 3)), isSnapshot });
    }
  }
  return loaded;
}

/** The venue's ticker and our book, where both name an update: equal at every one, or nothing is measured. */
function checkTickers(): number {
  const tickers = new Map<number, string>();
  const key = (...parts: number[]) => parts.join();
  const path = new Path(true, ({ kind, lastId, bidPrice, bidQty, askPrice, askQty }) => {
    if (kind === "quote") tickers.set(lastId, key(bidPrice, bidQty, askPrice, askQty));
  });
  const tops = new Map<number, string>();
  path.publisher.onUpdate = ({ lastId, book: { bids, asks } }) => {
    tops.set(lastId, key(bids.price(0), bids.quantity(0), asks.price(0), asks.quantity(0)));
  };
  for (const line of lines) path.take(line);
  let equalCount = 0;
  for (const [id, top] of tops) {
    const ticker = tickers.get(id);
    if (ticker === undefined) continue;
    if (ticker !== top) throw new Error(`Update ${id}: book ${top}, ticker ${ticker}`);
    equalCount++;
  }
  if (equalCount === 0 || path.publisher.faultCount > 0) throw new Error("The recording did not join");
  return equalCount;
}

function replay(useScanner: boolean): void {
  const path = new Path(useScanner);
  for (const line of lines) path.take(line);
  const { updateCount, faultCount, sum } = path.publisher;
  if (faultCount > 0 || updateCount !== path.feed.appliedCount || !(sum > 0)) {
    throw new Error("A book went wrong");
  }
}

/** Messages a second, one figure a round. */
function measure(round: () => void): number[] {
  round(); // warm
  return Array.from({ length: ROUNDS }, () => {
    const startedNs = Bun.nanoseconds();
    for (let done = 0; done < repeats; done++) round();
    return (lines.length * repeats * 1e9) / (Bun.nanoseconds() - startedNs);
  }).sort((a, b) => a - b);
}

function report(name: string, rates: readonly number[], base: readonly number[]): void {
  const median = rates[ROUNDS >> 1] ?? NaN;
  const range = `${Math.round(rates[0] ?? NaN)} to ${Math.round(rates[ROUNDS - 1] ?? NaN)}`;
  const share = (median / (base[ROUNDS >> 1] ?? NaN)).toFixed(2);
  console.log(
    `${name.padEnd(26)} ${
      String(Math.round(median)).padStart(9)
    } messages/s  (${range})  ${share} of JSON.parse`,
  );
}

/**
 * Times of single steps, of the thread's own processor time: on a busy machine the worst of a hundred thousand wall
 * times is always one in which another process ran. Steps: a message to its book, a trade into six bar series, a bar
 * through all patterns.
 */
function reportLatencies(): void {
  const [bookNs, tickNs, patternNs]: number[][] = [[], [], []];
  const { putNs, getNs } = cacheSteps();
  for (let pass = 0; pass < 3; pass++) {
    const candles = new CandlePatterns();
    const activity = new ActivityPatterns();
    const series = [1000, 5000, 15_000, 30_000, 60_000, 300_000].map((intervalMs) =>
      new Bars((bar) => {
        const startedNs = threadNs();
        candles.push(bar);
        activity.push(bar);
        patternNs?.push(threadNs() - startedNs);
      }, { intervalMs })
    );
    const path = new Path(true, (message) => {
      if (message.kind !== "trade") return;
      const startedNs = threadNs();
      for (const bars of series) bars.addTrade(message);
      tickNs?.push(threadNs() - startedNs);
    });
    for (const line of lines) {
      const startedNs = threadNs();
      path.take(line);
      if (line.text.includes("depthUpdate")) bookNs?.push(threadNs() - startedNs);
    }
  }
  console.log("\nus of CPU a step                p50       p99       max");
  for (
    const [name, list = []] of [
      ["book update", bookNs],
      ["tick into six bars", tickNs],
      [
        "patterns of a bar",
        patternNs,
      ],
      ["cache of the client: put", putNs],
      ["cache of the client: get", getNs],
    ] as const
  ) {
    list.sort((a, b) => a - b);
    const at = (share: number) =>
      ((list[Math.floor((list.length - 1) * share)] ?? NaN) / 1000).toFixed(1).padStart(9);
    console.log(`${name.padEnd(26)} ${at(0.5)} ${at(0.99)} ${at(1)}`);
  }
}

/** The client's cache: an event into it, and the newest of a topic out of it. Compressing goes on behind. */
function cacheSteps(): { putNs: number[]; getNs: number[] } {
  const cache = new MarketCache();
  const [putNs, getNs]: number[][] = [[], []];
  for (let event = 0; event < 100_000; event++) {
    const topic = `market.binance.C${event % 50}.trade`;
    const data = { kind: "trade", price: "61800.5", qty: "3", id: event };
    const startedNs = threadNs();
    cache.put(topic, data);
    const middleNs = threadNs();
    if (cache.get(topic) !== data) throw new Error("The cache lost an event");
    putNs?.push(middleNs - startedNs);
    getNs?.push(threadNs() - middleNs);
  }
  void cache.close();
  return { putNs: putNs ?? [], getNs: getNs ?? [] };
}
