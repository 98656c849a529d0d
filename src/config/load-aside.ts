/**
 * Loading a configuration on a thread of its own.
 *
 * The parser and the schema would be the largest part of what main has in memory, and a start needs them for
 * a moment only: their thread takes them with it when it ends.
 */
import { Worker } from "node:worker_threads";
import { type ErrorCode, EscError } from "../errors.ts";
import { workerUrl } from "../threads.ts";
import { freeze } from "./freeze.ts";
import type { ServedConfig, ServedConfigSource } from "./load-served.ts";

/** What the thread answers. */
export type LoadAnswer =
  | { readonly type: "loaded"; readonly served: ServedConfig }
  | {
    readonly type: "refused";
    readonly code: ErrorCode;
    readonly message: string;
    readonly hint?: string;
    readonly cause?: string;
  };

/**
 * Does what `loadServed()` does. The thread is gone when this settles; the calling thread's next garbage
 * collection gives its memory back.
 *
 * @throws {EscError} CONFIG_INVALID, with every problem and its place.
 */
export async function loadAside(source: ServedConfigSource): Promise<ServedConfig> {
  const thread = new Worker(workerUrl("src/config/load-thread.ts"), { workerData: source });
  const answer = await new Promise<LoadAnswer>((resolve, reject) => {
    thread.once("message", (message) => resolve(message as LoadAnswer));
    thread.once("error", reject);
    thread.once(
      "exit",
      () => reject(new Error("The thread that loads the configuration ended without an answer")),
    );
  });
  await thread.terminate();
  // Posting thaws what is frozen.
  if (answer.type === "loaded") return { ...answer.served, config: freeze(answer.served.config) };
  const { code, message, hint, cause } = answer;
  throw new EscError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
