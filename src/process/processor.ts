/**
 * What happens to events once they are in the log: validate → rules → handler → windows.
 *
 * One object for all shards; one thread. What it remembers and how far it has read are saved together (`save()`),
 * so that after a crash the events behind that place are processed again, with the same outputs under the same
 * ids. It neither reads logs nor writes stores: its thread does.
 */
import { encodeFrame, eventProblem, type OutgoingEvent } from "../event/encode.ts";
import { type DropReason, PRIORITY_MEDIUM } from "../event/frame.ts";
import { AlertDesk, type AlertHost, type AlertsSpec } from "./alerts/desk.ts";
import { alertRow, windowRow } from "./effects.ts";
import type { StoredAlert, WindowResult } from "../store/store.ts";
import { BUILTIN_HANDLERS, type BuiltinName } from "./handlers/builtin.ts";
import type { Delegation, Delegator } from "./handlers/delegation.ts";
import type { BuiltinHandler, Outcome } from "./handlers/outcome.ts";
import { handlerFor, type HandlerSpec } from "./handlers/registry.ts";
import { Outbox } from "./outbox.ts";
import { orderKeyOf, Retries, type RetrySpec, type SavedRetries } from "./retry.ts";
import { EventRecord } from "./rules/event-facts.ts";
import { type EventFacts, plain } from "./rules/expression.ts";
import { type Firing, Rule, type RuleEffects } from "./rules/rule.ts";
import type { RuleSpec } from "./rules/spec.ts";
import { TopicIndex } from "./topic-index.ts";
import { TopicPlans } from "./topic-plans.ts";
import { WindowFeed } from "./windows/feed.ts";
import type { PaneResult } from "./windows/operator.ts";
import type { Span } from "./windows/pane.ts";
import type { WindowSpec } from "./windows/spec.ts";

/** Header that counts how often an event was derived from another by rules. */
const HOPS = "esc-hops";
/** An event derived that often is not processed further: rules feed each other in a circle. */
export const HOPS_MAX = 8;
/** Silence after an alert of a built-in handler for the same topic. */
const HANDLER_COOLDOWN_MS = 10_000;
/** Events tried again in one go. */
const RETRIES_AT_ONCE = 256;

/** Form of the saved state; one of another form is let go. */
const VERSION = 1;

/** Everything that is configured; structured-cloneable. */
export interface ProcessorSpec {
  readonly rules: readonly RuleSpec[];
  readonly windows: readonly WindowSpec[];
  readonly handlers: readonly HandlerSpec[];
  readonly alerts: AlertsSpec;
  readonly retry: RetrySpec;
  readonly maxFrameBytes: number;
  /** Topics whose plan is remembered; absent: as many as there is room for. */
  readonly plansMax?: number;
}

export interface ProcessorHost extends Pick<AlertHost, "tell" | "report"> {
  /** @param error What went wrong, for a person. */
  readonly deadLetter: (event: EventRecord, reason: DropReason, error: string, attempts: number) => void;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Handlers that are not part of esc; absent: there are none. */
  readonly delegation?: Delegation;
}

/** What is to be done with the events of one topic. */
interface Plan {
  readonly rules: readonly Rule[];
  readonly windows: readonly WindowFeed[];
  readonly handler: HandlerSpec | undefined;
  readonly builtin: BuiltinHandler | undefined;
  readonly isEmpty: boolean;
  readonly topic: string;
}

export class Processor {
  readonly outbox = new Outbox();
  readonly desk: AlertDesk;
  readonly rules: readonly Rule[];
  readonly windows: readonly WindowFeed[];
  /** Events whose handler has failed, until they are tried again. */
  readonly retries: Retries;
  /** Events stopped because rules feed each other in a circle. */
  loopCount = 0;
  /** Outputs that are no events: a topic too long, a payload too large. */
  badOutputCount = 0;
  readonly #spec: ProcessorSpec;
  readonly #host: ProcessorHost;
  #plans: TopicPlans<Plan>;
  readonly #ruleIndex: TopicIndex<Rule>;
  readonly #windowIndex: TopicIndex<WindowFeed>;
  readonly #effects: RuleEffects;
  /** Those of the configuration, and those that came later. */
  #handlers: ReadonlyMap<string, HandlerSpec> = new Map();
  readonly #delegator: Delegator;
  readonly #retried = new EventRecord();
  #results: WindowResult[] = [];
  /** How often the event in hand was derived from another. */
  #hops = 0;

