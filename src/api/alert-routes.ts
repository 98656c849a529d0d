/**
 * `GET /api/v1/alerts`: the newest alerts of this process, or a stream of those to come.
 *
 * Alerts of rules and windows are also in the store (`/api/v1/query/alerts`), with those of earlier runs.
 */
import { z } from "zod";
import { type Alert, alertDocument } from "../process/alerts/alert.ts";
import { KEPT_MAX } from "../process/alerts/board.ts";
import { SEVERITIES } from "../process/rules/spec.ts";
import type { ApiContext } from "./context.ts";
import { type ApiRequest, checkQuery, json, type Route } from "./route.ts";
import { problemSchema, whole } from "./schemas.ts";
import { HEARTBEAT_MS } from "./sse.ts";

/** Alerts that wait for a client that reads slowly; beyond, it is cut off. */
const WAITING_MAX = 1000;

const query = z.strictObject({
  rule: z.string().optional(),
  severity: z.enum(SEVERITIES).optional().describe("At least this"),
  limit: whole(1, KEPT_MAX).default(100),
});

const alertSchema = z.strictObject({
  id: z.string(),
  rule: z.string(),
  severity: z.enum(SEVERITIES),
  message: z.string(),
  raised_us: z.int(),
  source: z.string().describe("lane/shard/offset of the event, or empty"),
  topic: z.string(),
  key: z.string(),
  event_id: z.string(),
  suppressed: z.int().describe("Alerts kept back by the cooldown since the last one"),
  context: z.unknown(),
});

export function alertRoutes({ engine, streams }: ApiContext): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/alerts",
    summary: "The newest alerts, newest first; with Accept: text/event-stream, those to come",
    tag: "store",
    query,
    responses: {
      200: { description: "The alerts", schema: z.strictObject({ alerts: z.array(alertSchema) }) },
      429: { description: "Too many streams, in all or of one address", schema: problemSchema },
    },
    handle: (call) => {
      const checked = checkQuery(query, call.url);
      if (checked.response) return checked.response;
      const { rule, severity, limit } = checked.value;
      const least = severity === undefined ? 0 : SEVERITIES.indexOf(severity);
      const isWanted = (alert: Alert) =>
        (rule === undefined || alert.rule === rule) && SEVERITIES.indexOf(alert.severity) >= least;
      if (call.request.headers.get("accept")?.includes("text/event-stream") === true) {
        const leave = streams.enter(call.server.requestIP(call.request)?.address ?? "");
        if (leave instanceof Response) return leave;
        return alertStream(engine.alerts, isWanted, { leave, watch: call.watch });
      }
      return json({
        alerts: engine.alerts.newest(KEPT_MAX).filter(isWanted).slice(0, limit).map(alertDocument),
      });
    },
  }];
}

function alertStream(
  board: ApiContext["engine"]["alerts"],
  isWanted: (alert: Alert) => boolean,
  visit: { readonly leave: () => void; readonly watch: ApiRequest["watch"] },
): Response {
  const encoder = new TextEncoder();
  let end = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode("retry: 1000\n\n"));
      const cut = () => {
        end();
        controller.close();
      };
      const unwatch = visit.watch(cut);
      const heartbeat = setInterval(() => controller.enqueue(encoder.encode(":\n\n")), HEARTBEAT_MS);
      const stop = board.listen((alert) => {
        if (!isWanted(alert)) return;
        if ((controller.desiredSize ?? 0) <= 0) {
          cut();
          return;
        }
        controller.enqueue(
          encoder.encode(`id: ${alert.id}\nevent: alert\ndata: ${JSON.stringify(alertDocument(alert))}\n\n`),
        );
      });
      end = () => {
        clearInterval(heartbeat);
        stop();
        unwatch();
        visit.leave();
      };
    },
    cancel: () => end(),
  }, new CountQueuingStrategy({ highWaterMark: WAITING_MAX }));
  return new Response(body, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" },
  });
}
