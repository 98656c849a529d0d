/** Routes of the dead-letter log: what could not be processed, why, and the way back. */
import { DLQ_LANE } from "../deliver/feed.ts";
import type { ApiContext } from "./context.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { Route } from "./route.ts";
import {
  dlqPurgeQuery,
  dlqQuery,
  dlqRequeueQuery,
  dlqSchema,
  problemSchema,
  purgedSchema,
  requeuedSchema,
} from "./schemas.ts";

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
        400: { description: "The query makes no sense", schema: problemSchema },
      },
      handle: (call) => dlq.list(call),
    },
    {
      method: "POST",
      path: "/api/v1/dlq/requeue",
      summary: "Publish dead letters again, as they were",
      description:
        "Those that are durable again are not listed any more. Doing it twice stores an event once.",
      tag: "dlq",
      query: dlqRequeueQuery,
      responses: {
        200: { description: "What became of them", schema: requeuedSchema },
        400: { description: "The query makes no sense", schema: problemSchema },
      },
      handle: (call) => dlq.requeue(call),
    },
    {
      method: "DELETE",
      path: "/api/v1/dlq",
      summary: "Give dead letters up: they are not listed any more",
      tag: "dlq",
      query: dlqPurgeQuery,
      responses: {
        200: { description: "How many", schema: purgedSchema },
        400: { description: "The query makes no sense", schema: problemSchema },
      },
      handle: (call) => dlq.purge(call),
    },
  ];
}