  constructor(spec: ProcessorSpec, host: ProcessorHost) {
    this.#spec = spec;
    this.#host = host;
    this.retries = new Retries(spec.retry, Math.random);
    this.desk = new AlertDesk(spec.alerts, {
      tell: host.tell,
      report: host.report,
      publish: (event) => this.#publish(event, idOf(`alert:${event.topic}:${event.payload}`), false),
    });
    this.rules = spec.rules.map((rule) => new Rule(rule));
    this.windows = spec.windows.map((window) =>
      new WindowFeed(
        window,
        (result) => this.#tell(window, result),
        (event, { name, lateTopic }) => this.#late(event, name, lateTopic),
      )
    );
    this.#ruleIndex = new TopicIndex(this.rules, ({ spec }) => spec.topics);
    this.#windowIndex = new TopicIndex(this.windows, ({ spec }) => spec.topics);
    this.#plans = this.#useHandlers(spec.handlers);
    this.#delegator = {
      conclude: (handler, event, outcome) => this.conclude(handler, event, outcome),
      isHeld: (event) => this.retries.count > 0 && this.retries.holds(orderKeyOf(event)),
    };
    this.#effects = {
      raise: (firing, event) => this.#raise(firing, event),
      publish: (output, cause) => this.#publish(output, idOf(cause), false),
      deadLetter: (event, reason, error) => host.deadLetter(event, reason, error, 1),
    };
  }

  /** Handlers have come or gone, or want other topics: takes effect with the next event. */
  useHandlers(handlers: readonly HandlerSpec[]): void {
    this.#plans = this.#useHandlers(handlers);
  }

  /** Handlers that are not part of esc; absent: there are none. */
  get delegation(): Delegation | undefined {
    return this.#host.delegation;
  }

  /** Carries out what such handlers have answered since the last call. @returns Whether there was anything. */
  concludeAnswered(): boolean {
    return this.#host.delegation?.turn(this.#delegator) ?? false;
  }

  /** Whether events with the topic `bytes[at..at+length)` concern anybody. */
  concerns(bytes: Uint8Array, at: number, length: number): boolean {
    return !this.#plans.find(bytes, at, length).isEmpty;
  }

  /**
   * Processes one event that concerns somebody.
   *
   * @param topicAt Index of its topic's first byte, and the topic's bytes.
   * @param shardIndex Shard in the engine's list. @param nowUs By the clock.
   */
  process(event: EventRecord, topicAt: number, topicBytes: number, shardIndex: number, nowUs: number): void {
    const plan = this.#plans.find(event.bytes, topicAt, topicBytes);
    this.#hops = hopsOf(event);
    if (this.#hops >= HOPS_MAX) {
      this.loopCount++;
      return;
    }
    if (plan.builtin !== undefined) {
      const problem = plan.builtin.validate(event);
      if (problem !== undefined) {
        this.#host.deadLetter(event, "processing_failed", problem, 1);
        return;
      }
    }
    for (const rule of plan.rules) {
      if (!rule.apply(event, this.#effects)) return;
    }
    if (plan.handler !== undefined) this.#handle(plan.handler, event);
    for (const window of plan.windows) window.add(event, shardIndex, nowUs);
  }

  /**
   * Tries events again whose time has come.
   *
   * @returns Whether there were any.
   */
  retry(nowUs: number): boolean {
    for (let count = 0; count < RETRIES_AT_ONCE; count++) {
      const parked = this.retries.takeDue(nowUs);
      if (parked === undefined) return count > 0;
      const event = this.#retried;
      event.lane = parked.lane;
      event.shard = parked.shard;
      event.open(parked.frame, 0, parked.offset, parked.receivedUs);
      event.setPriority(parked.priority);
      for (const [name, value] of Object.entries(parked.enriched ?? {})) event.enrich(name, value);
      this.#hops = hopsOf(event);
      const handler = this.#handlers.get(parked.handler);
      if (handler === undefined) {
        // It was taken out of the configuration while the event waited.
        const attempts = this.retries.finish(orderKeyOf(event), event);
        const problem = `There is no handler "${parked.handler}" any more`;
        this.#host.deadLetter(event, "processing_failed", problem, attempts);
      } else this.#attempt(handler, event, true);
    }
    return true;
  }

  /** Carries out what a handler said of an event: once for each attempt, in the order of one key's events. */
  conclude(handler: string, event: EventRecord, outcome: Outcome): void {
    const { retries } = this;
    switch (outcome.kind) {
      case "behind":
        retries.hold(orderKeyOf(event), event, handler);
        return;
      case "fail":
        this.#fail(handler, event, outcome);
        return;
    }
    if (retries.count > 0) retries.finish(orderKeyOf(event), event);
    this.#hops = hopsOf(event);
    switch (outcome.kind) {
      case "drop":
        return;
      case "alert":
        this.#raise({
          rule: handler,
          alert: { severity: outcome.severity, message: "", cooldownMs: HANDLER_COOLDOWN_MS },
          key: event.topic,
          message: outcome.message,
          cause: `${handler}:${event.lane}/${event.shard}/${event.offset}`,
        }, event);
    }
    const outputs = outcome.outputs ?? [];
    for (const [index, { topic, payload, priority, key }] of outputs.entries()) {
      this.#publish(
        {
          topic,
          priority: priority ?? PRIORITY_MEDIUM,
          payload: typeof payload === "string" ? payload : JSON.stringify(payload ?? null),
          ...(key === undefined || key === "" ? {} : { key }),
        },
        idOf(`${handler}:${index}:${event.lane}/${event.shard}/${event.offset}`),
        // Code of the user's may say something else the next time: what it said must be saved first.
        true,
      );
    }
  }

  /** Has rules notice what did not come. All events received before `nowUs` were processed. */
  expire(nowUs: number): void {
    this.#hops = 0;
    for (const rule of this.rules) rule.expire(nowUs, this.#effects);
  }

  /** Has windows notice that time goes on by the clock. All events received before `nowUs` were processed. */
  pass(nowUs: number): void {
    for (const window of this.windows) window.operator.pass(nowUs);
  }

  /** Has windows tell what has changed. */
  flush(nowUs: number): void {
    for (const window of this.windows) window.operator.flush(nowUs);
  }

  /** When `expire()`, `pass()` or `flush()` is next of use, by the clock; Infinity: never. */
  get dueUs(): number {
    let dueUs = Infinity;
    for (const rule of this.rules) dueUs = Math.min(dueUs, rule.dueUs);
    for (const window of this.windows) dueUs = Math.min(dueUs, window.operator.dueUs);
    return dueUs;
  }

  /** Whether there is something that only a commit brings out. */
  get wantsCommit(): boolean {
    return this.#results.length > 0 || this.desk.raisedCount > 0 || this.outbox.hasHeld;
  }

  /** Results and alerts since the last call: they are stored with the state that `save()` gives now. */
  takeEffects(): { readonly windows: readonly WindowResult[]; readonly alerts: readonly StoredAlert[] } {
    const windows = this.#results;
    this.#results = [];
    return { windows, alerts: this.desk.takeRaised().map(alertRow) };
  }

  /** All that is remembered; belongs to the place up to which logs were read. */
  save(): Uint8Array {
    const state: SavedState = {
      version: VERSION,
      rules: this.rules.map((rule) => [rule.name, ruleShape(rule.spec), rule.save() ?? null]),
      windows: this.windows.map(({ spec, operator }) => [spec.name, windowShape(spec), operator.save()]),
      alerts: this.desk.save(),
      retries: this.retries.save(),
      outbox: this.outbox.save(),
      handlers: this.#host.delegation?.save(),
    };
    return Buffer.from(JSON.stringify(state));
  }

  /**
   * Goes on from what `save()` gave. Rules and windows that are new, or mean something else than they did, begin
   * with nothing.
   *
   * @returns Names of those whose state was let go.
   */
  load(saved: Uint8Array, nowUs: number): readonly string[] {
    const state = JSON.parse(Buffer.from(saved).toString()) as SavedState;
    if (state.version !== VERSION) return ["everything"];
    const forgotten: string[] = [];
    for (const [name, shape, saved] of state.rules) {
      const rule = this.rules.find((candidate) => candidate.name === name);
      if (rule !== undefined && ruleShape(rule.spec) === shape) rule.load(saved);
      else if (saved !== null) forgotten.push(name);
    }
    for (const [name, shape, saved] of state.windows) {
      const window = this.windows.find(({ spec }) => spec.name === name);
      if (window !== undefined && windowShape(window.spec) === shape) window.operator.load(saved, nowUs);
      else forgotten.push(name);
    }
    this.desk.load(state.alerts);
    // A checkpoint of an earlier version has none.
    this.retries.load(state.retries ?? []);
    this.outbox.load(state.outbox);
    if (state.handlers !== undefined && state.handlers !== null) {
      forgotten.push(...this.#host.delegation?.load(state.handlers) ?? []);
    }
    return forgotten;
  }

  #useHandlers(handlers: readonly HandlerSpec[]): TopicPlans<Plan> {
    this.#handlers = new Map(handlers.map((handler) => [handler.name, handler]));
    return new TopicPlans((topic) => this.#plan(topic), this.#spec.plansMax);
  }

  #plan(topic: string): Plan {
    const rules = this.#ruleIndex.find(topic);
    // A window over everything does not take in what it has told.
    const windows = this.#windowIndex.find(topic).filter(({ spec }) => spec.topic !== topic);
    const handler = handlerFor(topic, [...this.#handlers.values()]);
    const builtin = handler !== undefined && isBuiltin(handler.use)
      ? BUILTIN_HANDLERS[handler.use]
      : undefined;
    const isEmpty = rules.length === 0 && windows.length === 0 && handler === undefined;
    return { rules, windows, handler, builtin, isEmpty, topic };
  }

  /** Gives an event to its handler, unless one before it of the same key waits. */
  #handle(handler: HandlerSpec, event: EventRecord): void {
    const { retries } = this;
    if (retries.count > 0) {
      const key = orderKeyOf(event);
      if (retries.holds(key)) {
        retries.hold(key, event, handler.name);
        return;
      }
    }
    this.#attempt(handler, event, false);
  }

  #attempt(handler: HandlerSpec, event: EventRecord, isFirst: boolean): void {
    if (isBuiltin(handler.use)) {
      this.conclude(handler.name, event, BUILTIN_HANDLERS[handler.use].handle(event));
    } else this.#host.delegation?.delegate(handler, event, isFirst);
  }

  #fail(handler: string, event: EventRecord, { reason, isFinal }: Outcome & { kind: "fail" }): void {
    const { retries } = this;
    const key = orderKeyOf(event);
    const spec = this.#handlers.get(handler);
    const attempts = isFinal === true || spec === undefined
      ? retries.finish(key, event) + 1
      : retries.fail(key, event, spec, this.#host.nowUs());
    if (attempts === 0) return;
    const died: DropReason = attempts > 1 ? "max_retries_exceeded" : "processing_failed";
    this.#host.deadLetter(event, died, reason, attempts);
  }

  #raise(firing: Firing, event: EventFacts): void {
    const { rule, alert, key, message, cause } = firing;
    const record = "lane" in event ? event as EventRecord : undefined;
    this.desk.raise({
      rule,
      alert,
      key,
      message,
      id: idOf(`alert:${cause}`),
      raisedUs: record?.receivedUs ?? Math.round(event.time.getTime() * 1000),
      source: record === undefined ? "" : `${record.lane}/${record.shard}/${record.offset}`,
      topic: event.topic,
      eventId: event.id,
      context: { priority: event.priority, payload: event.payload },
    });
  }

  #tell(window: WindowSpec, result: PaneResult): void {
    this.#results.push(windowRow(window, result));
    const { key, startUs, endUs, revision, isClosed, count, values, replaces } = result;
    const payload = {
      window: window.name,
      key,
      ...timesOf({ startUs, endUs }),
      revision,
      closed: isClosed,
      count,
      ...values,
      ...(replaces.length === 0 ? {} : { replaces: replaces.map(timesOf) }),
    };
    this.#hops = 0;
    this.#publish(
      {
        topic: window.topic,
        priority: window.priority,
        payload: JSON.stringify(payload, plain),
        timeUs: endUs,
        ...(key === "" ? {} : { key }),
      },
      idOf(`window:${window.name}:${key}:${startUs}:${endUs}:${revision}`),
      true,
    );
  }

  #late(event: EventRecord, window: string, topic: string | undefined): void {
    if (topic === undefined) return;
    const { key } = event;
    this.#publish(
      {
        topic,
        priority: event.priority,
        payload: event.payloadBytes.slice(),
        timeUs: event.timeUs,
        headers: [["esc-window", window], ["esc-topic", event.topic]],
        ...(key === "" ? {} : { key }),
      },
      idOf(`late:${window}:${event.lane}/${event.shard}/${event.offset}`),
      // The clock has a say in what is late: after a crash it may be decided otherwise.
      true,
    );
  }

  #publish(event: OutgoingEvent, id: string, isHeld: boolean): void {
    const hops: readonly [string, string] = [HOPS, String(this.#hops + 1)];
    const own = (event.headers ?? []).filter(([name]) => name !== HOPS);
    const whole: OutgoingEvent = { ...event, id, headers: [...own, hops] };
    const problem = eventProblem(whole, this.#spec.maxFrameBytes);
    if (problem !== undefined) {
      this.badOutputCount++;
      this.#host.report(`Cannot publish a result on "${event.topic.slice(0, 100)}": ${problem}`);
      return;
    }
    const frame = encodeFrame(whole);
    if (isHeld) this.outbox.hold(frame);
    else this.outbox.add(frame);
  }
}

function timesOf({ startUs, endUs }: Span): { start: string; end: string } {
  return { start: new Date(startUs / 1000).toISOString(), end: new Date(endUs / 1000).toISOString() };
}

interface SavedState {
  readonly version: typeof VERSION;
  readonly rules: readonly (readonly [name: string, shape: string, saved: unknown])[];
  readonly windows: readonly (readonly [name: string, shape: string, saved: unknown])[];
  readonly alerts: unknown;
  readonly retries?: SavedRetries;
  readonly outbox: readonly string[];
  readonly handlers?: unknown;
}

/** A message id of 32 characters from what names an output. */
function idOf(cause: string): string {
  return new Bun.CryptoHasher("sha256").update(cause).digest("hex").slice(0, 32);
}

function hopsOf(event: EventRecord): number {
  // Almost no event carries headers, and then this costs a look at its head.
  const text = event.hasHeaders ? event.headers[HOPS] : undefined;
  const hops = text === undefined ? 0 : Number(text);
  return Number.isInteger(hops) && hops >= 0 ? hops : 0;
}

/** What the state of a rule depends on: with another shape, the state means nothing. */
function ruleShape({ when, filter, by, state, topics }: RuleSpec): string {
  return JSON.stringify([topics, when, filter, by, state]);
}

function windowShape({ topics, when, by, time, shape, aggregates }: WindowSpec): string {
  return JSON.stringify([topics, when, by, time, shape, aggregates]);
}

function isBuiltin(name: string): name is BuiltinName {
  return Object.hasOwn(BUILTIN_HANDLERS, name);
}
