/**
 * How a worker thread without an event loop spends the time in which it has nothing to do.
 *
 * `block` costs nothing while idle and about 40 us to wake; `yield` looks a while, then naps;
 * `spin` burns a core for the shortest latency. All of them answer an `alarm()`.
 */
import type { ThreadControl } from "./control.ts";
import type { Doorbell } from "./doorbell.ts";

export const WAIT_STRATEGIES = ["block", "yield", "spin"] as const;
export type WaitStrategy = (typeof WAIT_STRATEGIES)[number];

/** Looks at the queues before `yield` naps, and before `spin` returns to the caller's loop. */
const LOOKS = 2000;
/** Nap of `yield`: the timer's own slack is about 60 us. */
const NAP_MS = 0.05;

export interface Idle {
  readonly strategy: WaitStrategy;
  readonly doorbell: Doorbell;
  readonly control: ThreadControl;
  /** Whether a queue has something: the second look after the announcement. */
  readonly hasWork: () => boolean;
}

/**
 * Passes the time until there is work, a command, a message or `timeoutMs` are over; may return early.
 *
 * @param command The command the thread obeys now; another one ends the wait.
 * @param messageCount Messages the thread has read; more of them end the wait.
 */
export function idle(on: Idle, command: number, messageCount: number, timeoutMs: number): void {
  if (on.strategy !== "block") {
    for (let look = 0; look < LOOKS; look++) {
      if (on.hasWork() || on.control.command !== command || on.control.messageCount !== messageCount) return;
    }
    if (on.strategy === "spin") return;
  }
  const ticket = on.doorbell.arm();
  // Looked at after arm(): whoever writes these rings or sounds the alarm afterwards.
  if (on.hasWork() || on.control.command !== command || on.control.messageCount !== messageCount) {
    on.doorbell.disarm();
    return;
  }
  on.doorbell.wait(ticket, on.strategy === "yield" ? Math.min(NAP_MS, timeoutMs) : timeoutMs);
}
