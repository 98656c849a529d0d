/** Knows when a reader has everything that lay in the logs when it began. */
import { EscError } from "../src/errors.ts";
import type { StartAt } from "../src/client/subscription.ts";
import { getJson } from "./server-options.ts";
import { readStats } from "./shard-ranges.ts";

/** What is to be read, and whom to ask how much that is. */
export interface ReadPlan {
  readonly host: string;
  readonly httpPort: number;
  readonly from: StartAt;
  readonly consumer?: string | undefined;
  readonly lanes?: readonly string[] | undefined;
}

/** Offsets still to be reached, shard by shard. */
export class LogEnd {
  readonly #pending: Map<string, number>;

  /** @param pending By `lane/shard`: the offset after the last event to be read. */
  constructor(pending: ReadonlyMap<string, number>) {
    this.#pending = new Map(pending);
  }

  /** Notes that a shard was read up to (not including) `nextOffset`. */
  reached(shard: string, nextOffset: number): void {
    const end = this.#pending.get(shard);
    if (end !== undefined && nextOffset >= end) this.#pending.delete(shard);
  }

  /** Whether every shard was read to its end. */
  get isReached(): boolean {
    return this.#pending.size === 0;
  }
}

/**
 * Finds the end of the logs as they are now, for a reader that starts where the plan says.
 *
 * @throws {EscError} As `getJson()`.
 */
export async function findLogEnd(plan: ReadPlan): Promise<LogEnd> {
  const { ranges } = await readStats(plan);
  const stored = await storedOffsets(plan);
  const pending = new Map<string, number>();
  for (const [shard, { first, next }] of ranges) {
    const [lane = ""] = shard.split("/");
    if (next <= first || (plan.lanes !== undefined && !plan.lanes.includes(lane))) continue;
    const start = stored === undefined ? await startOffset(plan, shard, next) : stored[shard] ?? 0;
    if (start < next) pending.set(shard, next);
  }
  return new LogEnd(pending);
}

/**
 * Marks as read what the plan's durable consumer has confirmed meanwhile, by this reader or the one before it, whose
 * last confirmation may reach the store after we have asked for the end.
 */
export async function noteConfirmed(plan: ReadPlan, end: LogEnd): Promise<void> {
  for (const [shard, offset] of Object.entries(await storedOffsets(plan) ?? {})) end.reached(shard, offset);
}

async function startOffset(plan: ReadPlan, shard: string, next: number): Promise<number> {
  const { from } = plan;
  if (from === "earliest") return 0;
  if (from === "latest") return next;
  if ("offsets" in from) return from.offsets[shard] ?? next;
  // Whether a shard has anything from a time on, only the server can tell.
  const [lane = "", number = ""] = shard.split("/");
  const query = new URLSearchParams({ lane, shard: number, from_time: String(from.timeUs), limit: "1" });
  const answer = await getJson(plan, `/api/v1/events?${query}`);
  return isList(answer, "events") && answer.events.length > 0 ? 0 : next;
}

/** Positions of the plan's durable consumer, if it has any: they win over `from`. */
async function storedOffsets(plan: ReadPlan): Promise<Readonly<Record<string, number>> | undefined> {
  if (plan.consumer === undefined) return undefined;
  const answer = await getJson(plan, "/api/v1/consumers");
  if (!isList(answer, "consumers")) {
    throw new EscError("INTERNAL", "Server's /api/v1/consumers has no list of consumers");
  }
  const consumers = answer.consumers as { name: string; offsets: Record<string, number> }[];
  return consumers.find(({ name }) => name === plan.consumer)?.offsets;
}

function isList<K extends string>(value: unknown, key: K): value is Record<K, readonly unknown[]> {
  return typeof value === "object" && value !== null && key in value &&
    Array.isArray((value as Record<string, unknown>)[key]);
}
