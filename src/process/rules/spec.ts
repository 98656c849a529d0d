/**
 * Rules as they are configured: plain data that a thread can be started with. All expressions in it were
 * checked (`expression.ts`), all patterns and topics too.
 *
 * Stateful conditions go by the time events were received; windows are what goes by event time.
 */
import type { DropReason } from "../../event/frame.ts";

/** Names in the order of their severity. */
export const SEVERITIES = ["INFO", "WARNING", "CRITICAL", "EMERGENCY"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** `count` events within `withinMs`; then it counts anew. */
export interface RateSpec {
  readonly kind: "rate";
  readonly count: number;
  readonly withinMs: number;
}

/** No event for `forMs` after there was one. */
export interface AbsenceSpec {
  readonly kind: "absence";
  readonly forMs: number;
}

/** Events that match the steps one after the other, the last within `withinMs` of the first. */
export interface SequenceSpec {
  readonly kind: "sequence";
  readonly steps: readonly string[];
  readonly withinMs: number;
}

/** The value goes above `above`; not again before it was below `below`. */
export interface ThresholdSpec {
  readonly kind: "threshold";
  readonly value: string;
  readonly above: number;
  readonly below: number;
}

export type StateSpec = RateSpec | AbsenceSpec | SequenceSpec | ThresholdSpec;

export interface AlertSpec {
  readonly severity: Severity;
  /** Text with `{expression}` in it. */
  readonly message: string;
  /** Silence after an alert of the same rule and key, or topic where there is no key. */
  readonly cooldownMs: number;
}

export interface PublishSpec {
  /** Text with `{expression}` in it. */
  readonly topic: string;
  /** Absent: the event's own. */
  readonly priority?: number;
  /** Expressions; absent: the event's own. */
  readonly payload?: string;
  readonly key?: string;
}

export interface RuleSpec {
  readonly name: string;
  readonly topics: readonly string[];
  /** Condition; absent: every event. */
  readonly when?: string;
  /** Key of what the rule remembers and of its alerts: an expression; absent: one for all. */
  readonly by?: string;
  readonly state?: StateSpec;
  /** Only events for which this condition holds go on; absent: all. */
  readonly filter?: string;
  /** Priority that the event has from here on. */
  readonly priority?: number;
  /** Fields added to the payload: name → expression. */
  readonly enrich: readonly (readonly [name: string, expression: string])[];
  readonly alert?: AlertSpec;
  readonly publish?: PublishSpec;
  /** The event also becomes a dead letter with this reason, and nobody behind this rule sees it. */
  readonly deadLetter?: DropReason;
  /** Nobody behind this rule sees the event. */
  readonly drop: boolean;
}
