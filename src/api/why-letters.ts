/** Dead letters of one event, for `/api/v1/why`. Main thread. */
import { join } from "node:path";
import { z } from "zod";
import type { ShardTails } from "../deliver/tail.ts";
import { revive } from "../event/dead-letter.ts";
import { EventCursor } from "../log/batch.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import { DeadLetterMarks } from "./dead-letter-marks.ts";
import { SEARCH_MS_MAX } from "./why-search.ts";

const count = z.int().min(0);

export const letterSchema = z.strictObject({
  offset: count.describe("In the dead-letter log"),
  died_us: count,
  reason: z.string(),
  error: z.string().optional(),
  attempts: count,
  origin: z.string().optional().describe(
    "lane/shard@offset; without an offset it never reached the log of its lane",
  ),
  is_handled: z.boolean().describe("It was requeued or purged"),
});
export type Letter = z.infer<typeof letterSchema>;

export interface EventPlace {
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
}

/** Tells of the letter on which the cursor stands. */
export function letterOf(info: ShardInfo, { bytes, frameAt, offset, receivedUs }: EventCursor): Letter {
  const { facts } = revive(bytes, frameAt);
  const lane = facts.get("lane");
  const at = facts.get("offset");
  const error = facts.get("error");
  return {
    offset,
    died_us: Number(facts.get("time-us") ?? receivedUs),
    reason: facts.get("reason") ?? "unknown",
    ...(error === undefined ? {} : { error }),
    attempts: Number(facts.get("attempts") ?? 0),
    ...(lane === undefined
      ? {}
      : { origin: `${lane}/${facts.get("shard")}${at === undefined ? "" : `@${at}`}` }),
    // Read when there is a letter at all: the file is small, and written whole whenever it changes.
    is_handled: new DeadLetterMarks(join(info.directory, "handled.json")).has(offset),
  };
}

/**
 * Reads letters from an offset on for those of one event, a bounded time.
 *
 * @returns Where to go on; `undefined` at the end.
 */
export function lettersOf(
  tails: ShardTails,
  info: ShardInfo,
  event: EventPlace,
  fromOffset: number,
  found: (letter: Letter) => void,
): number | undefined {
  const deadlineMs = performance.now() + SEARCH_MS_MAX;
  const cursor = new EventCursor();
  const visible = tails.visibleOffset(info.index);
  for (let at = fromOffset; at < visible;) {
    const batch = tails.batchAt(info.index, at);
    if (batch === undefined) return undefined;
    cursor.open(batch, at);
    while (cursor.next()) {
      const { facts } = revive(cursor.bytes, cursor.frameAt);
      const isIts = facts.get("offset") === String(event.offset) && facts.get("lane") === event.lane &&
        facts.get("shard") === String(event.shard);
      if (isIts) found(letterOf(info, cursor));
    }
    at = batch.baseOffset + batch.count;
    if (at < visible && performance.now() >= deadlineMs) return at;
  }
  return undefined;
}
