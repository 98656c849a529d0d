/** A book rebuilt from esc's events alone, with texts as keys: what any program that reads the topics would do. */
import { createHash } from "node:crypto";

type Level = readonly [price: string, qty: string];

interface BookEvent {
  readonly kind: string;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
  readonly last_id?: number;
}

/** Follows one instrument's `book_snapshot` and `book_delta` events. */
export class FollowedBook {
  readonly #bids = new Map<string, string>();
  readonly #asks = new Map<string, string>();
  readonly #hash = createHash("sha256");
  updateCount = 0;
  snapshotCount = 0;
  /** Updates after which the best bid was not below the best ask. */
  crossedCount = 0;
  /** Lines of the series: 1, 10, 100, 500 and each 1000th. */
  readonly checkpoints: [number: number, line: string][] = [];
  lastId = NaN;

  /** @param byId Whether the series' key is the venue's update id, or the update's ordinal. */
  take(event: BookEvent, byId: boolean): void {
    const isSnapshot = event.kind === "book_snapshot";
    if (isSnapshot) {
      this.#bids.clear();
      this.#asks.clear();
      this.snapshotCount++;
    } else this.updateCount++;
    for (const [side, levels] of [[this.#bids, event.bids], [this.#asks, event.asks]] as const) {
      for (const [price, qty] of levels) {
        if (qty === "0") side.delete(price);
        else side.set(price, qty);
      }
    }
    this.lastId = event.last_id ?? NaN;
    if (isSnapshot) return;
    const line = `${byId ? this.lastId : this.updateCount},${this.top()}`;
    this.#hash.update(`${line}\n`);
    const [, bid, , ask] = line.split(",");
    if (Number(bid) >= Number(ask)) this.crossedCount++;
    const count = this.updateCount;
    if ([1, 10, 100, 500].includes(count) || count % 1000 === 0) this.checkpoints.push([count, line]);
  }

  /** `bid,bidQty,ask,askQty` */
  top(): string {
    const bid = best(this.#bids, 1);
    const ask = best(this.#asks, -1);
    return `${bid},${this.#bids.get(bid) ?? ""},${ask},${this.#asks.get(ask) ?? ""}`;
  }

  sha256(): string {
    return this.#hash.digest("hex");
  }
}

function best(side: ReadonlyMap<string, string>, sign: 1 | -1): string {
  let found = "";
  let value = NaN;
  for (const price of side.keys()) {
    const number = Number(price);
    if (!(sign * (number - value) <= 0)) [found, value] = [price, number];
  }
  return found;
}
