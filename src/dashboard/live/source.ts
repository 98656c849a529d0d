/** What is shown: the live server, or a file; and whether it stands still for a closer look. */
import { computed, signal } from "@preact/signals";
import type { LiveState } from "../../api/live-state.ts";
import { EMPTY, type Timeline } from "./timeline.ts";

export interface Hello {
  readonly version: string;
  readonly started_ms: number;
  readonly interval_ms: number;
  readonly columns: Timeline["columns"];
  readonly has_store: boolean;
  readonly has_market: boolean;
  readonly caller: {
    readonly name: string;
    readonly publish: boolean;
    readonly admin: boolean;
    readonly read_everything: boolean;
  };
}

export type ConnectionState = "connecting" | "live" | "lost" | "refused";

export const connection = signal<ConnectionState>("connecting");
/** Absent until the server has answered. */
export const hello = signal<Hello | undefined>(undefined);
export const state = signal<LiveState | undefined>(undefined);
/** All that the server has sent. */
export const live = signal<Timeline>(EMPTY);

/** A file that is looked at instead of the server. */
export const file = signal<{ readonly name: string; readonly timeline: Timeline } | undefined>(undefined);
/** What was there when the charts were frozen. */
const frozen = signal<Timeline | undefined>(undefined);

export const isFrozen = computed(() => frozen.value !== undefined);
/** What charts draw. */
export const shown = computed<Timeline>(() => file.value?.timeline ?? frozen.value ?? live.value);

/** Lanes that are left out of the charts. */
export const hiddenLanes = signal<ReadonlySet<string>>(new Set());

export function toggleFreeze(): void {
  frozen.value = frozen.value === undefined ? live.value : undefined;
}

export function toggleLane(lane: string): void {
  const lanes = new Set(hiddenLanes.value);
  if (!lanes.delete(lane)) lanes.add(lane);
  hiddenLanes.value = lanes;
}
