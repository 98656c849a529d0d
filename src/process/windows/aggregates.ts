/**
 * What windows compute. An aggregate adds values to a pane, merges two panes (sessions that grow together), and
 * gives the result; its state lies in the pane, as numbers and, where those are not enough, one thing.
 *
 * Results do not depend on the order of the values, but for `first` and `last` of equal event times and for the
 * last digits of sums of fractions. Processor thread only.
 */
import type { AggregateSpec } from "./spec.ts";
import { Distinct, type SavedDistinct } from "./distinct.ts";
import { Quantiles, type SavedQuantiles } from "./quantiles.ts";
import { type SavedTop, Top } from "./top.ts";

/** A value an event contributes: a number, or text for `distinct`, `first`, `last` and `top`. */
export type Value = number | string;

/** State of one aggregate in one pane beside its numbers. */
export type Thing = Distinct | Quantiles | Top | Value | undefined;
export type SavedThing = SavedDistinct | SavedQuantiles | SavedTop | Value | null;

export interface PaneState {
  readonly numbers: Float64Array;
  readonly things: Thing[];
}

export interface Aggregate {
  readonly name: string;
  /** Numbers it needs, and where they begin; place of its thing. */
  readonly numberCount: number;
  at: number;
  thing: number;
  /** Whether text is of use to it. */
  readonly takesText: boolean;
  init(pane: PaneState): void;
  add(pane: PaneState, value: Value, timeUs: number): void;
  merge(into: PaneState, from: PaneState): void;
  result(pane: PaneState): unknown;
  /** For things that JSON does not take as they are. */
  restore(saved: SavedThing): Thing;
}

/** Makes the aggregates of a window, each with its place in the panes. */
export function openAggregates(specs: readonly AggregateSpec[]): readonly Aggregate[] {
  let at = 0;
  return specs.map((spec, thing) => {
    const aggregate = open(spec);
    aggregate.at = at;
    aggregate.thing = thing;
    at += aggregate.numberCount;
    return aggregate;
  });
}

function open(spec: AggregateSpec): Aggregate {
  switch (spec.kind) {
    case "count":
      return new Count(spec.name);
    case "sum":
      return new Sum(spec.name);
    case "avg":
      return new Average(spec.name);
    case "min":
      return new Extreme(spec.name, 1);
    case "max":
      return new Extreme(spec.name, -1);
    case "first":
      return new Edge(spec.name, 1);
    case "last":
      return new Edge(spec.name, -1);
    case "stddev":
      return new Deviation(spec.name);
    case "percentile":
      return new Percentile(spec.name, spec.parameter);
    case "distinct":
      return new DistinctCount(spec.name);
    case "top":
      return new TopValues(spec.name, spec.parameter);
  }
}

abstract class Numbers implements Aggregate {
  readonly name: string;
  abstract readonly numberCount: number;
  at = 0;
  thing = 0;
  readonly takesText: boolean = false;

  constructor(name: string) {
    this.name = name;
  }

  init(_pane: PaneState): void {}
  abstract add(pane: PaneState, value: Value, timeUs: number): void;
  abstract merge(into: PaneState, from: PaneState): void;
  abstract result(pane: PaneState): unknown;
  restore(saved: SavedThing): Thing {
    return typeof saved === "object" ? undefined : saved;
  }
}

/** Values that are not null; without an expression, events. */
class Count extends Numbers {
  readonly numberCount = 1;
  override readonly takesText = true;

  add({ numbers }: PaneState): void {
    numbers[this.at] = (numbers[this.at] as number) + 1;
  }
  merge(into: PaneState, from: PaneState): void {
    into.numbers[this.at] = (into.numbers[this.at] as number) + (from.numbers[this.at] as number);
  }
  result({ numbers }: PaneState): number {
    return numbers[this.at] as number;
  }
}

/** Sum with Neumaier's correction: the order of the values shows in the last digit at most. */
class Sum extends Numbers {
  readonly numberCount: number = 2;

  add({ numbers }: PaneState, value: Value): void {
    addExactly(numbers, this.at, value as number);
  }
  merge({ numbers }: PaneState, from: PaneState): void {
    addExactly(numbers, this.at, from.numbers[this.at] as number);
    addExactly(numbers, this.at, from.numbers[this.at + 1] as number);
  }
  result({ numbers }: PaneState): unknown {
    return (numbers[this.at] as number) + (numbers[this.at + 1] as number);
  }
}

function addExactly(numbers: Float64Array, at: number, value: number): void {
  const sum = numbers[at] as number;
  const next = sum + value;
  const lost = Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
  numbers[at] = next;
  numbers[at + 1] = (numbers[at + 1] as number) + lost;
}

class Average extends Sum {
  override readonly numberCount = 3;

  override add(pane: PaneState, value: Value): void {
    super.add(pane, value);
    pane.numbers[this.at + 2] = (pane.numbers[this.at + 2] as number) + 1;
  }
  override merge(into: PaneState, from: PaneState): void {
    super.merge(into, from);
    const at = this.at + 2;
    into.numbers[at] = (into.numbers[at] as number) + (from.numbers[at] as number);
  }
  override result(pane: PaneState): number | null {
    const count = pane.numbers[this.at + 2] as number;
    const { numbers } = pane;
    return count === 0 ? null : ((numbers[this.at] as number) + (numbers[this.at + 1] as number)) / count;
  }
}

/** Minimum (sign 1) or maximum (sign -1). */
class Extreme extends Numbers {
  readonly numberCount = 1;
  readonly #sign: 1 | -1;

