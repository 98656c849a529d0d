/** What a preset is: a world of its own that gives one event after the other. */
import type { Random } from "./random.ts";

export interface GeneratedEvent {
  readonly topic: string;
  readonly priority: number;
  readonly key: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** @param timeUs When it happens, microseconds since the Unix epoch. */
export type NextEvent = (timeUs: number) => GeneratedEvent;

/** Begins a world. */
export type Preset = (random: Random) => NextEvent;
