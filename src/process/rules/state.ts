/**
 * What stateful rules remember, for each key: when events came, how far a sequence is, whether a threshold is
 * exceeded. Times are those of reception, so a restarted processor that reads the same log decides the same.
 *
 * keys ≤ KEYS_MAX: beyond, the key that came first is forgotten. Processor thread only.
 */
import { type EventFacts, type Expression, expressionOf, numberOf } from "./expression.ts";
import type { AbsenceSpec, RateSpec, SequenceSpec, StateSpec, ThresholdSpec } from "./spec.ts";

/** Keys remembered by a rule. */
export const KEYS_MAX = 100_000;

/** What fires without an event of its own. */
export interface Overdue {
  readonly key: string;
  /** When the event came that nothing followed. */
  readonly sinceUs: number;
  /** Its topic. */
  readonly topic: string;
}

export interface RuleState {
  /** Takes an event in. @returns Whether the rule fires with it. @throws What its expressions throw. */
  see(key: string, event: EventFacts, nowUs: number): boolean;
  /** Keys for which something is due without an event; each is told once. */
  overdue(nowUs: number): readonly Overdue[];
  /** When `overdue()` next has something to tell; Infinity: never. */
  readonly dueUs: number;
  /** All that is remembered, as JSON takes it; and back. */
  save(): unknown;
  load(saved: unknown): void;
}

/** Makes the state of a rule. */
export function openState(spec: StateSpec): RuleState {
  switch (spec.kind) {
    case "rate":
      return new Rate(spec);
    case "absence":
      return new Absence(spec);
    case "sequence":
      return new Sequence(spec);
    case "threshold":
      return new Threshold(spec);
  }
}

const NOTHING_OVERDUE: readonly Overdue[] = [];

/** A bounded map by key. */
class Keyed<T> {
  readonly map = new Map<string, T>();

  set(key: string, value: T): void {
    if (this.map.size >= KEYS_MAX && !this.map.has(key)) {
      for (const oldest of this.map.keys()) {
        this.map.delete(oldest);
        break;
      }
    }
    this.map.set(key, value);
  }

  save(): unknown {
    return [...this.map];
  }

  load(saved: unknown): void {
    this.map.clear();
    for (const [key, value] of saved as [string, T][]) this.map.set(key, value);
  }
}

class Rate implements RuleState {
  readonly dueUs = Infinity;
  readonly #count: number;
  readonly #withinUs: number;
  /** Times of the events that count, oldest first; at most `count`. */
  readonly #times = new Keyed<number[]>();

  constructor(spec: RateSpec) {
    this.#count = spec.count;
    this.#withinUs = spec.withinMs * 1000;
  }

  see(key: string, _event: EventFacts, nowUs: number): boolean {
    let times = this.#times.map.get(key);
    if (times === undefined) this.#times.set(key, times = []);
    times.push(nowUs);
    if (times.length < this.#count) return false;
    const isFast = nowUs - (times[0] as number) <= this.#withinUs;
    if (isFast) this.#times.map.delete(key);
    else times.shift();
    return isFast;
  }

  overdue(): readonly Overdue[] {
    return NOTHING_OVERDUE;
  }

  save(): unknown {
    return this.#times.save();
  }

  load(saved: unknown): void {
    this.#times.load(saved);
  }
}

class Absence implements RuleState {
  dueUs = Infinity;
  readonly #forUs: number;
  /** Last event of each key, longest silent first: seeing a key moves it to the end. */
  readonly #seen = new Keyed<{ atUs: number; topic: string }>();

  constructor(spec: AbsenceSpec) {
    this.#forUs = spec.forMs * 1000;
  }

  see(key: string, event: EventFacts, nowUs: number): boolean {
    this.#seen.map.delete(key);
    this.#seen.set(key, { atUs: nowUs, topic: event.topic });
    this.#judge();
    return false;
  }

  overdue(nowUs: number): readonly Overdue[] {
    if (nowUs < this.dueUs) return NOTHING_OVERDUE;
    const due: Overdue[] = [];
    for (const [key, { atUs, topic }] of this.#seen.map) {
      if (nowUs < atUs + this.#forUs) break;
      due.push({ key, sinceUs: atUs, topic });
    }
    for (const { key } of due) this.#seen.map.delete(key);
    this.#judge();
    return due;
  }

  save(): unknown {
    return this.#seen.save();
  }

  load(saved: unknown): void {
    this.#seen.load(saved);
    this.#judge();
  }

  #judge(): void {
    this.dueUs = Infinity;
    for (const { atUs } of this.#seen.map.values()) {
      this.dueUs = atUs + this.#forUs;
      break;
    }
  }
}

class Sequence implements RuleState {
  readonly dueUs = Infinity;
  readonly #steps: readonly Expression[];
  readonly #withinUs: number;
  /** Steps done, at least one, and when the first was. */
  readonly #progress = new Keyed<{ done: number; sinceUs: number }>();

  constructor(spec: SequenceSpec) {
    this.#steps = spec.steps.map((step) => expressionOf(step, "condition"));
    this.#withinUs = spec.withinMs * 1000;
  }

  see(key: string, event: EventFacts, nowUs: number): boolean {
    const steps = this.#steps;
    const progress = this.#progress.map.get(key);
    if (progress !== undefined && nowUs - progress.sinceUs <= this.#withinUs) {
      if (matches(steps[progress.done], event)) {
        progress.done++;
        if (progress.done < steps.length) return false;
        this.#progress.map.delete(key);
        return true;
      }
    } else if (progress !== undefined) this.#progress.map.delete(key);
    // The newest beginning counts: it leaves the most time for what is to follow.
    if (matches(steps[0], event)) this.#progress.set(key, { done: 1, sinceUs: nowUs });
    return false;
  }

  overdue(): readonly Overdue[] {
    return NOTHING_OVERDUE;
  }

  save(): unknown {
    return this.#progress.save();
  }

  load(saved: unknown): void {
    this.#progress.load(saved);
  }
}

/** Whether a step's condition holds. One that cannot be evaluated does not: steps look at different events. */
function matches(step: Expression | undefined, event: EventFacts): boolean {
  try {
    return step?.(event) === true;
  } catch {
    return false;
  }
}

class Threshold implements RuleState {
  readonly dueUs = Infinity;
  readonly #value: Expression;
  readonly #above: number;
  readonly #below: number;
  /** Keys whose value is above; the value does not matter. */
  readonly #exceeded = new Keyed<1>();

  constructor(spec: ThresholdSpec) {
    this.#value = expressionOf(spec.value, "number");
    this.#above = spec.above;
    this.#below = spec.below;
  }

  see(key: string, event: EventFacts): boolean {
    const value = numberOf(this.#value(event));
    if (this.#exceeded.map.has(key)) {
      if (value < this.#below) this.#exceeded.map.delete(key);
      return false;
    }
    if (!(value > this.#above)) return false;
    this.#exceeded.set(key, 1);
    return true;
  }

  overdue(): readonly Overdue[] {
    return NOTHING_OVERDUE;
  }

  save(): unknown {
    return this.#exceeded.save();
  }

  load(saved: unknown): void {
    this.#exceeded.load(saved);
  }
}
