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
  /** When the event came that nothing followed, and by when something had to. */
  readonly sinceUs: number;
  readonly dueUs: number;
  /** Its topic. */
  readonly topic: string;
}

export interface RuleState {
  /** Takes an event in. @returns Whether the rule fires with it. @throws What its expressions throw. */
  see(key: string, event: EventFacts, nowUs: number): boolean;
  /** Keys for which something is due without an event; each is told once. */
  overdue(nowUs: number): readonly Overdue[];
  /** When `overdue()` next has something to tell; -Infinity: at once, Infinity: never. */
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
  /** Silences that ended unnoticed; told with the event that ended them. */
  readonly #missed: Overdue[] = [];
  /** Last event of each key, longest silent first: seeing a key moves it to the end. */
  readonly #seen = new Keyed<{ atUs: number; topic: string }>();

  constructor(spec: AbsenceSpec) {
    this.#forUs = spec.forMs * 1000;
  }

  see(key: string, event: EventFacts, nowUs: number): boolean {
    const before = this.#seen.map.get(key);
    // Its silence is over before anybody looked: many events are read at one go.
    if (before !== undefined && nowUs >= before.atUs + this.#forUs) {
      this.#missed.push(this.#overdue(key, before));
    }
    this.#seen.map.delete(key);
    this.#seen.set(key, { atUs: nowUs, topic: event.topic });
    this.#judge();
    return false;
  }

  overdue(nowUs: number): readonly Overdue[] {
    if (nowUs < this.dueUs) return NOTHING_OVERDUE;
    const due: Overdue[] = [];
    for (const [key, last] of this.#seen.map) {
      if (nowUs < last.atUs + this.#forUs) break;
      due.push(this.#overdue(key, last));
    }
    for (const { key } of due) this.#seen.map.delete(key);
    const missed = this.#missed.splice(0);
    this.#judge();
    return [...missed, ...due];
  }

  #overdue(key: string, { atUs, topic }: { atUs: number; topic: string }): Overdue {
    return { key, sinceUs: atUs, dueUs: atUs + this.#forUs, topic };
  }

  save(): unknown {
    return this.#seen.save();
  }

  load(saved: unknown): void {
    this.#seen.load(saved);
    this.#judge();
  }

  #judge(): void {
    this.dueUs = this.#missed.length > 0 ? -Infinity : Infinity;
    if (this.#missed.length > 0) return;
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
  /**
   * For each key, when the newest beginning was of which the first 1, 2 … steps are done; null: there is none.
   * The newest leaves the most time for what is to follow, so older ones need not be kept.
   */
  readonly #begun = new Keyed<(number | null)[]>();

  constructor(spec: SequenceSpec) {
    this.#steps = spec.steps.map((step) => expressionOf(step, "condition"));
    this.#withinUs = spec.withinMs * 1000;
  }

  see(key: string, event: EventFacts, nowUs: number): boolean {
    const steps = this.#steps;
    const begun = this.#begun.map.get(key);
    if (begun !== undefined) {
      // The last step first: one event does not take two steps.
      for (let done = steps.length - 1; done > 0; done--) {
        const sinceUs = begun[done - 1] ?? null;
        if (sinceUs === null) continue;
        if (nowUs - sinceUs > this.#withinUs) begun[done - 1] = null;
        else if (matches(steps[done], event)) {
          if (done === steps.length - 1) {
            this.#begun.map.delete(key);
            return true;
          }
          begun[done] = sinceUs;
        }
      }
    }
    if (matches(steps[0], event)) {
      if (begun !== undefined) begun[0] = nowUs;
      else this.#begun.set(key, [nowUs]);
    } else if (begun?.every((sinceUs) => sinceUs === null)) this.#begun.map.delete(key);
    return false;
  }

  overdue(): readonly Overdue[] {
    return NOTHING_OVERDUE;
  }

  save(): unknown {
    return this.#begun.save();
  }

  load(saved: unknown): void {
    this.#begun.load(saved);
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
