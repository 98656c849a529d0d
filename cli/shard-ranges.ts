/** How far every shard's log reaches, as `/api/v1/stats` says it. */
import { EscError } from "../src/errors.ts";
import { getJson } from "./server-options.ts";

/** Offsets that a log holds: first ≤ offset < next. */
export interface ShardRange {
  readonly first: number;
  readonly next: number;
}

/** The counters of `/api/v1/stats` that its accounting identities speak of. */
export interface Ledger {
  readonly received: number;
  readonly accepted: number;
  readonly durable: number;
  readonly dropped: number;
  readonly rejected: number;
  readonly duplicates: number;
}

/** What commands need of `/api/v1/stats`. */
export interface ServerStats {
  readonly events: Ledger;
  /** By `lane/shard`; without the dead letters. */
  readonly ranges: ReadonlyMap<string, ShardRange>;
}

interface StatsAnswer {
  readonly events: Ledger;
  readonly lanes: Readonly<
    Record<
      string,
      { readonly shards: readonly { readonly first_offset: number; readonly next_offset: number }[] }
    >
  >;
}

/** Asks the server. @throws {EscError} As `getJson()`, and `INTERNAL` when the answer is of another shape. */
export async function readStats(server: { host: string; httpPort: number }): Promise<ServerStats> {
  const answer = await getJson(server, "/api/v1/stats");
  if (!isStats(answer)) throw new EscError("INTERNAL", "Server's /api/v1/stats has no events and lanes");
  const ranges = new Map<string, ShardRange>();
  for (const [lane, { shards }] of Object.entries(answer.lanes)) {
    for (const [shard, { first_offset: first, next_offset: next }] of shards.entries()) {
      ranges.set(`${lane}/${shard}`, { first, next });
    }
  }
  return { events: answer.events, ranges };
}

function isStats(value: unknown): value is StatsAnswer {
  return typeof value === "object" && value !== null && "events" in value && "lanes" in value;
}
