/** Parsers of event fields on the command line. */
import { InvalidArgumentError } from "commander";
import { PRIORITY_NAMES } from "../src/event/frame.ts";
import { ACKS_NAMES, type AcksName } from "../src/event/run.ts";

/** A priority by number or by name in any case: `3`, `HIGH`, `high`. */
export function priorityNumber(text: string): number {
  const byName = PRIORITY_NAMES.findIndex((name) => name === text.toUpperCase());
  const priority = byName >= 0 ? byName : /^\d$/.test(text) ? Number(text) : -1;
  if (priority < 0 || priority >= PRIORITY_NAMES.length) {
    throw new InvalidArgumentError(`Expected 0 to 4, or one of ${PRIORITY_NAMES.join(", ")}.`);
  }
  return priority;
}

/** What the server is to acknowledge. */
export function acksName(text: string): AcksName {
  const acks = ACKS_NAMES.find((name) => name === text);
  if (acks === undefined) throw new InvalidArgumentError(`Expected one of ${ACKS_NAMES.join(", ")}.`);
  return acks;
}

/** A header `name=value`, added to those before it. */
export function headerPair(
  text: string,
  before: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected name=value.");
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}
