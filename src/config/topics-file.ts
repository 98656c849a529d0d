/**
 * topics.conf, the original engine's topic table.
 *
 *     # comment
 *     system/alerts:CRITICAL
 *
 * One `topic:PRIORITY` a line, spaces around both ignored. The priority is what follows the last colon,
 * as a topic may contain colons.
 */
import { PRIORITY_NAMES } from "../event/frame.ts";
import { patternProblem } from "../event/topic.ts";

export interface TopicLine {
  readonly pattern: string;
  /** 0..4. */
  readonly priority: number;
  /** From 1. */
  readonly line: number;
}

export interface TopicsFile {
  readonly topics: readonly TopicLine[];
  /** Lines that were skipped, and why. */
  readonly skipped: readonly { readonly line: number; readonly column: number; readonly message: string }[];
}

/** Reads a topic table. A line that is not understood is skipped and reported, as the original did. */
export function parseTopicsFile(text: string): TopicsFile {
  const topics: TopicLine[] = [];
  const skipped: { line: number; column: number; message: string }[] = [];
  const seen = new Map<string, number>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const content = raw.replace(/^\uFEFF/, "").trim();
    if (content === "" || content.startsWith("#")) continue;
    const skip = (message: string) =>
      skipped.push({
        line,
        column: raw.length - raw.trimStart().length + 1,
        message: `${message}; line skipped`,
      });
    const colon = content.lastIndexOf(":");
    const pattern = content.slice(0, Math.max(0, colon)).trim();
    const name = content.slice(colon + 1).trim().toUpperCase();
    const priority = PRIORITY_NAMES.findIndex((known) => known === name);
    const problem = patternProblem(pattern);
    const first = seen.get(pattern);
    if (colon === -1) skip('expected "topic:PRIORITY"');
    else if (priority === -1) skip(`"${name}" is not one of ${PRIORITY_NAMES.join(", ")}`);
    else if (problem !== undefined) skip(problem);
    else if (first !== undefined) skip(`topic "${pattern}" is already set in line ${first}`);
    else {
      seen.set(pattern, line);
      topics.push({ pattern, priority, line });
    }
  }
  return { topics, skipped };
}
