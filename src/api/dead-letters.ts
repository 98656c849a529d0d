/**
 * The dead-letter log as the API sees it: who is listed, sent back, given up.
 *
 * Requeueing is idempotent. A letter is marked only after its event is durable again; between the two a crash may
 * leave it unmarked, and it is published a second time. Its message id then tells the lane that it has the event:
 * its own, or one made of its place in the dead-letter log. That where it had none, and where the event lies in its
 * lane's log and died behind it: by its own id it would be a duplicate, and never be processed again.
 *
 * Main thread.
 */
import { join } from "node:path";
import type { z } from "zod";
import { BadRequest, type Positions, shardKey } from "../deliver/request.ts";
import type { EventView } from "../deliver/subscription.ts";
import { revive } from "../event/dead-letter.ts";
import { decodeFrame } from "../event/decode.ts";
import { DROP_REASONS, FRAME_PREFIX_BYTES } from "../event/frame.ts";
import { withGivenId, withNewId } from "../event/given-id.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import type { ApiContext } from "./context.ts";
import { DeadLetterMarks } from "./dead-letter-marks.ts";
import { jsonOf } from "./event-json.ts";
import { parsePatterns } from "./event-routes.ts";
import { decodeCursor, encodeCursor, readEvents } from "./events-query.ts";
import { problemOf } from "./problem.ts";
import type { PublishOutcome } from "./publish-request.ts";
import { type ApiRequest, checkQuery, json } from "./route.ts";
import { type dlqEventSchema, dlqPurgeQuery, dlqQuery, dlqRequeueQuery } from "./schemas.ts";

/** Letters that one step of a purge deals with. */
const PURGE_COUNT_MAX = 10_000;

type DlqEvent = z.infer<typeof dlqEventSchema>;
type Filter = z.infer<typeof dlqPurgeQuery>;

/** A letter on its way back. */
interface Returning {
  readonly offset: number;
  readonly frame: Uint8Array;
  /** Nothing but this letter's return can have stored an event with this id. */
  readonly isOwn: boolean;
}

export class DeadLetters {
  readonly #context: ApiContext;
  readonly #info: ShardInfo;
  /** Opened when it is first needed: the log's folder may not exist before. */
  #marks: DeadLetterMarks | undefined;

  constructor(context: ApiContext, info: ShardInfo) {
    this.#context = context;
    this.#info = info;
  }

  list(call: ApiRequest): Response {
    const query = checkQuery(dlqQuery, call.url);
    if (query.response) return query.response;
    const events: DlqEvent[] = [];
    const next = this.#read(query.value, query.value, (view) => events.push(letterOf(view)));
    if (next instanceof Response) return next;
    return json(next === undefined ? { events } : { events, cursor: encodeCursor(next) });
  }

  async requeue(call: ApiRequest): Promise<Response> {
    const query = checkQuery(dlqRequeueQuery, call.url);
    if (query.response) return query.response;
    const { dry_run } = query.value;
    const letters: Returning[] = [];
    const next = this.#read(query.value, query.value, (view) => letters.push(this.#returning(view)));
    if (next instanceof Response) return next;
    const submissions = dry_run ? [] : letters.map(({ frame }) => ({ frame }));
    const outcomes = await this.#context.publisher.publish(submissions, "durable", "internal");
    let requeued = dry_run ? letters.length : 0;
    let duplicates = 0;
    let failed = 0;
    for (const [index, outcome] of outcomes.entries()) {
      const letter = letters[index] as Returning;
      if (!outcome.ok) failed++;
      else if (outcome.duplicate === undefined) requeued++;
      else duplicates++;
      // A duplicate of the event that died in processing was not processed by this either: it stays.
      if (isReturned(outcome, letter)) this.#opened().add(letter.offset);
    }
    if (requeued + duplicates > 0 && !dry_run) this.#save();
    const more = next === undefined ? {} : { cursor: encodeCursor(next) };
    return json({ requeued, duplicates, failed, has_more: next !== undefined, ...more, dry_run });
  }

