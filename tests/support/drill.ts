/** Tests that only drills run. */
import { test } from "bun:test";

/** Registers a test, or leaves it to drills: there it is not missing, so it does not count as skipped. */
export function testIf(
  isHere: boolean,
): (name: string, run: () => void | Promise<void>, timeoutMs?: number) => void {
  return isHere ? (name, run, timeoutMs) => test(name, run, timeoutMs) : () => {};
}
