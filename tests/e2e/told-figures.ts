/** What a running server told of one instrument, in the words of the expected files, so that a test is one comparison. */
import type { EscServer } from "../support/esc.ts";
import { FollowedBook } from "./followed-book.ts";
import { queryEvents } from "./read-log.ts";

export type Figures = Record<string, unknown>;

const INTERVALS: readonly (readonly [name: string, ms: number])[] = [
  ["1s", 1000],
  ["5s", 5000],
  ["15s", 15_000],
  ["30s", 30_000],
  ["1m", 60_000],
  ["5m", 300_000],
];
/** Of the figures expected at each bar: their names in the files and in the events. */
const INDICATORS: readonly (readonly [expected: string, told: string])[] = [
  ["sma_20", "sma_20"],
  ["ema_12", "ema_12"],
  ["ema_26", "ema_26"],
  ["macd", "macd"],
  ["macd_signal", "macd_signal"],
  ["macd_hist", "macd_histogram"],
  ["rsi_14", "rsi_14"],
  ["atr_14", "atr_14"],
  ["bb_upper", "bollinger_upper"],
  ["bb_lower", "bollinger_lower"],
];
const CANDLES = [
  "doji",
  "hammer",
  "shooting_star",
  "bullish_engulfing",
  "bearish_engulfing",
  "inside_bar",
  "outside_bar",
  "breakout_up_20",
  "breakout_down_20",
];

/** One instrument of a running server. */
export class ToldFigures {
  readonly #server: EscServer;
  readonly #venue: string;
  readonly #symbol: string;
  readonly #topic: string;

  constructor(server: EscServer, venue: string, symbol: string) {
    this.#server = server;
    this.#venue = venue;
    this.#symbol = symbol;
    this.#topic = `market.${venue}.${symbol}`;
  }

