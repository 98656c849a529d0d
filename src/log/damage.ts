/** What a log may find wrong with its files, and how it says so. */

import { EscError } from "../errors.ts";

/**
 * - `torn`: a tail that was never made durable, cut off when the log was opened; the bytes are kept beside it.
 * - `corrupt`: bytes that fail their check; skipped, never delivered.
 * - `missing`: offsets that should be there and are not, with nothing in their place.
 * - `header`: a segment header that fails its check; the batches behind it are still read.
 * - `lost`: events that readers had seen but that were not durable when a sync failed, and are gone.
 * - `removed`: offsets that retention removed before this reader came to them. Not damage.
 */
export type DamageKind = "torn" | "corrupt" | "missing" | "header" | "lost" | "removed";

/** One finding. Offsets: `fromOffset` is the first concerned, `toOffset` the one after the last. */
export interface LogDamage {
  readonly kind: DamageKind;
  readonly file: string;
  /** Where in the file, and how many bytes; 0 bytes where nothing is there. */
  readonly position: number;
  readonly bytes: number;
  /** For `torn`, the events that whole batches among the cut bytes held; may be an empty range. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Where the cut bytes of a torn tail were put. */
  readonly keptAs?: string;
}

/** Is told of every finding, once each time it is met. Must not throw. */
export type DamageReport = (damage: LogDamage) => void;

/** One line for a log or a terminal. */
export function describeDamage(damage: LogDamage): string {
  const { file, position, bytes, fromOffset, toOffset } = damage;
  const place = `'${file}' at byte ${position}`;
  const offsets = toOffset > fromOffset
    ? `offsets ${fromOffset} to ${toOffset - 1} (${toOffset - fromOffset})`
    : `no known offsets (at ${fromOffset})`;
  switch (damage.kind) {
    case "torn":
      return `Cut a torn tail of ${bytes} bytes from ${place}: ${offsets}, never durable; ` +
        (damage.keptAs === undefined ? "left in place" : `kept as '${damage.keptAs}'`);
    case "corrupt":
      return `Skipped ${bytes} damaged bytes in ${place}: ${offsets} are lost`;
    case "missing":
      return `Events are missing in ${place}: ${offsets}`;
    case "header":
      return `The segment header of '${file}' is damaged; its batches are read all the same`;
    case "lost":
      return `A failed sync lost events in ${place}: ${offsets}, seen by readers but never durable`;
    case "removed":
      return `Retention removed ${offsets} before they were read from ${place}`;
  }
}

/** A lost disk, as every writer of the log reports it. */
export function logUnavailable(action: string, cause: unknown, code: string): EscError {
  const hint = code === "ENOSPC" || code === "EDQUOT"
    ? "Free space on the disk of data.dir, or lower the retention of its lanes; esc goes on by itself"
    : "Check the disk of data.dir (dmesg, smartctl); esc tries again by itself";
  return new EscError("LOG_UNAVAILABLE", `Cannot ${action}: ${code}`, { cause, hint });
}
