/**
 * What somebody may do: four scopes, three of them with topic patterns. What is not granted is refused.
 *
 *     publish     send events to matching topics
 *     subscribe   receive matching events as they come
 *     read        query matching events, topics, statistics
 *     admin       steer the server: control, configuration, dead letters, consumers
 *
 * No scope implies another.
 */
import { patternProblem } from "../event/topic.ts";

/** Scopes that come with topic patterns. */
export const TOPIC_SCOPES = ["publish", "subscribe", "read"] as const;
export type TopicScope = (typeof TOPIC_SCOPES)[number];
export const SCOPES = [...TOPIC_SCOPES, "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** Topic patterns by scope; an empty list grants nothing. */
export interface Grants extends Readonly<Record<TopicScope, readonly string[]>> {
  readonly admin: boolean;
}

/** Everything, for servers without auth. */
export const ALL_GRANTS: Grants = { publish: [">"], subscribe: [">"], read: [">"], admin: true };

/** Patterns that one token may carry in all. */
export const CLAIM_PATTERNS_MAX = 256;

/**
 * Grants as a token says them: words separated by spaces, each a scope (`publish`: every topic) or a scope
 * with a pattern (`publish:orders.>`). Words that are no scope of ours are left to others.
 *
 * @returns What is wrong when a word begins as a scope of ours and its pattern is none, or there are too many.
 */
export function parseGrants(words: readonly string[]): Grants | { readonly problem: string } {
  const patterns: Record<TopicScope, string[]> = { publish: [], subscribe: [], read: [] };
  let admin = false;
  let count = 0;
  for (const word of words) {
    const colon = word.indexOf(":");
    const name = colon < 0 ? word : word.slice(0, colon);
    const pattern = colon < 0 ? ">" : word.slice(colon + 1);
    if (word === "admin") admin = true;
    const scope = TOPIC_SCOPES.find((known) => known === name);
    if (scope === undefined) continue;
    const problem = patternProblem(pattern);
    if (problem !== undefined) return { problem: `scope "${name}": ${problem}` };
    if (++count > CLAIM_PATTERNS_MAX) return { problem: `more than ${CLAIM_PATTERNS_MAX} patterns` };
    patterns[scope].push(pattern);
  }
  return { ...patterns, admin };
}
