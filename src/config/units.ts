/** Durations and sizes as users write them: `250ms 5s 2m 1h 7d`, `512 64KiB 1MiB 10GiB 5MB`. */

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1],
  ["kb", 1000],
  ["mb", 1000 ** 2],
  ["gb", 1000 ** 3],
  ["tb", 1000 ** 4],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3],
  ["tib", 1024 ** 4],
]);

const BINARY_UNITS = ["TiB", "GiB", "MiB", "KiB"] as const;
const QUANTITY = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;

/**
 * Milliseconds of a duration.
 *
 * @param bareUnit Unit of a number without one, where the key's name says it (`_ms`, `_sec`).
 * @returns `undefined` if it is not a duration, has no unit though it needs one, or is no whole
 *   number of milliseconds.
 */
export function parseDuration(text: string, bareUnit?: "ms" | "s"): number | undefined {
  const [, digits = "", unit = ""] = QUANTITY.exec(text) ?? [];
  if (digits === "") return undefined;
  if (unit === "" && Number(digits) === 0) return 0;
  return whole(digits, DURATION_UNITS.get(unit === "" ? bareUnit ?? "" : unit.toLowerCase()));
}

/** The shortest text that `parseDuration` reads as the same: largest unit that divides it. */
export function formatDuration(milliseconds: number): string {
  for (const [unit, factor] of [...DURATION_UNITS].reverse()) {
    if (milliseconds >= factor && milliseconds % factor === 0) return `${milliseconds / factor}${unit}`;
  }
  return `${milliseconds}ms`;
}

/** Bytes of a size; a number without a unit is bytes. `undefined` if it is not a size in whole bytes. */
export function parseSize(text: string): number | undefined {
  const [, digits = "", unit = ""] = QUANTITY.exec(text) ?? [];
  return digits === "" ? undefined : whole(digits, SIZE_UNITS.get(unit.toLowerCase()));
}

/** The shortest text that `parseSize` reads as the same: largest binary unit that divides it. */
export function formatSize(bytes: number): string {
  for (const unit of BINARY_UNITS) {
    const factor = SIZE_UNITS.get(unit.toLowerCase()) ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

function whole(digits: string, factor: number | undefined): number | undefined {
  if (factor === undefined) return undefined;
  // Rounded, as 0.1 has no exact binary form; what is not near a whole number is refused.
  const exact = Number(digits) * factor;
  const value = Math.round(exact);
  return Number.isSafeInteger(value) && Math.abs(exact - value) < 1e-6 ? value : undefined;
}
