/** One chart with its title, legend and exports. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { format } from "../format.ts";
import { theme } from "../theme.ts";
import { csvOf } from "../export/csv.ts";
import { sceneOf } from "../export/scene.ts";
import { type ChartData, cut } from "./chart-data.ts";
import { ExportMenu } from "./export-menu.tsx";
import { seriesColor } from "./palette.ts";
import { createPlot, sameSeries, updatePlot } from "./plot.ts";
import { liveSpan, type Span } from "./span.ts";
import type { ComponentChildren } from "preact";

export interface ChartProps {
  readonly data: ChartData;
  /** Default: that of all live charts. */
  readonly span?: Span;
  /** Choices that belong to this chart. */
  readonly children?: ComponentChildren;
}

export function Chart({ data, span = liveSpan, children }: ChartProps) {
  const hidden = useSignal<ReadonlySet<string>>(new Set());
  const hover = useSignal<number | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<{ plot: uPlot; data: ChartData; look: unknown } | undefined>(undefined);
  const range = span.range.value;
  const look = `${theme.value} ${[...hidden.value].join("\n")}`;

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const old = drawn.current;
    if (old !== undefined && old.look === look && sameSeries(old.data, data)) {
      old.data = data;
      updatePlot(old.plot, data, range);
      return;
    }
    old?.plot.destroy();
    const onHover = (index: number | null) => void (hover.value = index);
    const plot = createPlot(element, data, { theme: theme.value, span, hidden: hidden.value, onHover });
    drawn.current = { plot, data, look };
  });
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      drawn.current?.plot.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.current?.plot.destroy();
      drawn.current = undefined;
    };
  }, []);

  const toggle = (label: string) => {
    const next = new Set(hidden.value);
    if (!next.delete(label)) next.add(label);
    hidden.value = next;
  };
  const visible = cut(
    { ...data, series: data.series.filter(({ label }) => !hidden.value.has(label)) },
    span.range.value,
  );
  return (
    <figure class="chart card" data-chart={data.id}>
      <figcaption>
        <h3>{data.title}</h3>
        {children}
        <ExportMenu
          id={data.id}
          title={data.title}
          drawing={(theme) => sceneOf(visible, span.range.value, theme)}
          csv={() => csvOf(visible)}
        />
      </figcaption>
      <div
        class="plot"
        ref={place}
        tabIndex={0}
        role="application"
        aria-label={`${data.title}: arrow keys move through time, plus and minus zoom, 0 follows the newest`}
        onKeyDown={(event) => {
          if (event.key === "ArrowLeft") span.panBy(-0.2);
          else if (event.key === "ArrowRight") span.panBy(0.2);
          else return;
          event.preventDefault();
        }}
      />
      <ul class="legend">
        {data.series.map((series) => (
          <li key={series.label}>
            <button
              type="button"
              aria-pressed={!hidden.value.has(series.label)}
              onClick={() => toggle(series.label)}
            >
              <i style={{ background: seriesColor(theme.value, series.color) }} />
              <span>{series.label}</span>
              <b>{format(valueAt(series.values, hover.value), data.unit)}</b>
            </button>
          </li>
        ))}
      </ul>
    </figure>
  );
}

/** The value under the cursor, else the newest. */
function valueAt(values: readonly (number | null)[], index: number | null): number | null {
  if (index !== null) return values[index] ?? null;
  return values.at(-1) ?? null;
}
