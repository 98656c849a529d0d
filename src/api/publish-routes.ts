/** Publishing by HTTP: one event a request, or many as NDJSON or a JSON array. */
import { z } from "zod";
import { ERROR_CODES } from "../errors.ts";
import { frameBytesOf, type OutgoingEvent } from "../event/encode.ts";
import type { Caller } from "../auth/caller.ts";
import { FRAME_PREFIX_BYTES, LISTENERS, PRIORITY_NAMES } from "../event/frame.ts";
import { count } from "../metrics/counters.ts";
import { LIMITS, SOURCE_LIMITED } from "../metrics/layout.ts";
import { contentTypeOf } from "./body.ts";
import type { ApiContext } from "./context.ts";
import { problem, problemOf } from "./problem.ts";
import type { PublishOutcome, Submission } from "./publish-request.ts";
import { type ApiRequest, check, checkQuery, json, type Route } from "./route.ts";
import {
  acksQuery,
  incomingEvent,
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
/** Bytes of one event's frame that are not its payload, at most. */
const FRAME_OVERHEAD_BYTES = 70_000;

const refusals = {
  400: { description: "Not an event", schema: problemSchema },
  413: { description: "Body too long", schema: problemSchema },
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
        "its own result.",
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
        415: { description: "Neither NDJSON nor JSON", schema: problemSchema },
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
  };
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
  return context.bodies.read(call.request, context.maxBodyBytes, async (bytes) => {
    const isArray = kind === "array" || (kind === "either" && startsWithBracket(bytes));
    const submissions = isArray ? submissionsOfArray(context, bytes) : submissionsOfLines(context, bytes);
    if (submissions instanceof Response) return submissions;
    call.rate?.take(context.meters.nowUs(), submissions.length, bytes.length);
    return answer(await context.publisher.publish(withheld(call.caller, submissions), acks), acks);
  });
}

function startsWithBracket(bytes: Uint8Array): boolean {
  const first = bytes.findIndex((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09);
  return bytes[first] === 0x5b;
}

function answer(outcomes: readonly PublishOutcome[], acks: string): Response {
  const published = outcomes.filter((outcome) => outcome.ok).length;
  const failed = outcomes.length - published;
  const first = outcomes.find((outcome) => !outcome.ok);
  // Nothing got through, for a reason that is not the events' own: the client must come again.
  if (
    published === 0 && first?.ok === false &&
    outcomes.every((outcome) => !outcome.ok && outcome.code === first.code)
  ) {
    if (ERROR_CODES[first.code].http !== 400 || outcomes.length === 1) {
      return problemOf(first.code, first.message);
    }
  }
  return json({ acks, published, failed, results: outcomes.map(resultOf) });
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

/** The same list, without what the caller may not publish: each place keeps its own result. */
export function withheld(caller: Caller, submissions: readonly Submission[]): readonly Submission[] {
  if (caller.matcher("publish").matchesAll) return submissions;
  return submissions.map((submission) =>
    "topic" in submission && !caller.may("publish", submission.topic)
      ? { forbidden: submission.topic }
      : submission
  );
}

/** An outcome as clients see it. */
export function resultOf(outcome: PublishOutcome): z.infer<typeof publishResult> {
  if (!outcome.ok) return { error: { code: outcome.code, message: outcome.message } };
  const { ok: _, ...place } = outcome;
  return place;
}

function submissionsOfArray({ bodies }: ApiContext, bytes: Uint8Array): readonly Submission[] | Response {
  const parsed = bodies.parse(bytes);
  if ("problem" in parsed) return problemOf("USAGE", parsed.problem);
  const list = check(z.array(z.unknown()).max(BATCH_COUNT_MAX), parsed.value, "Body is not a list of events");
  if (list.response) return list.response;
  return list.value.length === 0 ? problemOf("USAGE", "The list is empty") : list.value.map(submissionOf);
}

/** A line that is no event is refused by itself; those around it are published. */
function submissionsOfLines(
  { bodies, engine }: ApiContext,
  bytes: Uint8Array,
): readonly Submission[] | Response {
  const submissions: Submission[] = [];
  // Base64 and escapes make a line longer than its frame, up to sixfold.
  const lineBytesMax = engine.maxFrameBytes * 6 + FRAME_OVERHEAD_BYTES;
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline;
    const line = bytes.subarray(at, end);
    at = end + 1;
    if (isBlank(line)) continue;
    if (submissions.length === BATCH_COUNT_MAX) {
      return problem(413, `Body has more than ${BATCH_COUNT_MAX} events`);
    }
    const parsed = line.length > lineBytesMax ? { problem: "Line is too long" } : bodies.parse(line);
    submissions.push(
      parsed.problem === undefined ? submissionOf(parsed.value) : { problem: parsed.problem },
    );
  }
  return submissions.length === 0 ? problemOf("USAGE", "The body is empty") : submissions;
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}

/** What a client's JSON says about one event. */
export function submissionOf(value: unknown): Submission {
  const parsed = incomingEvent.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { problem: `${issue?.path.map(String).join(".") || "event"}: ${issue?.message}` };
  }
  const event = parsed.data;
  const payload = payloadOf(event.payload, event.encoding);
  if (payload === undefined) return { problem: "payload: missing, or not base64 as encoding says" };
  return {
    topic: event.topic,
    payload,
    priority: event.priority,
    id: event.id,
    key: event.key,
    timeUs: event.time_us,
    headers: Object.entries(event.headers ?? {}).flatMap(([name, values]) =>
      [values].flat().map((text) => [name, text] as const)
    ),
  };
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function payloadOf(payload: unknown, encoding: "base64" | undefined): string | Uint8Array | undefined {
  if (payload === undefined) return undefined;
  if (encoding === undefined) return typeof payload === "string" ? payload : JSON.stringify(payload);
  if (typeof payload !== "string" || !BASE64.test(payload)) return undefined;
  return Buffer.from(payload, "base64");
}
