/** How the engine is doing, in five words, and what each of them makes it do. */

/** In rising order: an index into it is a level's number in metrics. */
export const LEVELS = ["HEALTHY", "ELEVATED", "DEGRADED", "CRITICAL", "EMERGENCY"] as const;
export type Level = (typeof LEVELS)[number];

/** What the control plane does at a level. */
export interface Actions {
  /** Name of it all, for the outside. */
  readonly state: "RUNNING" | "DROPPING" | "PAUSED" | "EMERGENCY";
  /** Events below this priority go to the DLQ, where the lane's overflow policy drops at all; 0: none. */
  readonly shedBelow: number;
  /** Events of lanes without critical ones are not processed; they wait in the log. */
  readonly holdsProcessing: boolean;
}

/** BATCH events only; and all but CRITICAL ones. As in `event/frame.ts`. */
const SHED_BATCH = 1;
const SHED_NON_CRITICAL = 4;

const ACTIONS: Readonly<Record<Level, Actions>> = {
  HEALTHY: { state: "RUNNING", shedBelow: 0, holdsProcessing: false },
  ELEVATED: { state: "RUNNING", shedBelow: 0, holdsProcessing: false },
  DEGRADED: { state: "DROPPING", shedBelow: SHED_BATCH, holdsProcessing: false },
  CRITICAL: { state: "PAUSED", shedBelow: SHED_BATCH, holdsProcessing: true },
  EMERGENCY: { state: "EMERGENCY", shedBelow: SHED_NON_CRITICAL, holdsProcessing: true },
};

export function actionsOf(level: Level): Actions {
  return ACTIONS[level];
}

export function numberOf(level: Level): number {
  return LEVELS.indexOf(level);
}

export function worse(one: Level, other: Level): Level {
  return numberOf(one) >= numberOf(other) ? one : other;
}

export function better(one: Level, other: Level): Level {
  return numberOf(one) <= numberOf(other) ? one : other;
}

/** The level above; the highest stays. */
export function next(level: Level): Level {
  return LEVELS[numberOf(level) + 1] ?? "EMERGENCY";
}
