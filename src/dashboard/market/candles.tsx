/** Candles of bars, with their volume below. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { ExportMenu } from "../chart/export-menu.tsx";
import { addGestures } from "../chart/gestures.ts";
import { INK } from "../chart/palette.ts";
import { timeLabel } from "../chart/plot.ts";
import type { Span } from "../chart/span.ts";
import { csvTable } from "../export/csv.ts";
import { type Theme, theme } from "../theme.ts";
import { candleScene, UP_DOWN } from "./candle-scene.ts";
import type { Bar } from "./market-data.ts";

export interface CandlesProps {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly span: Span;
}

/** Part of the height that volume may take. */
const VOLUME_SHARE = 0.2;

export function Candles({ title, bars, span }: CandlesProps) {
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<{ plot: uPlot; look: string } | undefined>(undefined);
  const { from, to } = span.range.value;
  const look = `${theme.value} ${bars[0]?.interval_ms ?? 0}`;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    if (drawn.current?.look !== look) {
      drawn.current?.plot.destroy();
      drawn.current = {
        plot: create(element, theme.value, span, (bars[0]?.interval_ms ?? 1000) / 1000),
        look,
      };
    }
    const { plot } = drawn.current;
    plot.setData(columnsOf(bars), false);
    plot.setScale("x", { min: from, max: to });
  });
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const observer = new ResizeObserver(() =>
      drawn.current?.plot.setSize({ width: element.clientWidth, height: element.clientHeight })
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.current?.plot.destroy();
      drawn.current = undefined;
    };
  }, []);
  const last = bars.at(-1);
  return (
    <figure class="chart card" data-chart="candles">
      <figcaption>
        <h3>{title}</h3>
        {last !== undefined && (
          <span class="ohlc">
            O <b>{last.open}</b> H <b>{last.high}</b> L <b>{last.low}</b> C <b>{last.close}</b> V{" "}
            <b>{last.volume}</b>
          </span>
        )}
        <ExportMenu
          id="candles"
          title={title}
          drawing={(theme) => candleScene({ title, bars, range: span.range.value, theme })}
          csv={() => csvTable(CSV_HEAD, bars.map(csvRow))}
        />
      </figcaption>
      <div
        class="plot tall"
        ref={place}
        tabIndex={0}
        role="application"
        aria-label={`${title}: arrow keys move through time, plus and minus zoom, 0 shows all`}
        onKeyDown={(event) => {
          if (event.key === "ArrowLeft") span.panBy(-0.2);
          else if (event.key === "ArrowRight") span.panBy(0.2);
          else return;
          event.preventDefault();
        }}
      />
    </figure>
  );
}

const CSV_HEAD = ["time", "open", "high", "low", "close", "volume", "vwap", "trades"];

function csvRow(bar: Bar): string[] {
  const { open, high, low, close, volume, vwap = "", trades } = bar;
  return [new Date(bar.start_us / 1000).toISOString(), open, high, low, close, volume, vwap, String(trades)];
}

function columnsOf(bars: readonly Bar[]): uPlot.AlignedData {
  const numbers = (pick: (bar: Bar) => string) => bars.map((bar) => Number(pick(bar)));
  return [
    bars.map(({ start_us }) => start_us / 1e6),
    numbers(({ open }) => open),
    numbers(({ high }) => high),
    numbers(({ low }) => low),
    numbers(({ close }) => close),
    numbers(({ volume }) => volume),
  ];
}

function create(element: HTMLElement, theme: Theme, span: Span, seconds: number): uPlot {
  const ink = INK[theme];
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: ink.muted, font, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false } };
  return new uPlot(
    {
      width: Math.max(100, element.clientWidth),
      height: Math.max(100, element.clientHeight),
      legend: { show: false },
      padding: [8, 26, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => null } },
      scales: {
        x: { time: true, range: (_plot, min, max) => [min, max] },
        y: { range: (_plot, min, max) => spread(min, max) },
        volume: { range: (_plot, _min, max) => [0, (max || 1) / VOLUME_SHARE] },
      },
      axes: [
        {
          ...axis,
          size: 28,
          space: 72,
          values: (_plot, splits, _at, _space, step) => splits.map((time) => timeLabel(time, step)),
        },
        { ...axis, size: 80 },
      ],
      series: [{}, { points: { show: false }, stroke: "transparent" }, {}, {}, {}, { scale: "volume" }].map((
        series,
      ) => ({ paths: () => null, points: { show: false }, ...series })),
      hooks: {
        ready: [(plot) => addGestures(plot, span)],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          span.zoomTo({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
        draw: [(plot) => drawCandles(plot, theme, seconds)],
      },
    },
    [[], [], [], [], [], []],
    element,
  );
}

/** Candles do not begin at 0: their differences are what is looked at. */
function spread(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const pad = (max - min) * 0.08 || Math.abs(max) * 0.001 || 1;
  // Room below for the volume.
  return [min - pad - (max - min) * VOLUME_SHARE, max + pad];
}

function drawCandles(plot: uPlot, theme: Theme, seconds: number): void {
  const { ctx: context, data: [times, opens = [], highs = [], lows = [], closes = [], volumes = []] } = plot;
  const x = (time: number) => plot.valToPos(time, "x", true);
  const width = Math.max(1, (x((times[0] ?? 0) + seconds) - x(times[0] ?? 0)) * 0.7);
  context.save();
  context.beginPath();
  context.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  context.clip();
  times.forEach((time, index) => {
    const [open, high, low, close] = [opens[index], highs[index], lows[index], closes[index]];
    if (open == null || high == null || low == null || close == null) return;
    const y = (value: number) => plot.valToPos(value, "y", true);
    // A bar's time is its start; its candle stands in the middle.
    const center = x(time + seconds / 2);
    context.fillStyle = UP_DOWN[theme][close >= open ? "up" : "down"];
    context.globalAlpha = 0.3;
    const top = plot.valToPos(volumes[index] ?? 0, "volume", true);
    context.fillRect(center - width / 2, top, width, plot.valToPos(0, "volume", true) - top);
    context.globalAlpha = 1;
    context.fillRect(center - 0.75, y(high), 1.5, Math.max(1, y(low) - y(high)));
    const [upper, lower] = [y(Math.max(open, close)), y(Math.min(open, close))];
    context.fillRect(center - width / 2, upper, width, Math.max(1.5, lower - upper));
  });
  context.restore();
}
