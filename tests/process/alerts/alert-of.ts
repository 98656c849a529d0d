/** Alerts for tests. */
import type { Alert } from "../../../src/process/alerts/alert.ts";

/** An alert of which only what matters is said. */
export function alertOf(id: string, more: Partial<Alert> = {}): Alert {
  return {
    id,
    rule: "hot",
    severity: "CRITICAL",
    message: "it burns",
    raisedUs: 1_000_000,
    source: "realtime/0/7",
    topic: "sensor.1",
    key: "",
    eventId: "",
    suppressed: 0,
    context: { payload: 1 },
    ...more,
  };
}
