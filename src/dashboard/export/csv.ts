/** The numbers of a chart, for a spreadsheet (RFC 4180). */
import type { ChartData } from "../chart/chart-data.ts";

/** A row a time, a column a series; the first column is UTC. */
export function csvOf({ times, series, unit }: ChartData): string {
  const rows = times.map((time, index) => [
    new Date(time * 1000).toISOString(),
    ...series.map(({ values }) => {
      const value = values[index] ?? null;
      return value === null ? "" : String(value);
    }),
  ]);
  return csvTable(["time", ...series.map(({ label }) => `${label} (${unit})`)], rows);
}

/** @param rows Times and numbers: written as they are. */
export function csvTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head.map(text).join(","), ...rows.map((row) => row.join(",")), ""].join("\r\n");
}

/** Text that a spreadsheet would take for a formula is told apart: keys and topics are anybody's words. */
function text(words: string): string {
  const safe = /^[=+\-@\t\r]/.test(words) ? `'${words}` : words;
  return `"${safe.replace(/"/g, '""')}"`;
}
