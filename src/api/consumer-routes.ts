/** Durable consumers and groups: who they are, why they stand still, and work by HTTP. */
import { z } from "zod";
import type { ConsumerPosition } from "../deliver/consumer.ts";
import { BadRequest, Conflict, isConsumerName, shardKey } from "../deliver/request.ts";
import { forbidden } from "./access.ts";
import type { ApiContext } from "./context.ts";
import { groupEvent } from "./group-event.ts";
import { groupFields, groupRequestOf, memberName } from "./group-request.ts";
import { problem, problemOf } from "./problem.ts";
import { type ApiRequest, check, type Checked, checkQuery, json, type Route } from "./route.ts";
import { consumerName, consumersDeleteQuery, deletedSchema, eventSchema, problemSchema } from "./schemas.ts";
import { explainStanding } from "./standing.ts";

const count = z.int().min(0);
const place = z.strictObject({ lane: z.string().max(255), shard: count, offset: count });
const groupSchema = z.strictObject({
  topics: z.array(z.string()),
  mode: z.enum(["queue", "ordered"]),
  lease_ms: count,
  max_deliveries: count,
  ready: count,
  held: count,
  dead: count,
  members: z.array(z.strictObject({ name: z.string(), in_flight: count, is_full: z.boolean() })),
});
const consumerSchema = z.strictObject({
  name: z.string(),
  updated_us: count.describe("Last confirmation"),
  offsets: z.record(z.string(), count),
  lag: count.describe("Events of the log not confirmed yet; some may not match"),
  standing: z.string().describe("Why it stands where it stands"),
  group: groupSchema.optional().describe("When a group of this name is at work"),
});
const pullBody = z.strictObject({
  ...groupFields.shape,
  member: memberName,
  count: z.int().min(1).max(1000).default(100),
});
const settleBody = z.strictObject({
  member: memberName,
  done: z.array(place).max(4096).default([]),
  retry: z.array(place).max(4096).default([]),
  extend: z.boolean().default(false).describe("More time for everything that the member holds"),
});
const nameParams = z.object({ name: consumerName });
const resetQuery = z.strictObject({ to: z.enum(["earliest", "latest"]) });
/** Bytes of a pull's or settle's JSON. */
const BODY_BYTES_MAX = 1024 * 1024;

const refused = { 400: { description: "The request makes no sense", schema: problemSchema } };
const conflict = { 409: { description: "Members of the group stand against it", schema: problemSchema } };
const unknown = { 404: { description: "There is none of that name", schema: problemSchema } };

export function consumerRoutes(context: ApiContext): Route[] {
  const { engine, groups } = context;
  const missing = (name: string) => problemOf("NOT_FOUND", `Consumer "${name.slice(0, 100)}" does not exist`);
  return [
    {
      method: "GET",
      path: "/api/v1/consumers",
      summary: "Durable consumers and groups: how far behind they are, and why",
      tag: "consumers",
      responses: {
        200: { description: "The consumers", schema: z.strictObject({ consumers: z.array(consumerSchema) }) },
      },
      handle: () =>
        json({ consumers: engine.consumers.list().map((position) => describe(context, position)) }),
    },
    {
      method: "DELETE",
      path: "/api/v1/consumers",
      summary: "Forget a durable consumer's position",
      tag: "consumers",
      query: consumersDeleteQuery,
      responses: {
        200: { description: "Forgotten", schema: deletedSchema },
        ...refused,
        ...conflict,
        ...unknown,
      },
      handle: (call) => {
        const query = checkQuery(consumersDeleteQuery, call.url);
        if (query.response) return query.response;
        const { name } = query.value;
        const refused = groups.retire(name);
        if (refused) return refusal(refused);
        return engine.consumers.delete(name) ? json({ deleted: 1 }) : missing(name);
      },
    },
    {
      method: "POST",
      path: "/api/v1/consumers/{name}/reset",
      summary: "Move a consumer to the beginning or the end of the log",
      tag: "consumers",
      params: nameParams,
      query: resetQuery,
      responses: {
        200: { description: "Where it is now", schema: consumerSchema },
        ...refused,
        ...conflict,
        ...unknown,
      },
      handle: (call) => reset(context, call),
    },
    {
      method: "POST",
      path: "/api/v1/consumers/{name}/pull",
      summary: "Take events as a member of a group",
      description:
        "The group is made when it is new. Each event is the member's for lease_ms; say what became " +
        "of it with settle. All members of a group ask for the same topics, mode, lease and deliveries.",
      tag: "consumers",
      params: nameParams,
      body: { "application/json": pullBody },
      responses: {
        200: {
          description: "Events, none when nothing is ready",
          schema: z.strictObject({
            events: z.array(z.strictObject({ ...eventSchema.shape, attempts: count })),
          }),
        },
        ...refused,
        ...conflict,
      },
      handle: (call) => pull(context, call),
    },
    {
      method: "POST",
      path: "/api/v1/consumers/{name}/settle",
      summary: "Say what became of events that a member of a group took",
      tag: "consumers",
      params: nameParams,
      body: { "application/json": settleBody },
      responses: {
        200: {
          description: "How many counted; stale ones were not the member's any more",
          schema: z.strictObject({ done: count, retry: count, stale: count }),
        },
        ...refused,
        ...unknown,
      },
      handle: (call) => settle(context, call),
    },
  ];
}

