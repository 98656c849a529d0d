/** A promise that may never settle, made to settle. */
import { EscError } from "../errors.ts";

/**
 * Waits for `work` until `deadlineMs` have passed.
 *
 * @param what Completes "... did not answer in time".
 * @throws {EscError} TIMEOUT; what `work` does afterwards is nobody's concern, its rejection is swallowed.
 */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new EscError("TIMEOUT", `${what} did not answer within ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
