/** What a chart shows, whoever draws it: the screen, a picture, a table. */
import type { Unit } from "../format.ts";
import type { Cell } from "../live/timeline.ts";

export interface Series {
  readonly label: string;
  /** One a time; null where nothing was measured. */
  readonly values: readonly Cell[];
  /** Place in the palette: the same thing has the same colour in every chart. */
  readonly color: number;
}

export interface ChartData {
  /** For file names. */
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  /** Seconds since the Unix epoch, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
}

/** Part of the time axis, in seconds since the Unix epoch. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Only what lies in the range. */
export function cut(data: ChartData, { from, to }: Range): ChartData {
  const first = data.times.findIndex((time) => time >= from);
  const after = data.times.findIndex((time) => time > to);
  const [start, end] = [first < 0 ? data.times.length : first, after < 0 ? data.times.length : after];
  return {
    ...data,
    times: data.times.slice(start, end),
    series: data.series.map((series) => ({ ...series, values: series.values.slice(start, end) })),
  };
}

/** Largest value of all series; 0 when there is none. */
export function largest({ series }: ChartData): number {
  let most = 0;
  for (const { values } of series) {
    for (const value of values) if (value !== null && value > most) most = value;
  }
  return most;
}