  constructor(name: string, sign: 1 | -1) {
    super(name);
    this.#sign = sign;
  }

  override init({ numbers }: PaneState): void {
    numbers[this.at] = Infinity;
  }
  add({ numbers }: PaneState, value: Value): void {
    const signed = this.#sign * (value as number);
    if (signed < (numbers[this.at] as number)) numbers[this.at] = signed;
  }
  merge(into: PaneState, from: PaneState): void {
    const signed = from.numbers[this.at] as number;
    if (signed < (into.numbers[this.at] as number)) into.numbers[this.at] = signed;
  }
  result({ numbers }: PaneState): number | null {
    const signed = numbers[this.at] as number;
    // Adding 0 makes 0 of -0.
    return signed === Infinity ? null : this.#sign * signed + 0;
  }
}

/** Value of the earliest (sign 1) or latest (sign -1) event. */
class Edge extends Numbers {
  readonly numberCount = 1;
  override readonly takesText = true;
  readonly #sign: 1 | -1;

  constructor(name: string, sign: 1 | -1) {
    super(name);
    this.#sign = sign;
  }

  override init({ numbers }: PaneState): void {
    numbers[this.at] = Infinity;
  }
  add({ numbers, things }: PaneState, value: Value, timeUs: number): void {
    const signed = this.#sign * timeUs;
    const known = numbers[this.at] as number;
    // Of equal times the first seen is the first, and the last seen the last.
    if (signed > known || (signed === known && this.#sign === 1)) return;
    numbers[this.at] = signed;
    things[this.thing] = value;
  }
  merge(into: PaneState, from: PaneState): void {
    const signed = from.numbers[this.at] as number;
    if (signed >= (into.numbers[this.at] as number)) return;
    into.numbers[this.at] = signed;
    into.things[this.thing] = from.things[this.thing];
  }
  result({ things }: PaneState): unknown {
    return things[this.thing] ?? null;
  }
}

/** Deviation of the sample (n - 1), by Welford's and Chan's formulas. */
class Deviation extends Numbers {
  /** count, mean, sum of squared distances */
  readonly numberCount = 3;

  add({ numbers }: PaneState, value: Value): void {
    const { at } = this;
    const count = (numbers[at] as number) + 1;
    const distance = (value as number) - (numbers[at + 1] as number);
    const mean = (numbers[at + 1] as number) + distance / count;
    numbers[at] = count;
    numbers[at + 1] = mean;
    numbers[at + 2] = (numbers[at + 2] as number) + distance * ((value as number) - mean);
  }
  merge({ numbers }: PaneState, from: PaneState): void {
    const { at } = this;
    const ours = numbers[at] as number;
    const theirs = from.numbers[at] as number;
    if (theirs === 0) return;
    const count = ours + theirs;
    const distance = (from.numbers[at + 1] as number) - (numbers[at + 1] as number);
    numbers[at] = count;
    numbers[at + 1] = (numbers[at + 1] as number) + distance * theirs / count;
    numbers[at + 2] = (numbers[at + 2] as number) + (from.numbers[at + 2] as number) +
      distance * distance * ours * theirs / count;
  }
  result({ numbers }: PaneState): number | null {
    const count = numbers[this.at] as number;
    return count < 2 ? null : Math.sqrt((numbers[this.at + 2] as number) / (count - 1));
  }
}

/** A percentile, within 1 % of the value. */
class Percentile extends Numbers {
  readonly numberCount = 0;
  readonly #quantile: number;

  constructor(name: string, percent: number) {
    super(name);
    this.#quantile = percent / 100;
  }

  override init(pane: PaneState): void {
    pane.things[this.thing] = new Quantiles();
  }
  add({ things }: PaneState, value: Value): void {
    (things[this.thing] as Quantiles).add(value as number);
  }
  merge(into: PaneState, from: PaneState): void {
    (into.things[this.thing] as Quantiles).merge(from.things[this.thing] as Quantiles);
  }
  result({ things }: PaneState): number | null {
    return (things[this.thing] as Quantiles).at(this.#quantile);
  }
  override restore(saved: SavedThing): Thing {
    return Quantiles.restore(saved as SavedQuantiles);
  }
}

class DistinctCount extends Numbers {
  readonly numberCount = 0;
  override readonly takesText = true;

  override init(pane: PaneState): void {
    pane.things[this.thing] = new Distinct();
  }
  add({ things }: PaneState, value: Value): void {
    (things[this.thing] as Distinct).add(String(value));
  }
  merge(into: PaneState, from: PaneState): void {
    (into.things[this.thing] as Distinct).merge(from.things[this.thing] as Distinct);
  }
  result({ things }: PaneState): number {
    return (things[this.thing] as Distinct).count;
  }
  override restore(saved: SavedThing): Thing {
    return Distinct.restore(saved as SavedDistinct);
  }
}

class TopValues extends Numbers {
  readonly numberCount = 0;
  override readonly takesText = true;
  readonly #count: number;

  constructor(name: string, count: number) {
    super(name);
    this.#count = count;
  }

  override init(pane: PaneState): void {
    pane.things[this.thing] = new Top();
  }
  add({ things }: PaneState, value: Value): void {
    (things[this.thing] as Top).add(String(value), 1);
  }
  merge(into: PaneState, from: PaneState): void {
    (into.things[this.thing] as Top).merge(from.things[this.thing] as Top);
  }
  result({ things }: PaneState): unknown {
    return (things[this.thing] as Top).first(this.#count);
  }
  override restore(saved: SavedThing): Thing {
    return Top.restore(saved as SavedTop);
  }
}
