/** What members of a consumer group send, by WebSocket and by HTTP. */
import { z } from "zod";
import { type From, isConsumerName } from "../deliver/request.ts";
import type { GroupRequest } from "../deliver/groups.ts";
import { patternSchema } from "./schemas.ts";

const name = z.string().refine(isConsumerName, 'not 1 to 64 of letters, digits, ".", "_" and "-"');
export const memberName = z.string().min(1).max(64).describe("Who the worker is, for those who look");
const positions = z.record(z.string().regex(/^.+\/\d+$/, 'Not "lane/shard"'), z.int().min(0));

/** What all members of a group say alike. */
export const groupFields = z.strictObject({
  topics: z.array(patternSchema).min(1).max(64).default([">"]).describe("Patterns; one match is enough"),
  from: z.union([
    z.enum(["latest", "earliest"]),
    z.strictObject({ time_us: z.int().min(0) }),
    z.strictObject({ offsets: positions }),
  ]).default("latest").describe("Where a new group starts"),
  mode: z.enum(["queue", "ordered"]).default("queue").describe(
    "queue: an event to whichever member is free; ordered: events with the same key one after the other",
  ),
  lease_ms: z.int().min(100).max(86_400_000).default(30_000).describe(
    "How long a member may hold an event before others get it",
  ),
  max_deliveries: z.int().min(1).max(1000).default(5).describe("After the last one an event is dead"),
});

/** A WebSocket's `subscribe` with a group. */
export const groupSubscribe = z.strictObject({
  ...groupFields.shape,
  id: z.string().min(1).max(64),
  group: name,
  member: memberName.optional(),
  max_in_flight: z.int().min(1).max(4096).default(100),
});

/** A WebSocket's `ack` and `nack`. */
export const groupSettle = z.strictObject({
  id: z.string().min(1).max(64),
  events: z.array(z.tuple([z.string().max(300), z.int().min(0)])).min(1).max(4096),
});

/** @param group Its name, checked. */
export function groupRequestOf(group: string, fields: z.infer<typeof groupFields>): GroupRequest {
  return {
    name: group,
    topics: fields.topics,
    from: fromOf(fields.from),
    mode: fields.mode,
    leaseMs: fields.lease_ms,
    deliveriesMax: fields.max_deliveries,
  };
}

function fromOf(from: z.infer<typeof groupFields>["from"]): From {
  return typeof from === "object" && "time_us" in from ? { timeUs: from.time_us } : from;
}
