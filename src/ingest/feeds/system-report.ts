/**
 * How the feeds as a whole are doing, measured over the time since the last report: an event of `market.system.health`.
 *
 *     offline    no leading line is open
 *     critical   over 10 % of the texts could not be used, or over 90 % of the memory or of all cores
 *     degraded   over 5 %, over 80 %, a leading line lost, or events lost for want of room
 *     healthy    otherwise
 */
import { availableParallelism, totalmem } from "node:os";
import type { Health } from "../../market/quality.ts";
import type { FeedLines } from "./feed-lines.ts";

/** What is counted from the start on. */
interface Totals {
  readonly atUs: number;
  readonly cpuUs: number;
  readonly messages: number;
  readonly unusable: number;
  readonly lost: number;
}

export interface SystemLoad {
  /** Events lost for want of room since the start, and bytes that wait for room now. */
  readonly lost: number;
  readonly waitingBytes: number;
}

export class SystemReport {
  readonly #feeds: readonly FeedLines[];
  #before: Totals;

  constructor(feeds: readonly FeedLines[], nowUs: number) {
    this.#feeds = feeds;
    this.#before = this.#totals(nowUs, 0);
  }

  /** The report as JSON, and what it comes to. CPU and memory are the whole process's. */
  next(nowUs: number, { lost, waitingBytes }: SystemLoad): { json: string; health: Health } {
    const before = this.#before;
    const now = this.#totals(nowUs, lost);
    this.#before = now;
    const seconds = (now.atUs - before.atUs) / 1e6;
    const messages = now.messages - before.messages;
    const errorRate = messages === 0 ? 0 : (now.unusable - before.unusable) / messages;
    const cpuShare = (now.cpuUs - before.cpuUs) / 1e6 / seconds / availableParallelism();
    const { rss, heapUsed } = process.memoryUsage();
    const lines = this.#feeds.flatMap((feed) => feed.lines);
    const leading = lines.filter(({ leads }) => leads);
    const openCount = leading.filter(({ isOpen }) => isOpen).length;
    const worst = Math.max(rss / totalmem(), cpuShare);
    const hasLost = now.lost > before.lost || openCount < leading.length;
    const health: Health = openCount === 0
      ? "offline"
      : errorRate > 0.1 || worst > 0.9
      ? "critical"
      : errorRate > 0.05 || worst > 0.8 || hasLost
      ? "degraded"
      : "healthy";
    const json = JSON.stringify({
      kind: "system",
      time_us: nowUs,
      health,
      messages_per_second: round(messages / seconds),
      error_rate: round(errorRate),
      events_lost: now.lost - before.lost,
      waiting_bytes: waitingBytes,
      lines: { open: lines.filter(({ isOpen }) => isOpen).length, all: lines.length },
      instruments: this.#feeds.reduce((sum, { events }) => sum + [...events.instruments].length, 0),
      cpu_share: round(cpuShare),
      rss_bytes: rss,
      heap_bytes: heapUsed,
    });
    return { json, health };
  }

  #totals(atUs: number, lost: number): Totals {
    const { user, system } = process.cpuUsage();
    let messages = 0;
    let unusable = 0;
    for (const { results } of this.#feeds.flatMap((feed) => feed.lines)) {
      for (const [result, count] of Object.entries(results)) {
        messages += count;
        if (result !== "ok") unusable += count;
      }
    }
    return { atUs, cpuUs: user + system, messages, unusable, lost };
  }
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
