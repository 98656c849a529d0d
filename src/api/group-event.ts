/** Events of a group as JSON, and what becomes of those that nobody could deal with. */
import type { GroupEntry } from "../deliver/group.ts";
import { deadTopic } from "../deliver/groups.ts";
import { decodeFrame } from "../event/decode.ts";
import { type JsonEvent, jsonOf } from "./event-json.ts";
import type { Publisher } from "./publisher.ts";

/** The event with how often it was delivered, this time included. */
export function groupEvent(entry: GroupEntry): JsonEvent & { attempts: number } {
  const slash = entry.shard.lastIndexOf("/");
  const place = {
    lane: entry.shard.slice(0, slash),
    shard: Number(entry.shard.slice(slash + 1)),
    offset: entry.offset,
    receivedUs: entry.receivedUs,
  };
  return { ...jsonOf(decodeFrame(entry.frame, 0), place), attempts: entry.attempts };
}

/**
 * Stores a dead event of a group under `dead.<group>`, with where it came from in its headers. Its message
 * id is made of its origin, so a burial that is repeated after a crash stores nothing twice.
 */
export function burial(publisher: Publisher): (group: string, entry: GroupEntry) => Promise<boolean> {
  return async (group, entry) => {
    const event = decodeFrame(entry.frame, 0);
    const [outcome] = await publisher.publish(
      [{
        topic: deadTopic(group),
        payload: event.payload,
        priority: event.priority,
        id: idOf(`${group} ${entry.shard}@${entry.offset}`),
        key: event.key,
        timeUs: event.timeUs,
        headers: [
          ...event.headers,
          ["esc-group", group],
          ["esc-reason", "max_deliveries"],
          ["esc-topic", event.topic],
          ["esc-origin", `${entry.shard}@${entry.offset}`],
          ["esc-attempts", String(entry.attempts)],
          ...(event.id === undefined ? [] : [["esc-message-id", event.id]] as const),
        ],
      }],
      "durable",
      "internal",
    );
    return outcome?.ok === true;
  };
}

function idOf(origin: string): string {
  return `dead-${new Bun.CryptoHasher("sha256").update(origin).digest("hex").slice(0, 40)}`;
}
