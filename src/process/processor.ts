/**
 * What happens to events once they are in the log: validate → rules → handler → windows.
 *
 * One object for all shards; one thread. What it remembers and how far it has read are saved together (`save()`),
 * so that after a crash the events behind that place are processed again, with the same outputs under the same
 * ids. It neither reads logs nor writes stores: its thread does.
 */
import type { DropReason } from "../event/frame.ts";
import type { AlertDesk, AlertHost } from "./alerts/desk.ts";
import { BUILTIN_HANDLERS, type BuiltinName } from "./handlers/builtin.ts";
import type { Delegation, Delegator } from "./handlers/delegation.ts";
import type { BuiltinHandler, Outcome } from "./handlers/outcome.ts";
import { handlerFor, type HandlerSpec } from "./handlers/registry.ts";
import type { Outbox } from "./outbox.ts";
import { Outputs, type OutputsSpec } from "./outputs.ts";
import { orderKeyOf, Retries, type RetrySpec } from "./retry.ts";
import { EventRecord } from "./rules/event-facts.ts";
import { Rule, type RuleEffects } from "./rules/rule.ts";
import type { RuleSpec } from "./rules/spec.ts";
import { loadState, saveState } from "./saved-state.ts";
import { TopicIndex } from "./topic-index.ts";
import { TopicPlans } from "./topic-plans.ts";
import { WindowFeed } from "./windows/feed.ts";
import type { WindowSpec } from "./windows/spec.ts";

/** An event derived that often is not processed further: rules feed each other in a circle. */
export const HOPS_MAX = 8;
/** Events tried again in one go. */
const RETRIES_AT_ONCE = 256;

/** Everything that is configured; structured-cloneable. */
export interface ProcessorSpec extends OutputsSpec {
  readonly rules: readonly RuleSpec[];
  readonly windows: readonly WindowSpec[];
  readonly handlers: readonly HandlerSpec[];
  readonly retry: RetrySpec;
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
  readonly rules: readonly Rule[];
  readonly windows: readonly WindowFeed[];
  /** Events whose handler has failed, until they are tried again. */
  readonly retries: Retries;
  /** Events stopped because rules feed each other in a circle. */
  loopCount = 0;
  readonly #outputs: Outputs;
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

  constructor(spec: ProcessorSpec, host: ProcessorHost) {
    this.#spec = spec;
    this.#host = host;
    this.retries = new Retries(spec.retry, Math.random);
    const outputs = new Outputs(spec, host);
    this.#outputs = outputs;
    this.rules = spec.rules.map((rule) => new Rule(rule));
    this.windows = spec.windows.map((window) =>
      new WindowFeed(
        window,
        (result) => outputs.tell(window, result),
        (event, { name, lateTopic }) => outputs.late(event, name, lateTopic),
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
      raise: (firing, event) => outputs.raise(firing, event),
      publish: (output, cause) => outputs.publish(output, cause, false),
      deadLetter: (event, reason, error) => host.deadLetter(event, reason, error, 1),
    };
  }

  /** Events on their way out. */
  get outbox(): Outbox {
    return this.#outputs.outbox;
  }

  get desk(): AlertDesk {
    return this.#outputs.desk;
  }

  /** Outputs that are no events: a topic too long, a payload too large. */
  get badOutputCount(): number {
    return this.#outputs.badCount;
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
    if (this.#outputs.causedBy(event) >= HOPS_MAX) {
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
      this.#outputs.causedBy(event);
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
    if (outcome.kind === "drop") return;
    this.#outputs.causedBy(event);
    this.#outputs.ofHandler(handler, event, outcome);
  }

  /** Has rules notice what did not come. All events received before `nowUs` were processed. */
  expire(nowUs: number): void {
    this.#outputs.causedByTime();
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
    return this.#outputs.wantsCommit;
  }

  /** Results and alerts since the last call: they are stored with the state that `save()` gives now. */
  takeEffects(): ReturnType<Outputs["takeEffects"]> {
    return this.#outputs.takeEffects();
  }

  /** All that is remembered; belongs to the place up to which logs were read. */
  save(): Uint8Array {
    return saveState(this);
  }

  /**
   * Goes on from what `save()` gave. Rules and windows that are new, or mean something else than they did, begin
   * with nothing.
   *
   * @returns Names of those whose state was let go.
   */
  load(saved: Uint8Array, nowUs: number): readonly string[] {
    return loadState(this, saved, nowUs);
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
}

function isBuiltin(name: string): name is BuiltinName {
  return Object.hasOwn(BUILTIN_HANDLERS, name);
}
