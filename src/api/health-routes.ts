/** Is it alive, is it ready, how is it doing. */
import { EXPOSITION_CONTENT_TYPE } from "../metrics/prometheus.ts";
import { Ledger } from "./ledger.ts";
import type { ApiContext } from "./context.ts";
import { ledgerRoutes } from "./ledger-routes.ts";
import { json, type Route } from "./route.ts";
import { healthSchema, readySchema, statsSchema } from "./schemas.ts";
import { readMetrics, readStats, uptimeSeconds } from "./stats.ts";

export function healthRoutes({ engine }: ApiContext): Route[] {
  const ledger = new Ledger(engine.meters);
  return [
    ...ledgerRoutes(ledger),
    {
      method: "GET",
      path: "/healthz",
      summary: "Whether the process is alive",
      tag: "health",
      responses: { 200: { description: "It is", schema: healthSchema } },
      handle: () => json({ status: "ok", version: engine.version, uptime_s: uptimeSeconds(engine) }),
    },
    {
      method: "GET",
      path: "/readyz",
      summary: "Whether the server should get traffic",
      tag: "health",
      responses: {
        200: { description: "It should", schema: readySchema },
        503: { description: "It should not, for these reasons", schema: readySchema },
      },
      handle: () => {
        const reasons = engine.notReadyReasons();
        return json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
      },
    },
    {
      method: "GET",
      path: "/metrics",
      summary: "Everything measured, for Prometheus",
      tag: "health",
      responses: { 200: { description: "Text exposition 0.0.4", contentType: EXPOSITION_CONTENT_TYPE } },
      handle: () =>
        new Response(readMetrics(engine, ledger), { headers: { "content-type": EXPOSITION_CONTENT_TYPE } }),
    },
    {
      method: "GET",
      path: "/api/v1/stats",
      summary: "Counters since start, exact, and the state of every lane",
      tag: "health",
      responses: { 200: { description: "The counters", schema: statsSchema } },
      handle: () => json(readStats(engine)),
    },
  ];
}
