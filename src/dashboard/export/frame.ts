/** What every drawn chart has around it: title, time, axes; and where on it a time and a value lie. */
import type { Range } from "../chart/chart-data.ts";
import { INK, type Ink } from "../chart/palette.ts";
import { timeLabel } from "../chart/plot.ts";
import { timestamp } from "../format.ts";
import type { Theme } from "../theme.ts";
import type { Mark, Scene } from "./scene.ts";

export interface FrameOptions {
  readonly title: string;
  readonly range: Range;
  readonly theme: Theme;
  /** Values at the bottom and at the top. */
  readonly low: number;
  readonly high: number;
  readonly label: (value: number) => string;
  /** What the colours mean. */
  readonly legend: readonly { readonly label: string; readonly color: string }[];
}

export interface Frame {
  readonly x: (time: number) => number;
  readonly y: (value: number) => number;
  /** The drawing, with marks on top. */
  readonly fill: (marks: readonly Mark[]) => Scene;
}

const WIDTH = 960;
const HEIGHT = 440;
const PLOT = { left: 84, top: 84, right: WIDTH - 24, bottom: HEIGHT - 40 };
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

export function frameOf(options: FrameOptions): Frame {
  const { title, range, theme, low, high } = options;
  const ink = INK[theme];
  const x = (time: number) =>
    round(PLOT.left + ((time - range.from) / (range.to - range.from)) * (PLOT.right - PLOT.left));
  const y = (value: number) => round(PLOT.bottom - ((value - low) / (high - low)) * (PLOT.bottom - PLOT.top));
  const marks: Mark[] = [
    { kind: "rect", x: 0, y: 0, width: WIDTH, height: HEIGHT, fill: ink.background },
    { kind: "text", x: 24, y: 32, text: title, size: 18, fill: ink.text, anchor: "start", isBold: true },
    {
      kind: "text",
      x: PLOT.right,
      y: 32,
      text: `${timestamp(range.from * 1e6).slice(0, 19)} – ${timestamp(range.to * 1e6).slice(0, 19)}`,
      size: 12,
      fill: ink.muted,
      anchor: "end",
    },
    ...legendMarks(options, ink),
    ...valueAxis(options, y, ink),
    ...timeAxis(range, x, ink),
  ];
  return { x, y, fill: (more) => ({ width: WIDTH, height: HEIGHT, title, marks: [...marks, ...more] }) };
}

function legendMarks({ legend }: FrameOptions, ink: Ink): Mark[] {
  let x = 24;
  return legend.flatMap(({ label, color }): Mark[] => {
    const at = x;
    x += 34 + label.length * 6.6;
    if (x > WIDTH) return [];
    return [
      { kind: "rect", x: at, y: 50, width: 12, height: 4, fill: color },
      { kind: "text", x: at + 18, y: 56, text: label, size: 12, fill: ink.muted, anchor: "start" },
    ];
  });
}

function valueAxis({ low, high, label }: FrameOptions, y: (value: number) => number, ink: Ink): Mark[] {
  return [0, 0.25, 0.5, 0.75, 1].flatMap((share): Mark[] => {
    const value = low + (high - low) * share;
    const at = y(value);
    return [
      { kind: "line", points: [[PLOT.left, at], [PLOT.right, at]], stroke: ink.grid, width: 1 },
      {
        kind: "text",
        x: PLOT.left - 8,
        y: at + 4,
        text: label(value),
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
    const [top, text] = [PLOT.bottom, timeLabel(time, step)];
    marks.push({ kind: "line", points: [[at, top], [at, top + 5]], stroke: ink.muted, width: 1 });
    marks.push({ kind: "text", x: at, y: top + 20, text, size: 12, fill: ink.muted, anchor: "middle" });
  }
  return marks;
}

function round(pixels: number): number {
  return Math.round(pixels * 100) / 100;
}
