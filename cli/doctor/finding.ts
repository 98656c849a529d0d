/** What a check found out. */

export const FINDING_STATUSES = ["ok", "note", "warn", "fail"] as const;
/** `note`: could not be found out, or is worth knowing. `warn`: works, but should be seen to. `fail`: does not work. */
export type FindingStatus = (typeof FINDING_STATUSES)[number];

export interface Finding {
  /** Such as `disk.sync`. */
  readonly check: string;
  readonly status: FindingStatus;
  /** What is, with its figures. */
  readonly detail: string;
  /** What to do, where there is something to do. */
  readonly advice?: string;
}

/** Bytes for people: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
