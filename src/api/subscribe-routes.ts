/** Subscribing by HTTP: server-sent events, or a WebSocket when the client asks for an upgrade. */
import { EVERYBODY } from "../auth/caller.ts";
import { BadRequest, type From, type SubscriptionRequest } from "../deliver/request.ts";
import { forbidden } from "./access.ts";
import type { ApiContext } from "./context.ts";
import { problem, problemOf } from "./problem.ts";
import { type ApiRequest, checkQuery, type Route } from "./route.ts";
import { problemSchema, subscribeQuery, timeSchema } from "./schemas.ts";
import { subscriberName } from "./slow-subscribers.ts";
import { decodeEventId, serveSse } from "./sse.ts";

/** Makes a WebSocket of a request. @returns `false` when it cannot be upgraded. */
export type Upgrade = (call: ApiRequest, subscription: SubscriptionRequest | undefined) => boolean;

/** Id of the subscription that a request's query makes. */
const QUERY_ID = "query";

export function subscribeRoutes(context: ApiContext, upgrade: Upgrade): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/subscribe",
    summary: "Receive events as they come in",
    description:
      "As server-sent events: each has an id that, as Last-Event-ID, resumes behind it. Upgraded to a " +
      "WebSocket: JSON messages in text, the frames of docs/protocol.md in binary (docs/http-api.md).",
    tag: "events",
    query: subscribeQuery,
    responses: {
      101: { description: "A WebSocket" },
      200: { description: "Events without end", contentType: "text/event-stream" },
      429: { description: "Too many streams, in all or of one address", schema: problemSchema },
    },
    handle: (call) => subscribe(context, upgrade, call),
  }];
}

function subscribe(context: ApiContext, upgrade: Upgrade, call: ApiRequest): Response {
  const query = checkQuery(subscribeQuery, call.url);
  if (query.response) return query.response;
  const { topics, from: fromText, lanes } = query.value;
  const isUpgrade = call.request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const lastEventId = call.request.headers.get("last-event-id") ?? query.value.last_event_id;
  const from = lastEventId ? decodeEventId(lastEventId, context.engine.shards) : parseFrom(fromText);
  if (from instanceof BadRequest) return problemOf("USAGE", from.message);
  const request: SubscriptionRequest = {
    id: QUERY_ID,
    topics: (topics ?? ">").split(","),
    from,
    ...(lanes === undefined ? {} : { lanes: lanes.split(",") }),
  };
  const uncovered = topics === undefined && isUpgrade
    ? undefined
    : call.caller.uncovered("subscribe", request.topics);
  if (uncovered !== undefined) return forbidden("subscribe to", uncovered);
  const leave = context.streams.enter(call.server.requestIP(call.request)?.address ?? "");
  if (leave instanceof Response) return leave;
  const guest: ApiRequest = {
    ...call,
    watch: (end) => {
      const unwatch = call.watch(end);
      return () => {
        unwatch();
        leave();
      };
    },
  };
  if (isUpgrade) {
    if (upgrade(guest, topics === undefined ? undefined : request)) return UPGRADED;
    leave();
    return problem(400, "The WebSocket handshake is not complete");
  }
  const who = call.caller === EVERYBODY ? undefined : call.caller.name;
  const name = subscriberName(call.server.requestIP(call.request), who);
  const response = serveSse(context, request, { watch: guest.watch, name });
  if (!(response instanceof BadRequest)) return response;
  leave();
  return problemOf("USAGE", response.message);
}

/** Stands for "no response": the connection is a WebSocket now. */
export const UPGRADED = new Response(null);

function parseFrom(text: string | undefined): From | BadRequest {
  if (text === undefined || text === "latest" || text === "earliest") return text ?? "latest";
  const time = timeSchema.safeParse(text);
  return time.success ? { timeUs: time.data } : new BadRequest("from: neither latest, earliest nor a time");
}
