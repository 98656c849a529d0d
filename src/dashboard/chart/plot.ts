/** A chart on the screen: the library's, with our colours, units and gestures. */
import uPlot from "uplot";
import { clock, format } from "../format.ts";
import type { Theme } from "../theme.ts";
import type { ChartData, Range } from "./chart-data.ts";
import { addGestures } from "./gestures.ts";
import { INK, seriesColor } from "./palette.ts";
import type { Span } from "./span.ts";

export interface PlotOptions {
  readonly theme: Theme;
  readonly span: Span;
  /** By label: series that are not drawn. */
  readonly hidden: ReadonlySet<string>;
  /** The index under the cursor; null when it has left. */
  readonly onHover: (index: number | null) => void;
}

const AXIS_WIDTH = 72;
const DAY_SECONDS = 86_400;
const FONT = "11px system-ui, sans-serif";

/** Draws into an element. The caller destroys it. */
export function createPlot(element: HTMLElement, data: ChartData, options: PlotOptions): uPlot {
  const { theme, span, hidden, onHover } = options;
  const ink = INK[theme];
  const axis = {
    stroke: ink.muted,
    font: FONT,
    grid: { stroke: ink.grid, width: 1 },
    ticks: { show: false },
  };
  const plot = new uPlot(
    {
      width: Math.max(100, element.clientWidth),
      height: Math.max(100, element.clientHeight),
      legend: { show: false },
      padding: [8, 26, 0, 0],
      cursor: {
        sync: { key: "esc" },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
        // The library's own double click would show everything there ever was.
        bind: { dblclick: () => () => null },
      },
      scales: {
        x: { time: true, range: (_plot, min, max) => [min, max] },
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        {
          ...axis,
          size: 28,
          space: 72,
          values: (_plot, splits, _at, _space, step) => splits.map((time) => timeLabel(time, step)),
        },
        {
          ...axis,
          size: AXIS_WIDTH,
          values: (_plot, splits) => splits.map((value) => format(value, data.unit)),
        },
      ],
      series: [
        {},
        ...data.series.map((series) => ({
          label: series.label,
          show: !hidden.has(series.label),
          stroke: seriesColor(theme, series.color),
          width: 1.75,
          ...(data.series.length <= 4 ? { fill: `${seriesColor(theme, series.color)}14` } : {}),
          points: { size: 4 },
        })),
      ],
      hooks: {
        ready: [(ready) => addGestures(ready, span)],
        setCursor: [({ cursor }) => onHover(cursor.idx ?? null)],
        setSelect: [(selected) => {
          const { left, width } = selected.select;
          if (width < 4) return;
          span.zoomTo({ from: selected.posToVal(left, "x"), to: selected.posToVal(left + width, "x") });
          selected.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    },
    aligned(data),
    element,
  );
  setRange(plot, span.range.value);
  return plot;
}

/** Shows newer data. The series must be the same. */
export function updatePlot(plot: uPlot, data: ChartData, range: Range): void {
  plot.setData(aligned(data), false);
  setRange(plot, range);
}

function setRange(plot: uPlot, { from, to }: Range): void {
  plot.setScale("x", { min: from, max: to });
}

function aligned(data: ChartData): uPlot.AlignedData {
  const count = data.times.length;
  // A lane that is not in an old file has no values at all.
  const lists = data.series.map(({ values }) =>
    values.length === count ? [...values] : new Array(count).fill(null)
  );
  return [[...data.times], ...lists];
}

/** @param step Seconds between two labels. */
export function timeLabel(time: number, step: number): string {
  const date = new Date(time * 1000);
  if (step >= DAY_SECONDS) return `${date.getDate()}.${date.getMonth() + 1}.`;
  return step >= 60 ? clock(time * 1000).slice(0, 5) : clock(time * 1000);
}

/** Whether two charts have the same series, so that one drawing serves both. */
export function sameSeries(a: ChartData, b: ChartData): boolean {
  return a.unit === b.unit && a.series.length === b.series.length &&
    a.series.every((series, index) =>
      series.label === b.series[index]?.label && series.color === b.series[index]?.color
    );
}
