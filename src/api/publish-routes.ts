/** Publishing by HTTP: one event a request, or many as NDJSON or a JSON array. */
import { z } from "zod";
import { frameBytesOf, type OutgoingEvent } from "../event/encode.ts";
import { FRAME_PREFIX_BYTES, LISTENERS, PRIORITY_NAMES } from "../event/frame.ts";
import { count } from "../metrics/counters.ts";
import { LIMITS, SOURCE_LIMITED } from "../metrics/layout.ts";
import { contentTypeOf } from "./body.ts";
import { plainBody, UNKNOWN_ENCODING } from "./compress.ts";
import type { ApiContext } from "./context.ts";
import { resultOf, submissionOf, withheld } from "./submission.ts";
import { publishLines } from "./publish-lines.ts";
import { isTraceparent, TRACEPARENT } from "../tracing/trace-context.ts";
import { PublishTally } from "./publish-tally.ts";
import { problem, problemOf } from "./problem.ts";
import type { Submission } from "./publish-request.ts";
import { type ApiRequest, check, checkQuery, json, type Route } from "./route.ts";
import {
  acksQuery,
  problemSchema,
  publishAnswer,
  publishHeaders,
  publishResult,
  shownIncomingEvent,
  timeSchema,
} from "./schemas.ts";

const NDJSON = "application/x-ndjson";
/**
 * How a body of each type is read. What curl says of `--data`, or nothing at all, is told by the body's first
 * character: posts by foreign pages, the reason to be strict about such types, are refused by their Origin.
 */
const BODY_KINDS: Readonly<Record<string, "array" | "lines" | "either">> = {
  "application/json": "array",
  [NDJSON]: "lines",
  "application/ndjson": "lines",
  "application/jsonl": "lines",
  "application/x-www-form-urlencoded": "either",
  "": "either",
};
/** Events in one request. */
const BATCH_COUNT_MAX = 100_000;

const refusals = {
  400: { description: "Not an event", schema: problemSchema },
  413: { description: "Body too long", schema: problemSchema },
  415: { description: "Neither NDJSON nor JSON, or an unknown Content-Encoding", schema: problemSchema },
  429: { description: "Backpressure: send it again after Retry-After", schema: problemSchema },
  503: { description: "The log cannot be written, or the server is shutting down", schema: problemSchema },
  504: { description: "Not acknowledged in time: it may still be stored", schema: problemSchema },
};

export function publishRoutes(context: ApiContext): Route[] {
  return [
    {
      method: "POST",
      path: "/api/v1/publish/{topic}",
      summary: "Publish one event; the body is its payload",
      tag: "publish",
      params: z.object({ topic: z.string().describe("May contain / as it is") }),
      query: acksQuery,
      headers: publishHeaders,
      body: { "*/*": z.unknown().describe("The payload: every byte is kept") },
      responses: {
        200: { description: "Acknowledged as asked", schema: publishResult.omit({ error: true }) },
        ...refusals,
      },
      handle: (call) => publishOne(context, call),
    },
    {
      method: "POST",
      path: "/api/v1/publish",
      summary: "Publish many events",
      description:
        "As NDJSON, one event a line, or as a JSON array. Events are taken in their order; each has " +
        "its own result, of which an answer holds 100,000. NDJSON is published while it is read, so it may be " +
        "of any length.",
      tag: "publish",
      query: acksQuery,
      body: {
        [NDJSON]: z.unknown().describe("One JSON object a line, as in application/json"),
        "application/json": z.array(shownIncomingEvent).min(1).max(BATCH_COUNT_MAX),
      },
      responses: {
        200: {
          description: "At least one event is acknowledged as asked; see the results",
          schema: publishAnswer,
        },
        ...refusals,
      },
      handle: (call) => publishMany(context, call),
    },
  ];
}

function publishOne(context: ApiContext, call: ApiRequest): Response | Promise<Response> {
  const query = checkQuery(acksQuery, call.url);
  if (query.response) return query.response;
  const late = refuseFast(context, call);
  if (late) return late;
  const event = eventOfHeaders(call);
  if ("problem" in event) return problemOf("BAD_EVENT", event.problem);
  const { acks } = query.value;
  const frameBytesMax = FRAME_PREFIX_BYTES + context.engine.maxFrameBytes;
  const bytesMax = Math.min(context.maxBodyBytes, context.engine.maxFrameBytes);
  return context.bodies.read(call.request, bytesMax, async (payload) => {
    const bytes = frameBytesOf({ ...event, payload });
    if (bytes > frameBytesMax) {
      return problem(413, `Event needs a frame of ${bytes} bytes: the limit is ${frameBytesMax}`);
    }
    const submissions = withheld(call.caller, [{ ...event, payload }]);
    call.rate?.take(context.meters.nowUs(), 1, payload.length);
    const [outcome] = await context.publisher.publish(submissions, acks);
    if (outcome === undefined) throw new Error("The publisher gave no outcome");
    return outcome.ok ? json(resultOf(outcome)) : problemOf(outcome.code, outcome.message);
  });
}

