/** `GET /api/v1/ledger`: where every event went. */
import { z } from "zod";
import type { Ledger } from "./ledger.ts";
import { json, type Route } from "./route.ts";

const count = z.int();

const ledgerSchema = z.strictObject({
  received: count,
  rejected: count,
  unrouted: count.describe("Counted in the rings before the lanes"),
  lanes: z.array(z.strictObject({
    lane: z.string(),
    received: count,
    stored: count,
    appended: count.describe("By how much its logs have grown: equal to stored"),
    duplicates: count,
    dropped: z.record(z.string(), count).describe("By reason; before they were stored"),
    in_flight: count.describe("Counted in its queues and in hand"),
  })),
  is_settled: z.boolean().describe("Nothing moves and nothing waits: every number is exact"),
  imbalance: count.describe("Events lost or counted twice: exact when settled, never too large under load"),
});

/** Between two readings: long enough for rest to mean something, short enough for who waits. */
const LOOK_MS = 60;

export function ledgerRoutes(ledger: Ledger): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/ledger",
    summary: "Account of every event received since start",
    description: "received = rejected + unrouted + lanes.received; " +
      "lane.received = stored + duplicates + dropped + in_flight",
    tag: "health",
    responses: { 200: { description: "The account", schema: ledgerSchema } },
    handle: async () => {
      ledger.read();
      await Bun.sleep(LOOK_MS);
      return json(ledger.read());
    },
  }];
}
