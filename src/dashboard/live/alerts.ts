/** Alerts: the newest of the server, and each that is raised while the page is open. */
import { signal } from "@preact/signals";

/** As `/api/v1/alerts` gives it. */
export interface LiveAlert {
  readonly id: string;
  readonly rule: string;
  readonly severity: "INFO" | "WARNING" | "CRITICAL" | "EMERGENCY";
  readonly message: string;
  readonly raised_us: number;
  readonly source: string;
  readonly topic: string;
  readonly key: string;
  readonly event_id: string;
  readonly suppressed: number;
  readonly context: unknown;
}

const KEPT_MAX = 500;

/** Newest first. */
export const alerts = signal<readonly LiveAlert[]>([]);

export function addAlert(alert: LiveAlert): void {
  mergeAlerts([alert]);
}

/** Takes alerts from elsewhere; those that are known already are not doubled. */
export function mergeAlerts(more: readonly LiveAlert[]): void {
  const known = new Set(alerts.value.map(({ id }) => id));
  alerts.value = [...more.filter(({ id }) => !known.has(id)), ...alerts.value]
    .sort((a, b) => b.raised_us - a.raised_us)
    .slice(0, KEPT_MAX);
}
