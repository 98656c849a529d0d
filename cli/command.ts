/** What `cli/esc.ts` hands to every command, and the argument parsers that commands share. */
import { InvalidArgumentError } from "commander";
import { parseSize } from "../src/config/units.ts";
import type { Output } from "./output.ts";

/** The outside world of a command: `process` is touched nowhere else. */
export interface CommandContext {
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Aborted by the first SIGINT or SIGTERM; the second ends the process at once with 128 + its number.
   * The handlers are installed by the first call, so a command that never calls it keeps the default.
   * (`serve` drains by its own handlers and does not call this.)
   */
  interrupted(): AbortSignal;
}

/** Parser of a whole number within bounds, for commander's `option()` and `argument()`. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(
        max === Number.MAX_SAFE_INTEGER
          ? `Expected a whole number from ${min}.`
          : `Expected a whole number from ${min} to ${max}.`,
      );
    }
    return value;
  };
}

/** Parser of a number of bytes such as `128`, `64KiB`, `1MiB`, for commander. */
export function byteSize(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = parseSize(text);
    if (value === undefined || value < min || value > max) {
      throw new InvalidArgumentError(`Expected ${min} to ${max} bytes, such as 128, 64KiB or 1MiB.`);
    }
    return value;
  };
}