function describe(
  { engine, tails, groups }: ApiContext,
  { name, offsets, updatedUs }: ConsumerPosition,
): z.infer<typeof consumerSchema> {
  let lag = 0;
  for (const info of engine.shards) {
    const offset = offsets[shardKey(info.lane, info.shard)];
    if (offset !== undefined) lag += Math.max(0, tails.visibleOffset(info.index) - offset);
  }
  const group = groups.standing(name);
  const isPaused = engine.pipeline().state === "PAUSED";
  return {
    name,
    updated_us: updatedUs,
    offsets,
    lag,
    standing: explainStanding({ lag, isPaused, updatedUs, group, nowMs: Date.now() }),
    ...(group === undefined ? {} : {
      group: {
        topics: [...group.request.topics],
        mode: group.request.mode,
        lease_ms: group.request.leaseMs,
        max_deliveries: group.request.deliveriesMax,
        ready: group.ready,
        held: group.held,
        dead: group.dead,
        members: group.members.map(({ name, inFlight, isFull }) => ({
          name,
          in_flight: inFlight,
          is_full: isFull,
        })),
      },
    }),
  };
}

function reset(context: ApiContext, call: ApiRequest): Response {
  const query = checkQuery(resetQuery, call.url);
  if (query.response) return query.response;
  const { engine, tails, groups } = context;
  const name = call.params["name"] ?? "";
  const position = engine.consumers.get(name);
  if (position === undefined) {
    return problemOf("NOT_FOUND", `Consumer "${name.slice(0, 100)}" does not exist`);
  }
  const refused = groups.retire(name);
  if (refused) return refusal(refused);
  const offsets: Record<string, number> = {};
  for (const info of engine.shards) {
    const key = shardKey(info.lane, info.shard);
    if (position.offsets[key] === undefined) continue;
    offsets[key] = query.value.to === "earliest" ? 0 : tails.visibleOffset(info.index);
  }
  engine.consumers.moveTo(name, offsets);
  const moved = engine.consumers.get(name);
  return moved === undefined
    ? problemOf("NOT_FOUND", "It was deleted meanwhile")
    : json(describe(context, moved));
}

function pull(context: ApiContext, call: ApiRequest): Promise<Response> | Response {
  const { groups } = context;
  return context.bodies.read(call.request, BODY_BYTES_MAX, (bytes) => {
    const body = bodyOf(context, pullBody, bytes);
    if (body.response) return Promise.resolve(body.response);
    const name = call.params["name"] ?? "";
    if (!isConsumerName(name)) return Promise.resolve(problemOf("USAGE", "The group's name is not valid"));
    const { member: who, count: countMax, ...fields } = body.value;
    const uncovered = call.caller.uncovered("subscribe", fields.topics);
    if (uncovered !== undefined) return Promise.resolve(forbidden("subscribe to", uncovered));
    const refused = groups.open(groupRequestOf(name, fields));
    if (refused) return Promise.resolve(refusal(refused));
    const member = groups.puller(name, who);
    if (member === undefined || member instanceof BadRequest) {
      return Promise.resolve(problemOf("USAGE", member?.message ?? "The group has ended"));
    }
    const events: unknown[] = [];
    groups.pull(name, member, countMax, (entry) => events.push(groupEvent(entry)));
    return Promise.resolve(json({ events }));
  });
}

function settle(context: ApiContext, call: ApiRequest): Promise<Response> | Response {
  const { groups } = context;
  return context.bodies.read(call.request, BODY_BYTES_MAX, (bytes) => {
    const body = bodyOf(context, settleBody, bytes);
    if (body.response) return Promise.resolve(body.response);
    const name = call.params["name"] ?? "";
    const { member: who, done, retry, extend } = body.value;
    const uncovered = call.caller.uncovered("subscribe", groups.standing(name)?.request.topics ?? []);
    if (uncovered !== undefined) return Promise.resolve(forbidden("subscribe to", uncovered));
    const member = groups.puller(name, who);
    if (member === undefined || member instanceof BadRequest) {
      return Promise.resolve(problemOf("NOT_FOUND", `Group "${name.slice(0, 100)}" is not at work`));
    }
    const settled = (list: typeof done, answer: "done" | "retry") =>
      list.filter(({ lane, shard, offset }) =>
        groups.settle(name, member, answer, shardKey(lane, shard), offset)
      ).length;
    const counts = { done: settled(done, "done"), retry: settled(retry, "retry") };
    if (extend) groups.extend(name, member);
    return Promise.resolve(
      json({ ...counts, stale: done.length + retry.length - counts.done - counts.retry }),
    );
  });
}

function refusal(refused: BadRequest): Response {
  return refused instanceof Conflict ? problem(409, refused.message) : problemOf("USAGE", refused.message);
}

function bodyOf<T>({ bodies }: ApiContext, schema: z.ZodType<T>, bytes: Uint8Array): Checked<T> {
  const parsed = bodies.parse(bytes);
  if ("problem" in parsed) return { response: problemOf("USAGE", parsed.problem) };
  return check(schema, parsed.value, "Body is not valid");
}
