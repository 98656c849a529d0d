/** The newest alerts, for whoever asks, and everybody who listens. Main thread only. alerts ≤ KEPT_MAX */
import type { Alert } from "./alert.ts";

/** Alerts kept in memory; the store has them all. */
export const KEPT_MAX = 1000;

export class AlertBoard {
  /** How often each rule raised an alert of each severity since start. */
  readonly totals = new Map<string, { readonly rule: string; readonly severity: string; count: number }>();
  readonly #alerts: Alert[] = [];
  readonly #ids = new Set<string>();
  readonly #listeners = new Set<(alert: Alert) => void>();
  readonly #log: (alert: Alert) => void;

  /** @param log Writes a line, as often as a log should have one. */
  constructor(log: (alert: Alert) => void) {
    this.#log = log;
  }

  /** Takes an alert, once: what is processed again after a crash is raised again. */
  add(alert: Alert): void {
    if (this.#ids.has(alert.id)) return;
    this.#ids.add(alert.id);
    this.#alerts.push(alert);
    if (this.#alerts.length > KEPT_MAX) {
      const oldest = this.#alerts.shift();
      if (oldest !== undefined) this.#ids.delete(oldest.id);
    }
    const name = `${alert.rule}\0${alert.severity}`;
    const total = this.totals.get(name);
    if (total === undefined) this.totals.set(name, { rule: alert.rule, severity: alert.severity, count: 1 });
    else total.count++;
    this.#log(alert);
    for (const listener of this.#listeners) listener(alert);
  }

  /** Newest first. */
  newest(countMax: number): readonly Alert[] {
    return this.#alerts.slice(-countMax).reverse();
  }

  /** @returns Ends it. */
  listen(listener: (alert: Alert) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
