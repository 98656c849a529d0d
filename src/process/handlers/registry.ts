/** Which handler a topic has: that of exactly this topic, else of the longest pattern that matches it. */
import { compilePatterns } from "../../event/topic.ts";

export interface HandlerSpec {
  readonly name: string;
  /** Topics and patterns; `>` alone makes it the default. */
  readonly topics: readonly string[];
  /** A built-in handler, or a file of the user's; "" with a command. */
  readonly use: string;
  /** A program that speaks JSON lines, with its arguments. */
  readonly command?: readonly string[];
  readonly attemptsMax: number;
  /** Pause before attempt n + 1: n times this, as far as `processing.retry` allows. */
  readonly pauseMs: number;
  /** Time for one event. */
  readonly budgetMs: number;
  /** A process of the handler with more resident memory is stopped. */
  readonly memoryBytesMax: number;
}

/** The handler for a topic; `undefined` when there is none. */
export function handlerFor(topic: string, handlers: readonly HandlerSpec[]): HandlerSpec | undefined {
  let best: HandlerSpec | undefined;
  let bestLength = -1;
  for (const handler of handlers) {
    for (const pattern of handler.topics) {
      if (pattern === topic) return handler;
      // "a.>" says more than "a" and less than "a.b": length is how much of the topic a pattern fixes.
      const length = pattern === ">" ? 0 : pattern.length;
      if (length > bestLength && compilePatterns([pattern]).firstMatchOf(topic) >= 0) {
        best = handler;
        bestLength = length;
      }
    }
  }
  return best;
}
