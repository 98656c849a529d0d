/** What `cli/esc.ts` hands to every command, and the argument parsers that commands share. */
import { InvalidArgumentError } from "commander";
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

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};

/** Parser of a number of bytes such as `128`, `64KiB`, `1MiB`, for commander. */
export function byteSize(min: number, max: number): (text: string) => number {
  return (text) => {
    const [, digits = "", unit = ""] = /^(\d+)\s*([a-z]*)$/i.exec(text) ?? [];
    const value = Number(digits) * (SIZE_UNITS[unit.toUpperCase()] ?? NaN);
    if (digits === "" || !(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected ${min} to ${max} bytes, such as 128, 64KiB or 1MiB.`);
    }
    return value;
  };
}
