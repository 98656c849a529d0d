/** Asks a server whether it can account for every event. */
import { z } from "zod";
import { getJson } from "../server-options.ts";
import { type Ledger, readStats } from "../shard-ranges.ts";

export interface LedgerVerdict {
  /** `undefined` when other producers kept the counters moving, so that nothing can be said. */
  readonly isBalanced: boolean | undefined;
  /** Events lost or counted twice, as the server's ledger says. */
  readonly imbalance: number;
  readonly events: Ledger;
}

const answerSchema = z.object({ is_settled: z.boolean(), imbalance: z.int() });

/** How long events may be on their way between two counters. */
const SETTLE_MS_MAX = 5_000;
const LOOK_MS = 50;

/**
 * Waits until the server's ledger is settled, and received = accepted + rejected + duplicates and accepted =
 * durable + dropped. An imbalance that the ledger shows counts even while others keep the server busy.
 *
 * @throws {EscError} When the server cannot be asked.
 */
export async function checkLedger(server: { host: string; httpPort: number }): Promise<LedgerVerdict> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const ledger = answerSchema.parse(await getJson(server, "/api/v1/ledger"));
    const { events } = await readStats(server);
    const { imbalance } = ledger;
    if (ledger.is_settled && imbalance === 0 && isBalanced(events)) {
      return { isBalanced: true, imbalance, events };
    }
    if (performance.now() > deadlineMs) {
      const isWrong = imbalance > 0 || (ledger.is_settled && !isBalanced(events));
      return { isBalanced: isWrong ? false : undefined, imbalance, events };
    }
    await Bun.sleep(LOOK_MS);
  }
}

/** Whether every event received is accounted for. */
export function isBalanced(events: Ledger): boolean {
  return events.received === events.accepted + events.rejected + events.duplicates &&
    events.accepted === events.durable + events.dropped;
}
