/**
 * A compiled rule: decides for one event, and says what follows to whoever carries it out.
 *
 * A rule whose expression fails for an event (a missing field, a wrong type) does not fire for it; that is
 * counted. Processor thread only.
 */
import type { OutgoingEvent } from "../../event/encode.ts";
import type { DropReason } from "../../event/frame.ts";
import type { EventRecord } from "./event-facts.ts";
import { type EventFacts, type Expression, expressionOf, plain, textOf } from "./expression.ts";
import type { AlertSpec, PublishSpec, RuleSpec } from "./spec.ts";
import { openState, type Overdue, type RuleState } from "./state.ts";
import { type Template, templateOf } from "./template.ts";

/** What a rule saw when it fired, for alerts. */
export interface Firing {
  readonly rule: string;
  readonly alert: AlertSpec;
  readonly key: string;
  readonly message: string;
  /** Names what fired; the same when the same input is processed again. */
  readonly cause: string;
}

/** Carries out what rules decide. */
export interface RuleEffects {
  raise(firing: Firing, event: EventFacts): void;
  /** @param cause Names the output; the same when the same input is processed again. */
  publish(output: OutgoingEvent, cause: string, event: EventFacts): void;
  deadLetter(event: EventRecord, reason: DropReason, error: string): void;
}

export class Rule {
  readonly name: string;
  readonly spec: RuleSpec;
  /** Events for which an expression could not be evaluated, and the last reason. */
  failedCount = 0;
  lastFailure = "";
  firedCount = 0;
  readonly #when: Expression | undefined;
  readonly #filter: Expression | undefined;
  readonly #by: Expression | undefined;
  readonly #state: RuleState | undefined;
  readonly #enrich: readonly (readonly [string, Expression])[];
  readonly #message: Template | undefined;
  readonly #output: Output | undefined;

  /** @throws {RangeError} If an expression is not good: the configuration checks them all. */
  constructor(spec: RuleSpec) {
    this.name = spec.name;
    this.spec = spec;
    this.#when = spec.when === undefined ? undefined : expressionOf(spec.when, "condition");
    this.#filter = spec.filter === undefined ? undefined : expressionOf(spec.filter, "condition");
    this.#by = spec.by === undefined ? undefined : expressionOf(spec.by, "any");
    this.#state = spec.state === undefined ? undefined : openState(spec.state);
    this.#enrich = spec.enrich.map(([name, text]) => [name, expressionOf(text, "any")]);
    this.#message = spec.alert === undefined ? undefined : templateOf(spec.alert.message);
    this.#output = spec.publish === undefined ? undefined : new Output(spec.publish);
  }

  /** When `expire()` is next due; -Infinity: at once, Infinity: never. */
  get dueUs(): number {
    return this.#state?.dueUs ?? Infinity;
  }

  /**
   * Decides for one event and has the consequences carried out.
   *
   * @returns `false` when nobody behind this rule is to see the event.
   */
  apply(event: EventRecord, effects: RuleEffects): boolean {
    try {
      if (this.#when !== undefined && this.#when(event) !== true) return true;
      if (this.#filter !== undefined && !this.#passes(this.#filter, event)) return false;
      let key = "";
      if (this.#by !== undefined) key = textOf(this.#by(event));
      if (this.#state !== undefined) {
        const fires = this.#state.see(key, event, event.receivedUs);
        if (this.#state.dueUs === -Infinity) this.expire(-Infinity, effects);
        if (!fires) return true;
      }
      return this.#fire(event, key, effects);
    } catch (error) {
      this.#failed(error);
      return true;
    }
  }

  /** Fires for what did not happen in time. */
  expire(nowUs: number, effects: RuleEffects): void {
    if (this.#state === undefined || nowUs < this.#state.dueUs) return;
    for (const overdue of this.#state.overdue(nowUs)) {
      try {
        const facts = factsOf(overdue);
        this.#consequences(facts, overdue.key, `${this.name}:${overdue.key}:${overdue.sinceUs}`, effects);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  save(): unknown {
    return this.#state?.save();
  }

  /** @throws What a state throws that another kind of rule has saved. */
  load(saved: unknown): void {
    if (saved !== undefined) this.#state?.load(saved);
  }

  /** A filter lets nothing through that it cannot judge. */
  #passes(filter: Expression, event: EventRecord): boolean {
    try {
      return filter(event) === true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #fire(event: EventRecord, key: string, effects: RuleEffects): boolean {
    const { spec } = this;
    for (const [name, value] of this.#enrich) event.enrich(name, jsonOf(value(event)));
    if (spec.priority !== undefined) event.setPriority(spec.priority);
    this.#consequences(event, key, `${this.name}:${event.lane}/${event.shard}/${event.offset}`, effects);
    if (spec.deadLetter !== undefined) {
      effects.deadLetter(event, spec.deadLetter, `Rule ${this.name}`);
      return false;
    }
    return !spec.drop;
  }

  #consequences(event: EventFacts, key: string, cause: string, effects: RuleEffects): void {
    this.firedCount++;
    const { alert } = this.spec;
    if (alert !== undefined && this.#message !== undefined) {
      effects.raise({ rule: this.name, alert, key, message: this.#message(event), cause }, event);
    }
    if (this.#output !== undefined) effects.publish(this.#output.make(event), cause, event);
  }

  #failed(error: unknown): void {
    this.failedCount++;
    const message = error instanceof Error ? error.message : String(error);
    this.lastFailure = message.split("\n")[0] ?? message;
  }
}

/** Makes the event that a rule publishes. */
class Output {
  readonly #topic: Template;
  readonly #priority: number | undefined;
  readonly #payload: Expression | undefined;
  readonly #key: Expression | undefined;

  constructor(spec: PublishSpec) {
    this.#topic = templateOf(spec.topic);
    this.#priority = spec.priority;
    this.#payload = spec.payload === undefined ? undefined : expressionOf(spec.payload, "any");
    this.#key = spec.key === undefined ? undefined : expressionOf(spec.key, "any");
  }

  make(event: EventFacts): OutgoingEvent {
    const key = this.#key === undefined ? event.key : textOf(this.#key(event));
    return {
      topic: this.#topic(event),
      priority: this.#priority ?? event.priority,
      payload: this.#payloadOf(event),
      timeUs: Math.round(event.time.getTime() * 1000),
      ...(key === "" ? {} : { key }),
      ...("hasHeaders" in event && event.hasHeaders === true
        ? { headers: Object.entries(event.headers) }
        : {}),
    };
  }

  #payloadOf(event: EventFacts): Uint8Array | string {
    if (this.#payload !== undefined) {
      const value = this.#payload(event);
      return typeof value === "string" ? value : JSON.stringify(value, plain);
    }
    if (!("payloadBytes" in event)) return JSON.stringify(event.payload);
    const record = event as EventRecord;
    return record.enriched === undefined
      ? record.payloadBytes.slice()
      : JSON.stringify(record.enriched, plain);
  }
}

/** CEL's value as JSON has it. */
function jsonOf(value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/** What expressions see when a rule fires because nothing came. */
function factsOf({ key, topic, sinceUs, dueUs }: Overdue): EventFacts {
  return {
    topic,
    key,
    id: "",
    priority: 2,
    time: new Date(dueUs / 1000),
    headers: {},
    payload: { silent_since: new Date(sinceUs / 1000).toISOString() },
  };
}
