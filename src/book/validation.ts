/**
 * Defects of a book and of the messages that make it: what is wrong, how bad, and what score that leaves.
 *
 * Sides are sorted and unique by construction (`side.ts`); `checkOrder` proves it on request, because a broken
 * invariant here would be a bug of ours and not of the venue.
 */
import type { OrderBook } from "./book.ts";
import type { LevelColumns } from "./levels.ts";
import type { BookSide } from "./side.ts";

/** Errors make a book or message unusable, warnings only doubtful. */
export type Severity = "error" | "warning";

export type Defect =
  | "price_not_positive"
  | "quantity_negative"
  | "crossed"
  | "side_empty"
  | "unsorted"
  | "sequence_gap"
  | "out_of_order"
  | "duplicate"
  | "checksum_mismatch"
  | "spread_over_tolerance";

/** How each defect counts. */
export const DEFECT_SEVERITY: Readonly<Record<Defect, Severity>> = {
  price_not_positive: "error",
  quantity_negative: "error",
  crossed: "error",
  side_empty: "warning",
  unsorted: "error",
  sequence_gap: "error",
  out_of_order: "warning",
  duplicate: "warning",
  checksum_mismatch: "error",
  spread_over_tolerance: "warning",
};

const ERROR_POINTS = 25;
const WARNING_POINTS = 5;

/** The first defect in the levels of a message, or `undefined`. Runs before they are applied. */
export function checkLevels(levels: LevelColumns): Defect | undefined {
  const { price, qty, count } = levels;
  for (let at = 0; at < count; at++) {
    if (!((price[at] as number) > 0)) return "price_not_positive";
    if (!((qty[at] as number) >= 0)) return "quantity_negative";
  }
  return undefined;
}

/** Best bid at or above best ask. */
export function isCrossed(book: OrderBook): boolean {
  return book.bids.count > 0 && book.asks.count > 0 && book.bids.price(0) >= book.asks.price(0);
}

/** Whether keys ascend strictly and all quantities are positive. */
export function checkOrder(side: BookSide): boolean {
  for (let at = 0; at < side.count; at++) {
    if (at > 0 && (side.key[at - 1] as number) >= (side.key[at] as number)) return false;
    if (!((side.qty[at] as number) > 0)) return false;
  }
  return true;
}

/**
 * All defects of the book as it stands.
 *
 * @param spreadToleranceBps Widest spread that is no warning, in ten-thousandths of the middle.
 */
export function checkBook(book: OrderBook, spreadToleranceBps = Infinity): Defect[] {
  const defects: Defect[] = [];
  if (!checkOrder(book.bids) || !checkOrder(book.asks)) defects.push("unsorted");
  if (book.bids.count === 0 || book.asks.count === 0) defects.push("side_empty");
  if (isCrossed(book)) defects.push("crossed");
  else if (book.bids.count > 0 && book.asks.count > 0) {
    const bid = book.bids.price(0);
    const ask = book.asks.price(0);
    if (((ask - bid) / (ask + bid)) * 20_000 > spreadToleranceBps) defects.push("spread_over_tolerance");
  }
  return defects;
}

/** 100 less 25 for each error and 5 for each warning, never below 0. */
export function validationScore(defects: readonly Defect[]): number {
  let score = 100;
  for (const defect of defects) {
    score -= DEFECT_SEVERITY[defect] === "error" ? ERROR_POINTS : WARNING_POINTS;
  }
  return Math.max(0, score);
}

export type GapSeverity = "low" | "medium" | "high" | "critical";

/** How bad a hole of `missing` sequence numbers is: up to 5 low, 20 medium, 100 high, else critical. */
export function gapSeverity(missing: number): GapSeverity {
  if (missing <= 5) return "low";
  if (missing <= 20) return "medium";
  return missing <= 100 ? "high" : "critical";
}

/** How bad a silence is: over 60 s high, over 300 s critical; `undefined` when it is none. */
export function silenceSeverity(silenceUs: number): GapSeverity | undefined {
  if (silenceUs > 300_000_000) return "critical";
  return silenceUs > 60_000_000 ? "high" : undefined;
}
