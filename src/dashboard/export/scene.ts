/**
 * A chart as a drawing of four kinds of marks, from which pictures and paper are made: each writer of a file
 * format knows marks and nothing of charts.
 */
import { type ChartData, largest, type Range } from "../chart/chart-data.ts";
import { seriesColor } from "../chart/palette.ts";
import { format } from "../format.ts";
import type { Cell } from "../live/timeline.ts";
import type { Theme } from "../theme.ts";
import { frameOf } from "./frame.ts";

export type Mark = Rect | Line | Dot | Text;
export type Point = readonly [x: number, y: number];

interface Rect {
  readonly kind: "rect";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
}
interface Line {
  readonly kind: "line";
  readonly points: readonly Point[];
  readonly stroke: string;
  readonly width: number;
}
interface Dot {
  readonly kind: "dot";
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly fill: string;
}
interface Text {
  readonly kind: "text";
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly size: number;
  readonly fill: string;
  readonly anchor: "start" | "middle" | "end";
  readonly isBold?: boolean;
}

/** Lengths are in pixels; y grows downwards. Colours are `#rrggbb`. */
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly marks: readonly Mark[];
}

/** Draws what a chart of lines shows between two times. */
export function sceneOf(data: ChartData, range: Range, theme: Theme): Scene {
  const { title, unit, times, series } = data;
  const colored = series.map((line) => ({ ...line, color: seriesColor(theme, line.color) }));
  const high = roundUp(largest(data) || 1);
  const label = (value: number) => format(value, unit);
  const { x, y, fill } = frameOf({ title, range, theme, low: 0, high, label, legend: colored });
  return fill(colored.flatMap(({ values, color }) =>
    stretches(times, values).map((stretch): Mark => {
      const points = stretch.map(([time, value]): Point => [x(time), y(value)]);
      const [only] = points;
      return only !== undefined && points.length === 1
        ? { kind: "dot", x: only[0], y: only[1], radius: 2, fill: color }
        : { kind: "line", points, stroke: color, width: 1.75 };
    })
  ));
}

/** Times and values that belong together: a missing value ends a stretch. */
function stretches(times: readonly number[], values: readonly Cell[]): Point[][] {
  const all: Point[][] = [[]];
  values.forEach((value, index) => {
    const time = times[index];
    if (value === null || time === undefined) all.push([]);
    else all.at(-1)?.push([time, value]);
  });
  return all.filter((stretch) => stretch.length > 0);
}

/** The next of 1, 2, 2.5, 4, 5, 8 times a power of ten: quarters of it are good to read. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 4, 5, 8, 10].find((step) => step * power >= value) ?? 10);
}
