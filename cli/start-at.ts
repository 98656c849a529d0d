/** Where a reader starts, as written on the command line. */
import { InvalidArgumentError } from "commander";
import type { StartAt } from "../src/client/subscription.ts";

const DURATION_MS: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3_600e3, d: 86_400e3 };

/**
 * Parses `latest`, `earliest`, `batch/0=5,realtime/1=7`, `15m` (that long ago), or an ISO 8601 time.
 *
 * @param nowMs The present, for durations.
 */
export function parseStartAt(text: string, nowMs = Date.now()): StartAt {
  if (text === "latest" || text === "earliest") return text;
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) {
    return { timeUs: Math.max(0, Math.round((nowMs - Number(count) * (DURATION_MS[unit] ?? NaN)) * 1000)) };
  }
  if (text.includes("=")) return { offsets: parseOffsets(text) };
  const ms = Date.parse(text);
  // Date.parse also takes "7" for a month: a time has a year, a month and a day.
  if (/^\d{4}-\d\d-\d\d/.test(text) && ms >= 0) return { timeUs: ms * 1000 };
  throw new InvalidArgumentError(
    "Expected latest, earliest, a time (2026-01-31T12:00:00Z), how long ago (15m), or offsets (batch/0=5,realtime/0=7).",
  );
}

function parseOffsets(text: string): Record<string, number> {
  return Object.fromEntries(
    text.split(",").map((part) => {
      const [, shard, offset] = /^([^/=]+\/\d+)=(\d+)$/.exec(part) ?? [];
      if (shard === undefined) throw new InvalidArgumentError(`"${part}" is not lane/shard=offset.`);
      return [shard, Number(offset)];
    }),
  );
}
