/** `GET /api/v1/ledger`: where every event went. */
import { z } from "zod";
import type { Ledger } from "./ledger.ts";
import { json, type Route } from "./route.ts";

const count = z.int();

const ledgerSchema = z.strictObject({
  received: count,
  rejected: count,
  unrouted: count.describe("Read, and not yet given to a lane"),
  lanes: z.array(z.strictObject({
    lane: z.string(),
    received: count,
    stored: count,
    appended: count.describe("By how much its logs have grown: equal to stored"),
    duplicates: count,
    dropped: z.record(z.string(), count).describe("By reason; before they were stored"),
    in_flight: count,
  })),
  is_settled: z.boolean().describe("Nothing moves and nothing waits: only then can an imbalance be told"),
  imbalance: count.describe("Events unaccounted for or counted twice; 0 while not settled"),
});

/** Between two readings: long enough for rest to mean something, short enough for who waits. */
const LOOK_MS = 60;

export function ledgerRoutes(ledger: Ledger): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/ledger",
    summary: "Account of every event received since start",
    description: "received = rejected + lanes.received + unrouted; " +
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
