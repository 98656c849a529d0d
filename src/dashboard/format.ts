/** Numbers and times as people read them. */

export type Unit = "events" | "events/s" | "bytes" | "bytes/s" | "us" | "%" | "count" | "number";

/** A value in its unit, in at most about seven characters and the unit. */
export function format(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  switch (unit) {
    case "us":
      return duration(value);
    case "bytes":
      return bytes(value);
    case "bytes/s":
      return `${bytes(value)}/s`;
    case "events/s":
      return `${compact(value)}/s`;
    case "%":
      return `${digits(value)} %`;
    case "events":
    case "count":
    case "number":
      return compact(value);
  }
}

/** A number and its noun, in the plural unless there is one. */
export function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Every digit, in groups of three. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function compact(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return size >= 100 || Number.isInteger(value) ? whole(value) : digits(value);
}

function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let amount = value;
  while (Math.abs(amount) >= 1024 && at < units.length - 1) {
    amount /= 1024;
    at++;
  }
  return `${at === 0 ? whole(amount) : digits(amount)} ${units[at]}`;
}

/** Microseconds. */
function duration(us: number): string {
  if (us < 1000) return `${digits(us)} µs`;
  if (us < 1e6) return `${digits(us / 1000)} ms`;
  return `${digits(us / 1e6)} s`;
}

/** Three digits that count. */
function digits(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 100
    ? value.toFixed(0)
    : size >= 10
    ? value.toFixed(1)
    : size >= 0.01
    ? value.toFixed(2)
    : "< 0.01";
}

/** Time of the day, by the browser's zone. */
export function clock(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => `${part}`.padStart(2, "0"))
    .join(":");
}

/** Date and time to the millisecond. @param us Microseconds since the Unix epoch. */
export function timestamp(us: number): string {
  const date = new Date(us / 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(date.getTime())}.${`${date.getMilliseconds()}`.padStart(3, "0")}`;
}

/** How long ago, roughly. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

function two(value: number): string {
  return `${value}`.padStart(2, "0");
}
