/** Events as clients describe them in JSON, and what became of them as clients see it. */
import type { z } from "zod";
import type { Caller } from "../auth/caller.ts";
import type { PublishOutcome, Submission } from "./publish-request.ts";
import { incomingEvent, type publishResult } from "./schemas.ts";

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