  purge(call: ApiRequest): Response {
    const query = checkQuery(dlqPurgeQuery, call.url);
    if (query.response) return query.response;
    const { dry_run } = query.value;
    let deleted = 0;
    let cursor: string | undefined;
    do {
      const offsets: number[] = [];
      const next = this.#read(
        query.value,
        { limit: PURGE_COUNT_MAX, cursor },
        (view) => offsets.push(view.offset),
      );
      if (next instanceof Response) return next;
      for (const offset of dry_run ? [] : offsets) {
        if (!this.#opened().add(offset)) {
          return problemOf("STORE_UNAVAILABLE", "Too many single letters are marked");
        }
      }
      deleted += offsets.length;
      cursor = next === undefined ? undefined : encodeCursor(next);
    } while (cursor !== undefined);
    if (deleted > 0 && !dry_run) this.#save();
    return json({ deleted, dry_run });
  }

  #returning(view: EventView): Returning {
    const { frame, facts } = revive(view.bytes, view.at);
    const frameBytesMax = this.#context.engine.maxFrameBytes + FRAME_PREFIX_BYTES;
    const id = `esc-dlq-${view.offset}`;
    // Its offset is known: it lies in its lane's log.
    const isStored = facts.has("offset");
    const returning = (isStored ? withNewId : withGivenId)(frame, id, frameBytesMax);
    return { offset: view.offset, frame: returning, isOwn: !isStored || returning !== frame };
  }

  #read(
    filter: Omit<Filter, "dry_run">,
    page: { limit: number; cursor?: string | undefined },
    handle: (view: EventView) => void,
  ): Positions | Response | undefined {
    const patterns = parsePatterns(filter.topic);
    if (patterns.response) return patterns.response;
    const { cursor, limit } = page;
    const key = shardKey(this.#info.lane, this.#info.shard);
    const positions = cursor === undefined
      ? filter.offset === undefined ? {} : { [key]: filter.offset }
      : decodeCursor(cursor, [this.#info]);
    if (positions instanceof BadRequest) return problemOf("USAGE", positions.message);
    const marks = this.#opened();
    // A letter is looked for by its offset alone: behind it nothing has to be read.
    const isBehind = (offset: number) => filter.offset !== undefined && offset > filter.offset;
    let isDone = false;
    const next = readEvents(this.#context.tails, {
      patterns: patterns.value,
      shards: [this.#info],
      positions,
      limit: filter.offset === undefined ? limit : 1,
      isWanted: (view) => {
        isDone = isDone || isBehind(view.offset);
        return isDone || (!marks.has(view.offset) && isMatch(view, filter));
      },
    }, (view) => {
      if (!isDone) handle(view);
    });
    return filter.offset === undefined ? next : undefined;
  }

  #opened(): DeadLetterMarks {
    if (this.#marks !== undefined) return this.#marks;
    this.#marks = new DeadLetterMarks(join(this.#info.directory, "handled.json"));
    this.#releaseSegments(this.#marks);
    return this.#marks;
  }

  #save(): void {
    const marks = this.#opened();
    marks.save(this.#context.tails.firstOffset(this.#info.index));
    this.#releaseSegments(marks);
  }

  /** Segments in which every letter is dealt with may go. */
  #releaseSegments(marks: DeadLetterMarks): void {
    const first = this.#context.tails.firstOffset(this.#info.index);
    new ShardState(this.#info.state).dispensableOffset = marks.firstUnhandled(first);
  }
}

/** Whether there is nothing left to do about a letter. */
function isReturned(outcome: PublishOutcome, letter: Returning): boolean {
  return outcome.ok && (outcome.duplicate === undefined || letter.isOwn);
}

function isMatch(view: EventView, filter: Omit<Filter, "dry_run">): boolean {
  const { reason, lane, from_time, to_time } = filter;
  if ((reason ?? lane ?? from_time ?? to_time) === undefined) return true;
  const { facts } = revive(view.bytes, view.at);
  const diedUs = Number(facts.get("time-us") ?? view.receivedUs);
  return (reason === undefined || facts.get("reason") === reason) &&
    (lane === undefined || facts.get("lane") === lane) &&
    diedUs >= (from_time ?? 0) && diedUs < (to_time ?? Infinity);
}

function letterOf(view: EventView): DlqEvent {
  const { frame, facts } = revive(view.bytes, view.at);
  const number = (name: string) => {
    const text = facts.get(name);
    return text === undefined || !/^\d{1,16}$/.test(text) ? undefined : Number(text);
  };
  const reason = DROP_REASONS.find((name) => name === facts.get("reason")) ?? "unknown";
  const error = facts.get("error");
  const group = facts.get("group");
  const lane = facts.get("lane");
  const shard = number("shard");
  const offset = number("offset");
  const diedUs = number("time-us");
  return {
    ...jsonOf(decodeFrame(frame, 0), view),
    reason,
    ...(error === undefined ? {} : { error }),
    origin: {
      ...(lane === undefined ? {} : { lane }),
      ...(shard === undefined ? {} : { shard }),
      ...(offset === undefined ? {} : { offset }),
    },
    ...(group === undefined ? {} : { group }),
    attempts: number("attempts") ?? 0,
    ...(diedUs === undefined ? {} : { died_us: diedUs }),
  };
}