  /** Parsed payloads of one kind, or several (`trade,quote`), in the order of the log. */
  async events(kinds: string): Promise<Figures[]> {
    const topics = kinds.split(",").map((kind) => `${this.#topic}.${kind}`).join();
    return (await queryEvents(this.#server, topics)).map(({ payload }) => JSON.parse(payload));
  }

  /** An answer of the market routes, `undefined` when there is none. */
  async now(what: string, query = ""): Promise<Figures | undefined> {
    const path = `/api/v1/market/${what}/${this.#venue}/${encodeURIComponent(this.#symbol)}${query}`;
    const response = await fetch(this.#server.url(path));
    return response.status === 200 ? await response.json() : undefined;
  }

  /** The book as it follows from the events; also whether tickers of the same id say the same. */
  async book(byId: boolean) {
    const followed = new FollowedBook();
    const tops = new Map<number, string>();
    const updates = await queryEvents(this.#server, `${this.#topic}.book_snapshot,${this.#topic}.book_delta`);
    let first: Figures | undefined;
    let snapshotId: unknown;
    for (const { payload } of updates) {
      const event = JSON.parse(payload);
      followed.take(event, byId);
      if (event.kind === "book_snapshot") snapshotId ??= event.last_id;
      else {
        first ??= { U: event.first_id, u: event.last_id, pu: event.previous_id ?? null };
        tops.set(event.last_id, followed.top());
      }
    }
    const tickers = new Map<unknown, string>();
    for (const quote of await this.events("quote")) {
      tickers.set(quote["last_id"], [quote["bid"], quote["bid_qty"], quote["ask"], quote["ask_qty"]].join());
    }
    const shared = [...tops].filter(([id]) => tickers.has(id));
    const equal = shared.filter(([id, top]) => tickers.get(id) === top);
    return {
      book: {
        updates: followed.updateCount,
        tob_series_sha256: followed.sha256(),
        crossed_states: followed.crossedCount,
        checkpoints: followed.checkpoints,
      },
      book_ticker_check: { same_update_id: shared.length, equal: equal.length },
      first_applied: first,
      snapshot_last_update_id: snapshotId,
      snapshots: followed.snapshotCount,
    };
  }

  /** The book now, in the words of `final`. */
  async final(): Promise<Figures> {
    const book = await this.now("books") ?? {};
    const names = [
      "best_bid",
      "best_bid_qty",
      "best_ask",
      "best_ask_qty",
      "mid",
      "spread",
      "spread_bps",
      "microprice",
      "imbalance_1",
      "imbalance_5",
      "imbalance_10",
      "depth_10bps_bid",
      "depth_10bps_ask",
      "bid_levels",
      "ask_levels",
    ];
    return {
      ...Object.fromEntries(names.map((name) => [name, book[name]])),
      levels_10: { bids: book["bids"], asks: book["asks"] },
    };
  }

  /** The newest revision of every bar, and the one still open, by interval. */
  async bars(): Promise<Record<string, unknown[][]>> {
    const events = (await this.events("bar")).filter(({ closed }) => closed === undefined);
    const found: Record<string, unknown[][]> = {};
    for (const [name, ms] of INTERVALS) {
      const newest = new Map<unknown, unknown[]>();
      const open = (await this.now("bars", `?interval_ms=${ms}&limit=1`))?.["bars"];
      for (const bar of [...events, ...(Array.isArray(open) ? open : [])]) {
        if (bar.interval_ms === ms) newest.set(bar.start_us, barRow(bar));
      }
      found[name] = [...newest.values()].sort((a, b) => Number(a[0]) - Number(b[0]));
    }
    return found;
  }

  /** Totals of the session, with what only the 1 s bars tell when `withBars`. */
  async summary(withBars: boolean): Promise<Figures> {
    const flow = await this.now("flow") ?? {};
    const same = ["volume", "notional", "vwap", "high", "low", "first", "last", "buy_volume", "sell_volume"];
    const totals = {
      trades: flow["trades"],
      ...Object.fromEntries(same.map((name) => [name, flow[name]])),
      cumulative_delta: flow["cumulative_delta"],
    };
    if (!withBars) return totals;
    const last = (await this.#seconds()).at(-1) ?? {};
    return {
      ...totals,
      realised_vol_1s: last["realised_volatility"],
      kyle_lambda_1s: last["kyle_lambda"],
      amihud_1s: last["amihud"],
      vpin_50: flow["vpin"],
      vpin_buckets: flow["vpin_buckets"],
    };
  }

  /** What takers paid, by order of arrival and by the venue's time. */
  async spreads(): Promise<Figures> {
    const flow = await this.now("flow") ?? {};
    const of = (name: string) => ({
      trades: flow[`${name}_trades`],
      mean: flow[`${name}_bps`],
      volume_weighted: flow[`${name}_bps_weighted`],
    });
    return {
      effective_spread_bps_arrival_order: of("effective_spread"),
      effective_spread_bps_exchange_time: {
        ...of("effective_spread_exchange"),
        quotes_time_ordered: flow["quotes_time_ordered"],
      },
    };
  }

  async profile(): Promise<Figures> {
    const profile = await this.now("profiles") ?? {};
    const area = (of: Figures) => ({
      vah: of["vah"],
      val: of["val"],
      volume: of["value_area_volume"],
      share: Number(of["value_area_volume"]) / Number(profile["volume"]),
    });
    const top = Array.isArray(profile["top"]) ? profile["top"] : [];
    return {
      row: profile["row"],
      rows: profile["rows"],
      low_row: profile["low_row"],
      high_row: profile["high_row"],
      total: profile["volume"],
      poc: profile["poc"],
      poc_volume: top[0]?.[1],
      value_area_pairs: area(profile),
      value_area_single: area(isFigures(profile["single"]) ? profile["single"] : {}),
      top5_rows: top.slice(0, 5),
    };
  }

  async indicators(): Promise<Figures> {
    const events = await this.#seconds();
    return Object.fromEntries(INDICATORS.map(([expected, told]) => {
      const points = events.filter((event) => event[told] !== undefined)
        .map((event) => [Number(event["start_us"]) / 1000, event[told]]);
      return [expected, { first: points[0], last5: points.slice(-5) }];
    }));
  }

  async candles(): Promise<Figures> {
    const events = (await this.events("pattern")).filter(({ interval_ms }) => interval_ms === 5000);
    return Object.fromEntries(CANDLES.map((name) => {
      const times = events.filter(({ pattern }) => pattern === name).map(({ start_us }) =>
        Number(start_us) / 1000
      );
      return [name, { count: times.length, first5: times.slice(0, 5) }];
    }));
  }

  async #seconds(): Promise<Figures[]> {
    return (await this.events("indicator")).filter(({ interval_ms }) => interval_ms === 1000);
  }
}

/** Waits until `holds`, for at most a minute. @throws When it does not. */
export async function untilHolds(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let left = 3000; left > 0; left--) {
    if (await holds()) return;
    await Bun.sleep(20);
  }
  throw new Error(`Waited in vain: ${what}`);
}

function barRow(bar: Figures): unknown[] {
  const { open, high, low, close, volume, vwap, buy_volume, sell_volume, delta, trades } = bar;
  const t = Number(bar["start_us"]) / 1000;
  return [t, open, high, low, close, volume, vwap, buy_volume, sell_volume, delta, trades];
}

function isFigures(value: unknown): value is Figures {
  return typeof value === "object" && value !== null;
}
