/**
 * What a caller needs for each route, in one table that can be read at a glance. A route that is not in it
 * needs `admin`: whoever adds one and forgets the table has closed it.
 */
import type { Scope } from "../auth/grants.ts";
import type { Route } from "./route.ts";

/**
 * `public`: nothing. `known`: to be somebody; the route asks for more by itself. A scope: for at least one
 * topic; which topics the route asks by itself. `read everything`: the answers are about any topic. `figures`: numbers about
 * the server and no events, for those who read and for those who administrate.
 */
export type Need = "public" | "known" | Scope | "read everything" | "figures";

const NEEDS: Readonly<Record<string, Need>> = {
  // The page holds no data: it asks for a token, and fetches what that may see.
  "GET /": "public",
  "GET /dashboard/{file}": "public",
  "GET /healthz": "public",
  "GET /readyz": "public",
  "GET /openapi.json": "public",
  "GET /metrics": "figures",
  "GET /api/v1/stats": "figures",
  // Alerts are left out for those who may not read everything.
  "GET /api/v1/live": "read",
  "GET /api/v1/ledger": "figures",
  "GET /api/v1/topics": "read",
  "GET /api/v1/events": "read",
  "GET /api/v1/why": "read",
  "POST /api/v1/publish": "publish",
  "POST /api/v1/publish/{topic}": "publish",
  // A WebSocket may publish, too; server-sent events need `subscribe`.
  "GET /api/v1/subscribe": "known",
  "POST /api/v1/consumers/{name}/pull": "subscribe",
  "POST /api/v1/consumers/{name}/settle": "subscribe",
};
/** Routes of these kinds answer about whatever was stored or computed. */
const READ_TAGS = ["store", "market"];

export function needOf({ method, path, tag }: Pick<Route, "method" | "path" | "tag">): Need {
  const need = NEEDS[`${method} ${path}`];
  if (need !== undefined) return need;
  return READ_TAGS.includes(tag) && method === "GET" ? "read everything" : "admin";
}
