/** Waiting for an answer, but not forever. */
import { EscError } from "../errors.ts";
import { deferred } from "./deferred.ts";

/**
 * Waits for the server's answer to `question`.
 *
 * @param answerMsMax How long; `Infinity` for as long as the connection lasts.
 * @throws {EscError} `TIMEOUT`, or why the answer will not come.
 */
export async function withDeadline<T>(answer: Promise<T>, question: string, answerMsMax: number): Promise<T> {
  if (answerMsMax === Infinity) return await answer;
  const late = deferred<never>();
  const timer = setTimeout(() => {
    late.reject(
      new EscError("TIMEOUT", `Server did not answer ${question} within ${answerMsMax / 1000} s`, {
        hint: "Check that the port is an esc TCP listener",
      }),
    );
  }, answerMsMax);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
