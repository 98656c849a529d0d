/** What a handler says of an event, and how handlers look to the processor. */
import type { EventRecord } from "../rules/event-facts.ts";
import type { Severity } from "../rules/spec.ts";

/** An event that a handler wants to be published. */
export interface HandlerOutput {
  readonly topic: string;
  readonly payload: unknown;
  readonly priority?: number;
  readonly key?: string;
}

/**
 * `success`: done. `alert`: done, and somebody should know. `drop`: of no interest. `fail`: tried again as often
 * as the handler's `attempts` say, then a dead letter; at once when it is final. `behind`: not tried, because an
 * event of the same key before it has failed: it waits until that one is done.
 */
export type Outcome =
  | { readonly kind: "success"; readonly outputs?: readonly HandlerOutput[] }
  | {
    readonly kind: "alert";
    readonly severity: Severity;
    readonly message: string;
    readonly outputs?: readonly HandlerOutput[];
  }
  | { readonly kind: "drop" }
  | { readonly kind: "fail"; readonly reason: string; readonly isFinal?: boolean }
  | { readonly kind: "behind" };

export const SUCCESS: Outcome = { kind: "success" };

/** A handler that is part of esc. */
export interface BuiltinHandler {
  /** What is wrong with the event, before rules see it; `undefined` when nothing is. */
  validate(event: EventRecord): string | undefined;
  handle(event: EventRecord): Outcome;
}
