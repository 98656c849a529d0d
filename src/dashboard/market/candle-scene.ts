/** Candles as a drawing, for files. */
import type { Range } from "../chart/chart-data.ts";
import { frameOf } from "../export/frame.ts";
import type { Mark, Scene } from "../export/scene.ts";
import type { Theme } from "../theme.ts";
import type { Bar } from "./market-data.ts";

export const UP_DOWN: Readonly<Record<Theme, { readonly up: string; readonly down: string }>> = {
  light: { up: "#0f766e", down: "#be123c" },
  dark: { up: "#2dd4bf", down: "#fb7185" },
};

export interface CandleSceneOptions {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly range: Range;
  readonly theme: Theme;
}

export function candleScene({ title, bars, range, theme }: CandleSceneOptions): Scene {
  const shown = bars.filter(({ start_us: us, interval_ms }) =>
    us / 1e6 >= range.from && us / 1e6 + interval_ms / 1000 <= range.to + interval_ms / 1000
  );
  const lows = shown.map(({ low }) => Number(low));
  const highs = shown.map(({ high }) => Number(high));
  const [low, high] = shown.length === 0 ? [0, 1] : [Math.min(...lows), Math.max(...highs)];
  const pad = (high - low) * 0.05 || Math.abs(high) * 0.001 || 1;
  const digits = Math.max(0, Math.min(8, 3 - Math.floor(Math.log10(pad * 20))));
  const colors = UP_DOWN[theme];
  const frame = frameOf({
    title,
    range,
    theme,
    low: low - pad,
    high: high + pad,
    label: (value) => value.toFixed(digits),
    legend: [{ label: "rising", color: colors.up }, { label: "falling", color: colors.down }],
  });
  return frame.fill(shown.flatMap((bar): Mark[] => {
    const [open, close] = [Number(bar.open), Number(bar.close)];
    const seconds = bar.interval_ms / 1000;
    const start = bar.start_us / 1e6;
    const width = Math.max(1, (frame.x(start + seconds) - frame.x(start)) * 0.7);
    const center = frame.x(start + seconds / 2);
    const fill = close >= open ? colors.up : colors.down;
    const [upper, lower] = [frame.y(Math.max(open, close)), frame.y(Math.min(open, close))];
    const wick = { from: frame.y(Number(bar.high)), to: frame.y(Number(bar.low)) };
    return [
      { kind: "line", points: [[center, wick.from], [center, wick.to]], stroke: fill, width: 1 },
      { kind: "rect", x: center - width / 2, y: upper, width, height: Math.max(1, lower - upper), fill },
    ];
  }));
}
