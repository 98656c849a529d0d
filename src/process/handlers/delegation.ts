/**
 * The processor's view of handlers that are not part of esc: it hands events out, and gets outcomes back later.
 *
 * Whoever implements it remembers every event between the two, also across a crash: what was handed out and not
 * concluded is part of what it saves, so the place up to which logs were read may move on meanwhile.
 */
import type { EventRecord } from "../rules/event-facts.ts";
import type { Outcome } from "./outcome.ts";
import type { HandlerSpec } from "./registry.ts";

/** The processor's end. Events are valid during the call only. */
export interface Delegator {
  /** Carries out what a handler said of an event. */
  conclude(handler: string, event: EventRecord, outcome: Outcome): void;
  /** Whether events of its key wait for another attempt: unless it is the first of them, it is concluded `behind`. */
  isHeld(event: EventRecord): boolean;
}

export interface Delegation {
  /** Takes a copy of an event. @param isFirst It is tried before all that wait of its key. */
  delegate(handler: HandlerSpec, event: EventRecord, isFirst: boolean): void;
  /** Concludes what was answered, hands out what waits. @returns Whether anything was concluded. */
  turn(delegator: Delegator): boolean;
  /** Whether no more events should be delegated now. */
  readonly isFull: boolean;
  /** Whether everything delegated is concluded. */
  readonly isIdle: boolean;
  /** Events of one shard not concluded, without those that wait for another attempt anyway. */
  countOf(lane: string, shard: number): number;
  /** JSON value: what is not concluded, and what handlers remember. */
  save(): unknown;
  /** Before the first event. @returns Names of handlers whose state was let go. */
  load(saved: unknown): readonly string[];
}
