/** Figures as SVG: bars on a logarithmic axis with their spread, for `docs/performance.md`. */
import type { FigureValue } from "./figure.ts";

const WIDTH = 860;
const LABEL_WIDTH = 360;
const ROW_HEIGHT = 22;
const TOP = 54;
const BAR = "#3b6ea5";
const SPREAD = "#1b2a3a";
const PUBLISHED = "#c0392b";

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** The original engine's figure. */
  readonly mark?: number;
}

/** One plot of the rates and one of the latencies, as far as there are any. @returns File name and SVG. */
export function plots(figures: readonly FigureValue[]): readonly (readonly [string, string])[] {
  const rates = figures.filter(({ kind }) => kind === "rate").map((figure): Bar => ({
    label: `${figure.bench}: ${figure.name}`,
    value: 1000 / figure.ns_per_event,
    low: 1000 / figure.ns_max,
    high: 1000 / figure.ns_min,
    ...(figure.published?.events_per_s === undefined ? {} : { mark: figure.published.events_per_s / 1e6 }),
  }));
  const latencies = figures.filter(({ kind }) => kind === "latency").map((figure): Bar => ({
    label: figure.name,
    value: figure.ns_per_event / 1000,
    low: figure.ns_min / 1000,
    high: Math.max(figure.ns_max, figure.p99_ns ?? 0) / 1000,
    ...(figure.published?.p50_ns === undefined ? {} : { mark: figure.published.p50_ns / 1000 }),
  }));
  return [
    ...(rates.length === 0 ? [] : [["rates.svg", plot("Million events a second", rates)] as const]),
    ...(latencies.length === 0
      ? []
      : [["latencies.svg", plot("Latency p50, up to p99, microseconds", latencies)] as const]),
  ];
}

function plot(title: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * ROW_HEIGHT + 12;
  const all = bars.flatMap(({ low, high, mark }) => mark === undefined ? [low, high] : [low, high, mark]);
  const from = Math.floor(Math.log10(Math.min(...all)));
  const to = Math.ceil(Math.log10(Math.max(...all)));
  const x = (value: number) =>
    LABEL_WIDTH + (Math.log10(value) - from) / Math.max(1, to - from) * (WIDTH - LABEL_WIDTH - 60);
  const decades = Array.from({ length: to - from + 1 }, (_, step) => 10 ** (from + step));
  const lines = decades.map((decade) =>
    `<line x1="${n(x(decade))}" x2="${n(x(decade))}" y1="${TOP - 8}" y2="${height - 8}" stroke="#ccc"/>` +
    `<text x="${n(x(decade))}" y="${TOP - 12}" text-anchor="middle">${decade}</text>`
  );
  const rows = bars.map(({ label, value, low, high, mark }, index) => {
    const y = TOP + index * ROW_HEIGHT;
    const middle = y + ROW_HEIGHT / 2 - 2;
    return `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>` +
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${n(Math.max(1, x(value) - LABEL_WIDTH))}" height="${
        ROW_HEIGHT - 6
      }" fill="${BAR}"/>` +
      `<line x1="${n(x(low))}" x2="${
        n(x(high))
      }" y1="${middle}" y2="${middle}" stroke="${SPREAD}" stroke-width="2"/>` +
      (mark === undefined
        ? ""
        : `<line x1="${n(x(mark))}" x2="${n(x(mark))}" y1="${y - 2}" y2="${
          y + ROW_HEIGHT - 4
        }" stroke="${PUBLISHED}" stroke-width="3"/>`) +
      `<text x="${n(Math.max(x(value), x(high)) + 6)}" y="${middle + 4}">${value.toPrecision(3)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n` +
    `<text x="10" y="20" font-size="15">${escaped(title)}</text>\n` +
    `<text x="${
      WIDTH - 10
    }" y="20" text-anchor="end" fill="${PUBLISHED}">| original engine, as published</text>\n` +
    `${[...lines, ...rows].join("\n")}\n</svg>\n`;
}

function n(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
