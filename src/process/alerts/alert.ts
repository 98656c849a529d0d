/** An alert as it is shown, stored and sent. */
import type { Severity } from "../rules/spec.ts";

export interface Alert {
  /** The same when the same input is processed again. */
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly message: string;
  /** When what raised it was received, microseconds since the Unix epoch. */
  readonly raisedUs: number;
  /** The event that raised it: `lane/shard/offset`, or "" when there was none. */
  readonly source: string;
  readonly topic: string;
  /** Key of the rule's state, or "". */
  readonly key: string;
  /** Message id of the event, or "". */
  readonly eventId: string;
  /** Alerts of the same rule and key that were kept back since the last one. */
  readonly suppressed: number;
  /** What the rule saw. */
  readonly context: unknown;
}

/** An alert as the API, webhooks and topics have it. */
export function alertDocument(alert: Alert) {
  const { id, rule, severity, message, raisedUs, source, topic, key, eventId, suppressed, context } = alert;
  return {
    id,
    rule,
    severity,
    message,
    raised_us: raisedUs,
    source,
    topic,
    key,
    event_id: eventId,
    suppressed,
    context,
  };
}

/** Processor thread → main. */
export interface AlertMessage {
  readonly type: "alert";
  readonly alert: Alert;
}
