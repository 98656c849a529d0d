/** Checks that a server's counters account for every event. */
import { type Ledger, readStats } from "../shard-ranges.ts";

export interface LedgerVerdict {
  /** `undefined` when other producers kept the counters moving, so that nothing can be said. */
  readonly isBalanced: boolean | undefined;
  readonly events: Ledger;
}

/** How long events may be on their way between two counters. */
const SETTLE_MS_MAX = 5_000;
const LOOK_MS = 50;

/**
 * Waits until received = accepted + rejected + duplicates and accepted = durable + dropped.
 *
 * @throws {EscError} When the server cannot be asked.
 */
export async function checkLedger(server: { host: string; httpPort: number }): Promise<LedgerVerdict> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  let { events } = await readStats(server);
  const receivedFirst = events.received;
  while (!isBalanced(events) && performance.now() < deadlineMs) {
    await Bun.sleep(LOOK_MS);
    ({ events } = await readStats(server));
  }
  if (isBalanced(events)) return { isBalanced: true, events };
  return { isBalanced: events.received > receivedFirst ? undefined : false, events };
}

/** Whether every event received is accounted for. */
export function isBalanced(events: Ledger): boolean {
  return events.received === events.accepted + events.rejected + events.duplicates &&
    events.accepted === events.durable + events.dropped;
}
