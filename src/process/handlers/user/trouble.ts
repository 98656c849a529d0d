/** The alert that a handler itself is the cause of: it was stopped, or cannot be loaded. */
import type { Occasion } from "../../alerts/desk.ts";
import type { EventRecord } from "../../rules/event-facts.ts";

/** Silence after an alert about the same handler. */
const COOLDOWN_MS = 10_000;

/** @param event The one that is to blame, if one is. @param nowUs When it was noticed. */
export function handlerTrouble(
  handler: string,
  message: string,
  event: EventRecord | undefined,
  nowUs: number,
): Occasion {
  return {
    rule: handler,
    alert: { severity: "WARNING", message: "", cooldownMs: COOLDOWN_MS },
    key: handler,
    message,
    // It does not follow from the input: processed again, the same event may do no harm.
    id: crypto.randomUUID(),
    raisedUs: nowUs,
    source: event === undefined ? "" : `${event.lane}/${event.shard}/${event.offset}`,
    topic: event?.topic ?? "",
    eventId: event?.id ?? "",
    context: event === undefined ? {} : { payload: event.payload },
  };
}