function eventOfHeaders(call: ApiRequest): Omit<OutgoingEvent, "payload"> | { readonly problem: string } {
  const { headers } = call.request;
  const priorityText = headers.get("esc-priority");
  const named = PRIORITY_NAMES.findIndex((name) => name === priorityText?.toUpperCase());
  const priority = priorityText === null ? undefined : named >= 0 ? named : Number(priorityText);
  if (priority !== undefined && (priorityText === "" || !Number.isInteger(priority))) {
    return { problem: `Esc-Priority "${priorityText}" is not 0 to 4 nor a priority's name` };
  }
  const timeText = headers.get("esc-event-time");
  const time = timeText === null ? undefined : timeSchema.safeParse(timeText);
  if (time?.success === false) {
    return { problem: "Esc-Event-Time is not microseconds since 1970 nor ISO 8601" };
  }
  return {
    topic: call.params["topic"] ?? "",
    priority,
    id: headers.get("esc-message-id") ?? undefined,
    key: headers.get("esc-key") ?? undefined,
    timeUs: time?.data,
    ...tracedBy(headers.get(TRACEPARENT)),
  };
}

/** The event belongs to the trace of the request that brought it; what is no trace context is ignored. */
function tracedBy(context: string | null): Pick<OutgoingEvent, "headers"> {
  return context !== null && isTraceparent(context) ? { headers: [[TRACEPARENT, context]] } : {};
}

function publishMany(context: ApiContext, call: ApiRequest): Response | Promise<Response> {
  const query = checkQuery(acksQuery, call.url);
  if (query.response) return query.response;
  const late = refuseFast(context, call);
  if (late) return late;
  const contentType = contentTypeOf(call.request);
  const kind = BODY_KINDS[contentType];
  if (kind === undefined) {
    return problem(415, `Content-Type "${contentType}" is neither application/json nor ${NDJSON}`);
  }
  const { acks } = query.value;
  if (kind === "lines") {
    const body = plainBody(call.request);
    if (body === undefined) return problem(415, UNKNOWN_ENCODING);
    return publishLines(context, call, { acks, body });
  }
  return context.bodies.read(call.request, context.maxBodyBytes, async (bytes) => {
    if (kind === "either" && !startsWithBracket(bytes)) {
      return await publishLines(context, call, { acks, body: [bytes] });
    }
    const submissions = submissionsOfArray(context, bytes);
    if (submissions instanceof Response) return submissions;
    call.rate?.take(context.meters.nowUs(), submissions.length, bytes.length);
    const tally = new PublishTally(acks);
    tally.add(await context.publisher.publish(withheld(call.caller, submissions), acks));
    return tally.answer();
  });
}

function startsWithBracket(bytes: Uint8Array): boolean {
  const first = bytes.findIndex((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09);
  return bytes[first] === 0x5b;
}

/** Who sends more than its rate is sent away before its body is read. */
function refuseFast(context: ApiContext, { rate }: ApiRequest): Response | undefined {
  const waitMs = rate?.waitMs(context.meters.nowUs()) ?? 0;
  if (waitMs === 0) return undefined;
  const { source } = context.engine;
  source.countRejected(LISTENERS.indexOf("http"), "rate_limited", 1);
  count(source.counters, SOURCE_LIMITED + LIMITS.indexOf("rate"), 1);
  const seconds = String(Math.ceil(waitMs / 1000));
  return problem(429, "More than the caller may send now", {
    code: "RATE_LIMITED",
    headers: { "retry-after": seconds, "ratelimit-remaining": "0", "ratelimit-reset": seconds },
  });
}

function submissionsOfArray({ bodies }: ApiContext, bytes: Uint8Array): readonly Submission[] | Response {
  const parsed = bodies.parse(bytes);
  if ("problem" in parsed) return problemOf("USAGE", parsed.problem);
  const list = check(z.array(z.unknown()).max(BATCH_COUNT_MAX), parsed.value, "Body is not a list of events");
  if (list.response) return list.response;
  return list.value.length === 0 ? problemOf("USAGE", "The list is empty") : list.value.map(submissionOf);
}
