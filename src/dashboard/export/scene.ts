/**
 * A chart as a drawing of four kinds of marks, from which pictures and paper are made: each writer of a file
 * format knows marks and nothing of charts.
 */
import { type ChartData, largest, type Range } from "../chart/chart-data.ts";
import { INK, type Ink, seriesColor } from "../chart/palette.ts";
import { timeLabel } from "../chart/plot.ts";
import { format, timestamp } from "../format.ts";
import type { Cell } from "../live/timeline.ts";
import type { Theme } from "../theme.ts";

export type Mark =
  | { kind: "rect"; x: number; y: number; width: number; height: number; fill: string }
  | { kind: "line"; points: readonly Point[]; stroke: string; width: number; isDashed?: boolean }
  | { kind: "dot"; x: number; y: number; radius: number; fill: string }
  | {
    kind: "text";
    x: number;
    y: number;
    text: string;
    size: number;
    fill: string;
    anchor: Anchor;
    isBold?: boolean;
  };
export type Anchor = "start" | "middle" | "end";
export type Point = readonly [x: number, y: number];

/** Lengths are in pixels; y grows downwards. */
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly marks: readonly Mark[];
}

export interface SceneOptions {
  readonly range: Range;
  readonly theme: Theme;
}

const WIDTH = 960;
const HEIGHT = 440;
const PLOT = { left: 84, top: 84, right: WIDTH - 24, bottom: HEIGHT - 40 };
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** Draws what the chart shows between two times. */
export function sceneOf(data: ChartData, { range, theme }: SceneOptions): Scene {
  const ink = INK[theme];
  const top = roundUp(largest(data) || 1);
  const x = (time: number) =>
    PLOT.left + ((time - range.from) / (range.to - range.from)) * (PLOT.right - PLOT.left);
  const y = (value: number) => PLOT.bottom - (value / top) * (PLOT.bottom - PLOT.top);
  const marks: Mark[] = [
    { kind: "rect", x: 0, y: 0, width: WIDTH, height: HEIGHT, fill: ink.background },
    { kind: "text", x: 24, y: 32, text: data.title, size: 18, fill: ink.text, anchor: "start", isBold: true },
    {
      kind: "text",
      x: PLOT.right,
      y: 32,
      text: `${timestamp(range.from * 1e6).slice(0, 19)} – ${timestamp(range.to * 1e6).slice(0, 19)}`,
      size: 12,
      fill: ink.muted,
      anchor: "end",
    },
    ...legend(data, theme, ink),
    ...valueAxis(top, y, data, ink),
    ...timeAxis(range, x, ink),
  ];
  for (const series of data.series) {
    const stroke = seriesColor(theme, series.color);
    for (const points of stretches(data.times, series.values, x, y)) {
      const [only] = points;
      if (points.length === 1 && only !== undefined) {
        marks.push({ kind: "dot", x: only[0], y: only[1], radius: 2, fill: stroke });
      } else marks.push({ kind: "line", points, stroke, width: 1.75, isDashed: series.isDashed === true });
    }
  }
  return { width: WIDTH, height: HEIGHT, title: data.title, marks };
}

function legend({ series }: ChartData, theme: Theme, ink: Ink): Mark[] {
  let x = 24;
  return series.flatMap(({ label, color }): Mark[] => {
    const at = x;
    x += 34 + label.length * 6.6;
    if (x > WIDTH) return [];
    return [
      { kind: "rect", x: at, y: 50, width: 12, height: 4, fill: seriesColor(theme, color) },
      { kind: "text", x: at + 18, y: 56, text: label, size: 12, fill: ink.muted, anchor: "start" },
    ];
  });
}

function valueAxis(top: number, y: (value: number) => number, { unit }: ChartData, ink: Ink): Mark[] {
  return [0, 0.25, 0.5, 0.75, 1].flatMap((share): Mark[] => {
    const at = y(top * share);
    return [
      { kind: "line", points: [[PLOT.left, at], [PLOT.right, at]], stroke: ink.grid, width: 1 },
      {
        kind: "text",
        x: PLOT.left - 8,
        y: at + 4,
        text: format(top * share, unit),
        size: 12,
        fill: ink.muted,
        anchor: "end",
      },
    ];
  });
}

function timeAxis({ from, to }: Range, x: (time: number) => number, ink: Ink): Mark[] {
  const step = TIME_STEPS.find((seconds) => (to - from) / seconds <= 8) ?? Math.ceil((to - from) / 8);
  const marks: Mark[] = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    const at = x(time);
    marks.push({
      kind: "line",
      points: [[at, PLOT.bottom], [at, PLOT.bottom + 5]],
      stroke: ink.muted,
      width: 1,
    });
    marks.push({
      kind: "text",
      x: at,
      y: PLOT.bottom + 20,
      text: timeLabel(time, step),
      size: 12,
      fill: ink.muted,
      anchor: "middle",
    });
  }
  return marks;
}

/** Points that belong together: a missing value ends a stretch. */
function stretches(
  times: readonly number[],
  values: readonly Cell[],
  x: (time: number) => number,
  y: (value: number) => number,
): Point[][] {
  const all: Point[][] = [];
  let current: Point[] = [];
  values.forEach((value, index) => {
    const time = times[index];
    if (value === null || time === undefined) {
      if (current.length > 0) all.push(current);
      current = [];
    } else current.push([round(x(time)), round(y(value))]);
  });
  return current.length > 0 ? [...all, current] : all;
}

/** The next of 1, 2, 2.5, 4, 5, 8 times a power of ten: quarters of it are good to read. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 4, 5, 8, 10].find((step) => step * power >= value) ?? 10);
}

function round(pixels: number): number {
  return Math.round(pixels * 100) / 100;
}
