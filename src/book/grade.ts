/** How far a book can be trusted, as one number and one word. */
import { spreadBps } from "./analytics.ts";
import type { OrderBook } from "./book.ts";
import { isCrossed } from "./validation.ts";

export type Grade = "excellent" | "good" | "fair" | "poor" | "invalid";

export interface BookGrade {
  /** 0 .. 100. */
  readonly score: number;
  readonly grade: Grade;
}

/** What the book itself does not know. */
export interface BookHistory {
  readonly nowUs: number;
  /** Gaps since the last join that went well. */
  readonly gapCount: number;
}

const STALE_US = 10_000_000;
const WIDE_SPREAD_BPS = 100;

/**
 * Grades a book: 100, less 50 for an empty side, 40 when crossed, 20 for a spread over 1 %, 15 after gaps,
 * 10 when the newest update is older than 10 s.
 */
export function gradeBook(book: OrderBook, history: BookHistory): BookGrade {
  let score = 100;
  if (book.bids.count === 0 || book.asks.count === 0) score -= 50;
  if (isCrossed(book)) score -= 40;
  if (spreadBps(book) > WIDE_SPREAD_BPS) score -= 20;
  if (history.gapCount > 0) score -= 15;
  if (history.nowUs - book.receivedUs > STALE_US) score -= 10;
  score = Math.max(0, score);
  return { score, grade: gradeOf(score) };
}

/** The word for a score: from 90 excellent, 70 good, 50 fair, 30 poor, else invalid. */
export function gradeOf(score: number): Grade {
  if (score >= 90) return "excellent";
  if (score >= 70) return "good";
  if (score >= 50) return "fair";
  return score >= 30 ? "poor" : "invalid";
}
