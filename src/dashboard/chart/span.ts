/**
 * Which part of time charts show. All charts of a view share one span: what happened at the same moment stands
 * one below the other.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { file, shown } from "../live/source.ts";
import { timeOf } from "../live/timeline.ts";
import type { Range } from "./chart-data.ts";

/** Shortest span that still shows something, in seconds. */
const SECONDS_MIN = 5;

export class Span {
  /** Part that was chosen; absent: whatever is the newest. */
  readonly zoom = signal<Range | undefined>(undefined);
  readonly range: ReadonlySignal<Range>;

  /** @param whole What is shown without zoom. */
  constructor(whole: () => Range) {
    this.range = computed(() => this.zoom.value ?? whole());
  }

  zoomTo(range: Range): void {
    const missing = SECONDS_MIN - (range.to - range.from);
    const pad = Math.max(0, missing / 2);
    this.zoom.value = { from: range.from - pad, to: range.to + pad };
  }

  /** @param factor Below 1: closer. @param at Time that stays where it is; default: the middle. */
  zoomBy(factor: number, at?: number): void {
    const { from, to } = this.range.value;
    const center = at ?? (from + to) / 2;
    this.zoomTo({ from: center - (center - from) * factor, to: center + (to - center) * factor });
  }

  /** @param share Part of the span, negative into the past. */
  panBy(share: number): void {
    const { from, to } = this.range.value;
    const by = (to - from) * share;
    this.zoom.value = { from: from + by, to: to + by };
  }

  reset(): void {
    this.zoom.value = undefined;
  }
}

/** Seconds that live charts show, to choose from. */
export const LENGTHS: readonly { readonly seconds: number; readonly label: string }[] = [
  { seconds: 60, label: "1 min" },
  { seconds: 300, label: "5 min" },
  { seconds: 600, label: "10 min" },
  { seconds: 3600, label: "1 h" },
];
export const lengthSeconds = signal(300);

/** Shown at least, though there may be less. */
const FIRST_SECONDS = 30;

/** The newest of what is shown; a file is shown whole. */
export const liveSpan = new Span(() => {
  const { rows } = shown.value;
  const to = (timeOf(rows.at(-1)) ?? Date.now()) / 1000;
  const first = (timeOf(rows[0]) ?? Date.now()) / 1000;
  const from = file.value === undefined ? Math.max(first, to - lengthSeconds.value) : first;
  // A server that was just started has little to show: some room is left for what comes.
  return { from: Math.min(from, to - FIRST_SECONDS), to };
});

/** The span that keys move: that of the view in front. */
let active = liveSpan;

/** @returns Puts the live span back. */
export function activate(span: Span): () => void {
  active = span;
  return () => {
    active = liveSpan;
  };
}

export function zoomBy(factor: number): void {
  active.zoomBy(factor);
}

export function panBy(share: number): void {
  active.panBy(share);
}

export function followLive(): void {
  active.reset();
}
