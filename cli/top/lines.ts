/**
 * Lines of a terminal view, never wider than the terminal whatever is in them.
 *
 * A line is made of segments; width is counted in columns, of which a Chinese sign or an emoji takes two.
 */
import { printable } from "../printable.ts";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";
export interface Segment {
  readonly text: string;
  readonly style?: Style | undefined;
}
export type Line = readonly Segment[];
export type Paint = (style: Style, text: string) => string;

/** One column of a table. */
export interface Column<T> {
  readonly head: string;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
  /** Columns it takes; a column without one shares what the others leave. */
  readonly width?: number;
  /** Left out first where there is no room: the highest. 0 stays. */
  readonly rank: number;
  cell(row: T): string | Segment;
}

const GAP = 2;
const FLEXIBLE_WIDTH_MIN = 12;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** A line of one style. */
export function line(text: string, style?: Style): Line {
  return [{ text, style }];
}

/** Makes text harmless and cuts it to a width; what was cut ends with `…`. */
export function fit(text: string, width: number): string {
  const clean = printable(text);
  if (Bun.stringWidth(clean) <= width) return clean;
  if (width < 1) return "";
  let used = 0;
  let kept = "";
  for (const { segment } of graphemes.segment(clean)) {
    const next = Bun.stringWidth(segment);
    if (used + next > width - 1) break;
    used += next;
    kept += segment;
  }
  return `${kept}…`;
}

/** The line as a terminal shows it: at most `width` columns. */
export function render(segments: Line, width: number, paint: Paint): string {
  let left = width;
  let text = "";
  for (const segment of segments) {
    const part = fit(segment.text, left);
    left -= Bun.stringWidth(part);
    text += segment.style === undefined || part === "" ? part : paint(segment.style, part);
    if (left <= 0) break;
  }
  return text;
}

/** Head and rows, in as many of the columns as there is room for. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], width: number): Line[] {
  const shown = choose(columns, width);
  const fixed = shown.reduce((sum, column) => sum + (column.width ?? 0) + GAP, -GAP);
  const flexibleCount = shown.filter((column) => column.width === undefined).length;
  const flexible = Math.floor((width - fixed) / Math.max(1, flexibleCount));
  const widthOf = (column: Column<T>) => column.width ?? Math.max(1, flexible);
  const pad = (text: string, column: Column<T>) => {
    const cut = fit(text, widthOf(column));
    const space = " ".repeat(widthOf(column) - Bun.stringWidth(cut));
    return column.isNumber ? space + cut : cut + space;
  };
  const gap: Segment = { text: " ".repeat(GAP) };
  const join = (cells: Segment[]): Line => cells.flatMap((cell, at) => at === 0 ? [cell] : [gap, cell]);
  return [
    join(shown.map((column) => ({ text: pad(column.head, column), style: "dim" }))),
    ...rows.map((row) =>
      join(shown.map((column) => {
        const cell = column.cell(row);
        return typeof cell === "string"
          ? { text: pad(cell, column) }
          : { text: pad(cell.text, column), style: cell.style };
      }))
    ),
  ];
}

function choose<T>(columns: readonly Column<T>[], width: number): readonly Column<T>[] {
  const needed = (list: readonly Column<T>[]) =>
    list.reduce((sum, column) => sum + (column.width ?? FLEXIBLE_WIDTH_MIN) + GAP, -GAP);
  let shown = columns;
  while (needed(shown) > width) {
    const last = Math.max(...shown.map(({ rank }) => rank));
    if (last === 0) return shown;
    shown = shown.filter(({ rank }) => rank !== last);
  }
  return shown;
}

const BARS = "▁▂▃▄▅▆▇█";

/** The newest values as a row of bars, the highest of them at full height. */
export function sparkline(values: readonly (number | null)[], width: number): string {
  const shown = values.slice(-width);
  const highest = Math.max(1e-9, ...shown.map((value) => value ?? 0));
  return shown.map((value) =>
    value === null ? " " : BARS[Math.min(BARS.length - 1, Math.floor((value / highest) * BARS.length))]
  ).join("").padStart(width);
}

/** A number in at most six signs: `0`, `999`, `12.3k`, `4.56M`. */
export function short(value: number | null): string {
  if (value === null) return "-";
  if (value < 1000) {
    return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  }
  const power = Math.min(4, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${scaled < 10 ? scaled.toFixed(2) : scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)}${
    " kMGT"[power]
  }`;
}

/** Microseconds with their unit: `812us`, `4.1ms`, `2.3s`. */
export function shortTime(us: number | null): string {
  if (us === null) return "-";
  if (us < 1000) return `${Math.round(us)}us`;
  return us < 1_000_000 ? `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)}ms` : `${(us / 1e6).toFixed(1)}s`;
}
