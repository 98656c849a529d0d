/**
 * Rows of numbers over time, as the server sends them and as a file keeps them.
 *
 * A row is as long as `columns`; its first number is milliseconds since the Unix epoch, ascending.
 */
import type { LiveColumn } from "../../api/live-columns.ts";

export type Cell = number | null;
export type Row = readonly Cell[];

export interface Timeline {
  readonly columns: readonly LiveColumn[];
  readonly rows: readonly Row[];
}

export const EMPTY: Timeline = { columns: [], rows: [] };

/** An hour of seconds: what a page keeps that is left open. */
const ROWS_MAX = 3600;
/** Rows further apart were not measured one after the other: no line is drawn between them. */
const GAP_MS = 5_000;

/** The timeline with newer rows; the oldest give way. Rows that are not newer are left out. */
export function append({ columns, rows }: Timeline, newer: readonly Row[]): Timeline {
  const lastMs = timeOf(rows.at(-1)) ?? -Infinity;
  const fresh = newer.filter((row) => (timeOf(row) ?? -Infinity) > lastMs);
  return { columns, rows: [...rows, ...fresh].slice(-ROWS_MAX) };
}

export function timeOf(row: Row | undefined): number | undefined {
  return row?.[0] ?? undefined;
}

/** Names of the lanes, in configuration order. */
export function lanesOf({ columns }: Timeline): string[] {
  return [...new Set(columns.flatMap(({ lane }) => lane === undefined ? [] : [lane]))];
}

/** Times of the rows, in seconds. */
export function times({ rows }: Timeline): number[] {
  return rows.map((row) => (row[0] ?? 0) / 1000);
}

/** Values of a gauge. Empty when there is no such column. */
export function gauge(timeline: Timeline, name: string, lane?: string): Cell[] {
  const column = columnOf(timeline, name, lane);
  return column < 0 ? [] : timeline.rows.map((row) => row[column] ?? null);
}

/** How much a counter grew each second; no value after a gap and after a restart, when it fell. */
export function rate(timeline: Timeline, name: string, lane?: string): Cell[] {
  const column = columnOf(timeline, name, lane);
  if (column < 0) return [];
  let before: Row | undefined;
  return timeline.rows.map((row) => {
    const last = before;
    before = row;
    const [ms, count] = [row[0] ?? null, row[column] ?? null];
    const [lastMs, lastCount] = [last?.[0] ?? null, last?.[column] ?? null];
    if (ms === null || count === null || lastMs === null || lastCount === null) return null;
    if (ms - lastMs > GAP_MS || ms <= lastMs || count < lastCount) return null;
    return ((count - lastCount) * 1000) / (ms - lastMs);
  });
}

/** The newest value of a column. */
export function newest(timeline: Timeline, name: string, lane?: string): Cell {
  const column = columnOf(timeline, name, lane);
  return timeline.rows.at(-1)?.[column] ?? null;
}

/** Sums lists value by value; a value that is missing in all of them is missing in the sum. */
export function sum(lists: readonly (readonly Cell[])[]): Cell[] {
  const [first = []] = lists;
  return first.map((_, index) => {
    const values = lists.map((list) => list[index] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((a, b) => a + b, 0);
  });
}

function columnOf({ columns }: Timeline, name: string, lane: string | undefined): number {
  return columns.findIndex((column) => column.name === name && column.lane === lane);
}
