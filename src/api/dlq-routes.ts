/** The dead-letter log: what could not be processed, why, and the way back. */
import { join } from "node:path";
import type { z } from "zod";
import { BadRequest, shardKey } from "../deliver/request.ts";
import { DLQ_LANE } from "../deliver/feed.ts";
import type { EventView } from "../deliver/subscription.ts";
import { revive } from "../event/dead-letter.ts";
import { decodeFrame } from "../event/decode.ts";
import { DROP_REASONS } from "../event/frame.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import type { ApiContext } from "./context.ts";
import { DeadLetterMarks } from "./dead-letter-marks.ts";
import { jsonOf } from "./event-json.ts";
import { parsePatterns } from "./event-routes.ts";
import { decodeCursor, encodeCursor, readEvents } from "./events-query.ts";
import { problemOf } from "./problem.ts";
import type { Submission } from "./publish-request.ts";
import { type ApiRequest, checkQuery, json, type Route } from "./route.ts";
import {
  deletedSchema,
  type dlqEventSchema,
  dlqFilterQuery,
  dlqQuery,
  dlqSchema,
  requeuedSchema,
} from "./schemas.ts";

/** Letters that one requeue, or one piece of a purge, deals with. */
const BATCH_COUNT_MAX = 10_000;
/** Letters that are published again at the same time. */
const REQUEUE_COUNT = 256;

type DlqEvent = z.infer<typeof dlqEventSchema>;
type Filter = z.infer<typeof dlqFilterQuery>;

export function dlqRoutes(context: ApiContext): Route[] {
  const info = context.engine.shards.find((shard) => shard.lane === DLQ_LANE);
  if (info === undefined) return [];
  const dlq = new DeadLetters(context, info);
  return [
    {
      method: "GET",
      path: "/api/v1/dlq",
      summary: "Dead letters that nobody has dealt with, oldest first",
      tag: "dlq",
      query: dlqQuery,
      responses: {
        200: { description: "Each as it was, with its reason and origin", schema: dlqSchema },
      },
      handle: (call) => dlq.list(call),
    },
    {
      method: "POST",
      path: "/api/v1/dlq/requeue",
      summary: "Publish dead letters again, as they were",
      description: "Those that are durable again are not listed any more.",
      tag: "dlq",
      query: dlqFilterQuery,
      responses: { 200: { description: "What became of them", schema: requeuedSchema } },
      handle: (call) => dlq.requeue(call),
    },
    {
      method: "DELETE",
      path: "/api/v1/dlq",
      summary: "Give dead letters up: they are not listed any more",
      tag: "dlq",
      query: dlqFilterQuery,
      responses: { 200: { description: "How many", schema: deletedSchema } },
      handle: (call) => dlq.purge(call),
    },
  ];
}

interface Letter {
  readonly offset: number;
  readonly submission: Submission;
}

class DeadLetters {
  readonly #context: ApiContext;
  readonly #info: ShardInfo;
  readonly #key: string;
  /** Opened when it is first needed: the log's folder may not exist before. */
  #marks: DeadLetterMarks | undefined;

  constructor(context: ApiContext, info: ShardInfo) {
    this.#context = context;
    this.#info = info;
    this.#key = shardKey(info.lane, info.shard);
  }

