/** Handlers of the user's on the `/metrics` page. Main thread. */
import type { Exposition } from "../../../metrics/prometheus.ts";
import type { HandlerFacts } from "./desk.ts";

const OUTCOMES = ["success", "alert", "drop", "fail"] as const;

/** Writes their families; none when there are no handlers. */
export function exposeHandlers(page: Exposition, handlers: readonly HandlerFacts[]): void {
  if (handlers.length === 0) return;
  page.family("esc_handler_events_total", "counter", "Attempts of handlers by outcome");
  for (const facts of handlers) {
    for (const outcome of OUTCOMES) page.sample(facts[outcome], { handler: facts.name, outcome });
  }
  page.family("esc_handler_faults_total", "counter", "Processes of a handler that were stopped or have died");
  for (const { name, faults } of handlers) page.sample(faults, { handler: name });
  page.family("esc_handler_waiting", "gauge", "Events that wait for a handler or are with it");
  for (const { name, waiting } of handlers) page.sample(waiting, { handler: name });
  page.family("esc_handler_up", "gauge", "1 while a handler has a process that works");
  for (const { name, isUp } of handlers) page.sample(Number(isUp), { handler: name });
}
