/**
 * Trades in unbroken numbers: finds what a line lost, and what it (or a second line) sent twice.
 *
 * Where a venue numbers trades without holes per instrument (Binance, Coinbase, Kraken v2), a jump means lost trades.
 * Aggregated trades are checked by the trades they cover.
 */
import type { MarketMessage } from "../../market/message.ts";

export interface ContinuityVerdict {
  /** Trades lost just before this one. */
  readonly missing: number;
  /** This trade was seen already. */
  readonly isRepeat: boolean;
}

const IN_ORDER: ContinuityVerdict = { missing: 0, isRepeat: false };
const REPEAT: ContinuityVerdict = { missing: 0, isRepeat: true };

/** One instrument's trade numbers. */
export class TradeContinuity {
  missingCount = 0;
  repeatCount = 0;
  #last = NaN;

  /** Judges one trade; trades without a number are always in order. */
  check(trade: MarketMessage): ContinuityVerdict {
    const first = Number.isNaN(trade.firstTradeId) ? trade.id : trade.firstTradeId;
    const last = Number.isNaN(trade.lastTradeId) ? trade.id : trade.lastTradeId;
    return this.#advance(first, last);
  }

  /** Goes on behind a number known from before. */
  expectAfter(last: number): void {
    if (!(last < this.#last)) this.#last = last;
  }

  /** Judges the newest trade number a heartbeat tells: a higher one than ours means trades are missing. */
  checkHeartbeat(lastTradeId: number): ContinuityVerdict {
    if (!(lastTradeId > this.#last)) return IN_ORDER;
    return this.#advance(lastTradeId + 1, lastTradeId);
  }

  #advance(first: number, last: number): ContinuityVerdict {
    if (Number.isNaN(last)) return IN_ORDER;
    const before = this.#last;
    if (last <= before) {
      this.repeatCount++;
      return REPEAT;
    }
    this.#last = last;
    if (Number.isNaN(before) || first <= before + 1) return IN_ORDER;
    const missing = first - before - 1;
    this.missingCount += missing;
    return { missing, isRepeat: false };
  }
}
