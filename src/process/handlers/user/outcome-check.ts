/** What a handler of the user's returned or wrote → an outcome, or what is wrong with it. */
import { PRIORITY_CRITICAL } from "../../../event/frame.ts";
import { topicProblem } from "../../../event/topic.ts";
import { SEVERITIES } from "../../rules/spec.ts";
import type { HandlerOutput, Outcome } from "../outcome.ts";

/** Events that one event may lead to. */
export const OUTPUTS_MAX = 1000;
const WORDS = ["success", "alert", "drop", "fail"];

/** What a handler may say of an event, as an object: it is the same in TypeScript and in JSON lines. */
interface Said {
  readonly outcome?: unknown;
  readonly severity?: unknown;
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly publish?: unknown;
}

/**
 * @param said `undefined`, `null`, "success", "drop", or an object.
 * @param published Events it has published besides.
 * @returns A text for a person when it is no outcome.
 */
export function outcomeOf(said: unknown, published: readonly HandlerOutput[] = []): Outcome | string {
  if (said === undefined || said === null) return success(published);
  const { outcome = "success", severity, message, reason, publish }: Said = typeof said === "string"
    ? { outcome: said }
    : typeof said === "object"
    ? said
    : { outcome: said };
  const outputs = publish === undefined || publish === null ? published : outputsOf(publish, published);
  if (typeof outputs === "string") return outputs;
  switch (outcome) {
    case "success":
      return success(outputs);
    case "drop":
      return { kind: "drop" };
    case "fail":
      return { kind: "fail", reason: typeof reason === "string" ? reason : "no reason given", isFinal: true };
    case "alert": {
      const known = SEVERITIES.find((name) => name === String(severity ?? "WARNING").toUpperCase());
      if (known === undefined) return `"${String(severity)}" is no severity: ${SEVERITIES.join(", ")}`;
      if (typeof message !== "string") return "an alert needs a message";
      return { kind: "alert", severity: known, message, ...(outputs.length > 0 ? { outputs } : {}) };
    }
    default:
      return `"${String(outcome)}" is no outcome: ${WORDS.join(", ")}`;
  }
}

/** What is wrong with an event that a handler wants to publish; `undefined`: nothing. */
export function outputProblem({ topic, payload, priority, key }: Partial<HandlerOutput>): string | undefined {
  if (typeof topic !== "string") return "an event to publish needs a topic";
  const problem = topicProblem(topic);
  if (problem !== undefined) return problem;
  if (payload === undefined) return `an event to publish on "${topic}" needs a payload`;
  if (priority !== undefined) {
    const isPriority = Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_CRITICAL;
    if (!isPriority) {
      return `priority ${String(priority)} is not a whole number from 0 to ${PRIORITY_CRITICAL}`;
    }
  }
  return key === undefined || typeof key === "string" ? undefined : "a key is text";
}

function success(outputs: readonly HandlerOutput[]): Outcome {
  return outputs.length === 0 ? { kind: "success" } : { kind: "success", outputs };
}

function outputsOf(publish: unknown, before: readonly HandlerOutput[]): readonly HandlerOutput[] | string {
  const list: unknown[] = Array.isArray(publish) ? publish : [publish];
  if (before.length + list.length > OUTPUTS_MAX) return `more than ${OUTPUTS_MAX} events to publish`;
  const outputs = [...before];
  for (const given of list) {
    if (typeof given !== "object" || given === null) return "publish is a list of {topic, payload}";
    const output = given as Partial<HandlerOutput>;
    const problem = outputProblem(output);
    if (problem !== undefined) return problem;
    const { topic = "", payload, priority, key } = output;
    outputs.push({
      topic,
      payload,
      ...(priority === undefined ? {} : { priority }),
      ...(key === undefined ? {} : { key }),
    });
  }
  return outputs;
}
