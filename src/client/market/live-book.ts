/** An order book that follows `book_snapshot` and `book_delta` events, for display: prices stay the texts they are. */

type Level = readonly [price: string, qty: string];

export interface BookView {
  readonly venue: string;
  readonly symbol: string;
  /** Best first. */
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
  readonly lastId: number | undefined;
}

export class LiveBook {
  readonly #venue: string;
  readonly symbol: string;
  readonly #bids = new Map<string, string>();
  readonly #asks = new Map<string, string>();
  #lastId: number | undefined;
  #isJoined = false;

  constructor(venue: string, symbol: string) {
    this.#venue = venue;
    this.symbol = symbol;
  }

  /** A snapshot has come: before it, updates say nothing. */
  get isJoined(): boolean {
    return this.#isJoined;
  }

  /** Takes one event. @returns Whether the book can be shown. */
  take(data: Readonly<Record<string, unknown>>): boolean {
    if (data["kind"] === "book_snapshot") {
      this.#isJoined = true;
      this.#bids.clear();
      this.#asks.clear();
    }
    if (!this.#isJoined) return false;
    apply(this.#bids, data["bids"]);
    apply(this.#asks, data["asks"]);
    const lastId = data["last_id"];
    this.#lastId = typeof lastId === "number" ? lastId : undefined;
    return true;
  }

  /** The best levels now. */
  view(levels = 20): BookView {
    return {
      venue: this.#venue,
      symbol: this.symbol,
      bids: sorted(this.#bids, -1).slice(0, levels),
      asks: sorted(this.#asks, 1).slice(0, levels),
      lastId: this.#lastId,
    };
  }
}

function apply(side: Map<string, string>, levels: unknown): void {
  if (!Array.isArray(levels)) return;
  for (const level of levels) {
    if (!Array.isArray(level)) continue;
    const [price, qty] = level;
    if (typeof price !== "string" || typeof qty !== "string") continue;
    if (qty === "0") side.delete(price);
    else side.set(price, qty);
  }
}

function sorted(side: ReadonlyMap<string, string>, sign: 1 | -1): Level[] {
  return [...side].sort(([a], [b]) => sign * (Number(a) - Number(b)));
}
