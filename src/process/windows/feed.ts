/** Takes what a window needs out of an event: whether it counts, its key, its time, its values. */
import type { EventRecord } from "../rules/event-facts.ts";
import { type Expression, expressionOf, numberOf, plain, textOf } from "../rules/expression.ts";
import type { Aggregate, Value } from "./aggregates.ts";
import { WindowOperator } from "./operator.ts";
import type { PaneResult } from "./operator.ts";
import type { WindowSpec } from "./spec.ts";

export class WindowFeed {
  readonly spec: WindowSpec;
  readonly operator: WindowOperator;
  /** Events of which something could not be evaluated, and the last reason. */
  failedCount = 0;
  lastFailure = "";
  readonly #when: Expression | undefined;
  readonly #by: Expression | undefined;
  readonly #time: Expression | undefined;
  readonly #inputs: readonly (Expression | undefined)[];
  readonly #values: (Value | undefined)[];
  readonly #onLate: (event: EventRecord, spec: WindowSpec) => void;

  /** @param onLate Is told of events that came too late. */
  constructor(
    spec: WindowSpec,
    emit: (result: PaneResult) => void,
    onLate: (event: EventRecord, spec: WindowSpec) => void,
  ) {
    const optional = (text: string | undefined, kind: "condition" | "any") =>
      text === undefined ? undefined : expressionOf(text, kind);
    this.spec = spec;
    this.operator = new WindowOperator(spec, emit);
    this.#when = optional(spec.when, "condition");
    this.#by = optional(spec.by, "any");
    this.#time = optional(spec.time, "any");
    this.#inputs = spec.aggregates.map(({ value }) => optional(value, "any"));
    this.#values = spec.aggregates.map(() => undefined);
    this.#onLate = onLate;
  }

  /** Adds an event of the shard. @param nowUs By the clock. */
  add(event: EventRecord, shard: number, nowUs: number): void {
    let key = "";
    let timeUs: number;
    try {
      if (this.#when !== undefined && this.#when(event) !== true) return;
      if (this.#by !== undefined) key = textOf(this.#by(event));
      timeUs = this.#time === undefined ? event.timeUs : timeOfValue(this.#time(event));
      if (!Number.isFinite(timeUs)) throw new RangeError("The time is no timestamp and no number");
    } catch (error) {
      this.#failed(error);
      return;
    }
    const { aggregates } = this.operator;
    for (let index = 0; index < this.#inputs.length; index++) {
      this.#values[index] = this.#valueOf(this.#inputs[index], aggregates[index] as Aggregate, event);
    }
    if (this.operator.add(shard, timeUs, key, this.#values, nowUs) === "late") this.#onLate(event, this.spec);
  }

  #valueOf(input: Expression | undefined, aggregate: Aggregate, event: EventRecord): Value | undefined {
    if (input === undefined) return 1;
    let value: unknown;
    try {
      value = input(event);
    } catch {
      return undefined; // The field is missing: nothing to aggregate, though the event counts.
    }
    const number = numberOf(value);
    if (Number.isFinite(number)) return number;
    if (!aggregate.takesText || value === null || value === undefined) return undefined;
    return typeof value === "string" ? value : JSON.stringify(value, plain);
  }

  #failed(error: unknown): void {
    this.failedCount++;
    const message = error instanceof Error ? error.message : String(error);
    this.lastFailure = message.split("\n")[0] ?? message;
  }
}

/** A timestamp, or milliseconds since the Unix epoch, as microseconds; NaN for anything else. */
function timeOfValue(value: unknown): number {
  if (value instanceof Date) return value.getTime() * 1000;
  return Math.round(numberOf(value) * 1000);
}
