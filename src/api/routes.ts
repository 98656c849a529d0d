/** The one table of all routes. */
import { adminRoutes } from "./admin-routes.ts";
import { alertRoutes } from "./alert-routes.ts";
import type { ApiContext } from "./context.ts";
import { consumerRoutes } from "./consumer-routes.ts";
import { dlqRoutes } from "./dlq-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { dashboardRoutes } from "./dashboard-routes.ts";
import { healthRoutes } from "./health-routes.ts";
import { liveRoutes } from "./live-routes.ts";
import { openApiDocument } from "./openapi.ts";
import { publishRoutes } from "./publish-routes.ts";
import { marketRoutes } from "./market-routes.ts";
import { json, type Route } from "./route.ts";
import { problemSchema } from "./schemas.ts";
import { storeRoutes } from "./store-routes.ts";
import { subscribeRoutes, type Upgrade } from "./subscribe-routes.ts";
import { whyRoutes } from "./why-routes.ts";
import { z } from "zod";

/** Everything the server answers, `/openapi.json` included. */
export function apiRoutes(context: ApiContext, upgrade: Upgrade): readonly Route[] {
  const routes: Route[] = [
    ...dashboardRoutes(),
    ...healthRoutes(context),
    ...liveRoutes(context),
    ...publishRoutes(context),
    ...eventRoutes(context),
    ...whyRoutes(context),
    ...subscribeRoutes(context, upgrade),
    ...consumerRoutes(context),
    ...dlqRoutes(context),
    ...storeRoutes(context),
    ...alertRoutes(context),
    ...marketRoutes(context),
    ...adminRoutes(context),
  ];
  let document: unknown;
  routes.push({
    method: "GET",
    path: "/openapi.json",
    summary: "This description",
    tag: "health",
    responses: { 200: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) } },
    // Made when it is first asked for: most servers never are.
    handle: () => json(document ??= openApiDocument(routes, context.engine.version, problemSchema)),
  });
  return routes;
}
