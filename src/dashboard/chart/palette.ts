/** Colours of charts: told apart on their background, in order of use, also by those who see few colours. */
import type { Theme } from "../theme.ts";

const SERIES: Readonly<Record<Theme, readonly string[]>> = {
  light: ["#0f766e", "#2563eb", "#c2410c", "#7c3aed", "#be123c", "#4d7c0f", "#0369a1", "#a16207"],
  dark: ["#2dd4bf", "#60a5fa", "#fb923c", "#a78bfa", "#fb7185", "#a3e635", "#38bdf8", "#facc15"],
};

export interface Ink {
  readonly background: string;
  readonly text: string;
  readonly muted: string;
  readonly grid: string;
}

export const INK: Readonly<Record<Theme, Ink>> = {
  light: { background: "#ffffff", text: "#18212f", muted: "#566273", grid: "#e4e8ee" },
  dark: { background: "#151d29", text: "#e6ebf2", muted: "#9aa7b8", grid: "#263142" },
};

export function seriesColor(theme: Theme, place: number): string {
  const colors = SERIES[theme];
  return colors[place % colors.length] ?? INK[theme].text;
}
