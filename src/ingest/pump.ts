/** Moves events from a connection's subscriptions to its socket, without a buffer of its own. */
import type { Subscriptions } from "../deliver/subscriptions.ts";
import type { Outbox } from "./outbox.ts";

/** Most bytes of events one connection sends in a turn: one subscriber's past must not keep the others waiting. */
const PUMP_BYTES_MAX = 1024 * 1024;

/**
 * Writes EVENTS frames as long as the socket takes them whole.
 *
 * @param target Room for one turn, `eventsTargetBytesMin()` or more; free again when this returns.
 * @returns Whether more is ready now. With `false` the drained socket or the doorbell says when to go on.
 * @throws The file system's error, when the log cannot be read.
 */
export function pump(subscriptions: Subscriptions, outbox: Outbox, target: Uint8Array): boolean {
  let bytes = 0;
  while (outbox.length === 0 && bytes < PUMP_BYTES_MAX) {
    const filled = subscriptions.fill(target, 0, target.length);
    if (filled === 0) break;
    outbox.send(target, 0, filled);
    bytes += filled;
  }
  return outbox.length === 0 && (bytes >= PUMP_BYTES_MAX || subscriptions.hasMore);
}