  list(call: ApiRequest): Response {
    const query = checkQuery(dlqQuery, call.url);
    if (query.response) return query.response;
    const { cursor, limit } = query.value;
    const positions = cursor === undefined ? {} : decodeCursor(cursor, [this.#info]);
    if (positions instanceof BadRequest) return problemOf("USAGE", positions.message);
    const events: DlqEvent[] = [];
    const from = positions[this.#key];
    const next = this.#read(query.value, { from, limit }, (view) => events.push(letterOf(view)));
    if (next instanceof Response) return next;
    return json(next === undefined ? { events } : { events, cursor: encodeCursor(next) });
  }

  async requeue(call: ApiRequest): Promise<Response> {
    const query = checkQuery(dlqFilterQuery, call.url);
    if (query.response) return query.response;
    let requeued = 0;
    let failed = 0;
    let from: number | undefined = 0;
    // In pieces, because an event that meets a full lane dies again: then the rest waits for better times.
    while (from !== undefined && failed === 0 && requeued < BATCH_COUNT_MAX) {
      const letters: Letter[] = [];
      const next = this.#read(query.value, { from, limit: REQUEUE_COUNT }, (view) => {
        letters.push({ offset: view.offset, submission: { frame: revive(view.bytes, view.at).frame } });
      });
      if (next instanceof Response) return next;
      from = next?.[this.#key];
      failed = letters.length - await this.#publish(letters);
      requeued += letters.length - failed;
    }
    return json({ requeued, failed, has_more: from !== undefined });
  }

  /** Publishes letters again and marks those that are durable. @returns How many are. */
  async #publish(letters: readonly Letter[]): Promise<number> {
    const submissions = letters.map((letter) => letter.submission);
    const outcomes = await this.#context.publisher.publish(submissions, "durable", "internal");
    const done = letters.filter((_, index) => outcomes[index]?.ok === true);
    const marked = done.filter((letter) => this.#opened().add(letter.offset)).length;
    if (marked > 0) this.#save();
    return marked;
  }

  async purge(call: ApiRequest): Promise<Response> {
    const query = checkQuery(dlqFilterQuery, call.url);
    if (query.response) return query.response;
    let deleted = 0;
    let from: number | undefined;
    do {
      const offsets: number[] = [];
      const options = { from, limit: BATCH_COUNT_MAX };
      const next = this.#read(query.value, options, (view) => void offsets.push(view.offset));
      if (next instanceof Response) return next;
      for (const offset of offsets) {
        if (!this.#opened().add(offset)) {
          return problemOf("STORE_UNAVAILABLE", "Too many single letters are marked");
        }
      }
      deleted += offsets.length;
      from = next?.[this.#key];
      // A long log is read in pieces, and others are served in between.
      await new Promise((resolve) => setImmediate(resolve));
    } while (from !== undefined);
    if (deleted > 0) this.#save();
    return json({ deleted });
  }

  #read(
    filter: Filter,
    options: { from?: number | undefined; limit: number },
    handle: (view: EventView) => void,
  ) {
    const patterns = parsePatterns(filter.topic);
    if (patterns.response) return patterns.response;
    const marks = this.#opened();
    const { from, limit } = options;
    return readEvents(this.#context.tails, {
      patterns: patterns.value,
      shards: [this.#info],
      positions: from === undefined ? {} : { [this.#key]: from },
      limit,
      isWanted: (view) => !marks.has(view.offset) && isMatch(view, filter),
    }, handle);
  }

  #opened(): DeadLetterMarks {
    return this.#marks ??= new DeadLetterMarks(join(this.#info.directory, "handled.json"));
  }

  #save(): void {
    this.#opened().save(this.#context.tails.firstOffset(this.#info.index));
  }
}

function isMatch(view: EventView, { reason, lane }: Filter): boolean {
  if (reason === undefined && lane === undefined) return true;
  const { facts } = revive(view.bytes, view.at);
  return (reason === undefined || facts.get("reason") === reason) &&
    (lane === undefined || facts.get("lane") === lane);
}

function letterOf(view: EventView): DlqEvent {
  const { frame, facts } = revive(view.bytes, view.at);
  const number = (name: string) => {
    const text = facts.get(name);
    return text === undefined || !/^\d{1,16}$/.test(text) ? undefined : Number(text);
  };
  const reason = DROP_REASONS.find((name) => name === facts.get("reason")) ?? "unknown";
  const error = facts.get("error");
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
    attempts: number("attempts") ?? 0,
    ...(diedUs === undefined ? {} : { died_us: diedUs }),
  };
}
