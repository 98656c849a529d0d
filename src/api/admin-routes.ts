/** Looking at and steering the engine: topics, configuration, control. */
import type { ApiContext } from "./context.ts";
import { parsePatterns } from "./event-routes.ts";
import { type ApiRequest, checkQuery, json, type Route } from "./route.ts";
import { pipelineStats } from "./stats.ts";
import { pipelineSchema, problemSchema, reloadSchema, topicsQuery, topicsSchema } from "./schemas.ts";
import { z } from "zod";

const logLevelQuery = z.strictObject({ level: z.enum(["debug", "info", "warn", "error"]) });

export function adminRoutes(context: ApiContext): Route[] {
  const { engine } = context;
  const steer = (verb: "pause" | "resume" | "drain", summary: string): Route => ({
    method: "POST",
    path: `/api/v1/control/${verb}`,
    summary,
    tag: "control",
    responses: { 200: { description: "The pipeline after it", schema: pipelineSchema } },
    handle: () => {
      engine[verb]();
      return json(pipelineStats(engine));
    },
  });
  return [
    {
      method: "GET",
      path: "/api/v1/topics",
      summary: "Topics seen since start, busiest first",
      tag: "events",
      query: topicsQuery,
      responses: { 200: { description: "The topics", schema: topicsSchema } },
      handle: (call) => listTopics(context, call),
    },
    {
      method: "GET",
      path: "/api/v1/config",
      summary: "The configuration in effect, secrets hidden",
      tag: "control",
      responses: { 200: { description: "The configuration", schema: z.record(z.string(), z.unknown()) } },
      handle: () => json(engine.effectiveConfig()),
    },
    steer("pause", "Stop processing; what comes in waits in the queues"),
    steer("resume", "Go on processing"),
    steer("drain", "Stop accepting, finish everything accepted, end"),
    {
      method: "POST",
      path: "/api/v1/control/log-level",
      summary: "Write more or fewer messages, until the next reload or restart",
      tag: "control",
      query: logLevelQuery,
      responses: { 200: { description: "The level now", schema: logLevelQuery } },
      handle: (call) => {
        const query = checkQuery(logLevelQuery, call.url);
        if (query.response) return query.response;
        engine.setLogLevel(query.value.level);
        return json(query.value);
      },
    },
    {
      method: "POST",
      path: "/api/v1/control/reload",
      summary: "Read the configuration again",
      tag: "control",
      responses: {
        200: { description: "What was taken over", schema: reloadSchema },
        400: { description: "The configuration is not valid; nothing was changed", schema: problemSchema },
      },
      handle: async () => {
        const { applied, needsRestart } = await engine.reload();
        return json({ applied, needs_restart: needsRestart });
      },
    },
  ];
}

function listTopics({ engine }: ApiContext, call: ApiRequest): Response {
  const query = checkQuery(topicsQuery, call.url);
  if (query.response) return query.response;
  const patterns = parsePatterns(query.value.match);
  if (patterns.response) return patterns.response;
  const found = engine.topics().filter(({ topic }) =>
    patterns.value.firstMatchOf(topic) >= 0 && call.caller.may("read", topic)
  );
  const topics = found.toSorted((a, b) => b.events - a.events).slice(0, query.value.limit);
  return json({
    topics: topics.map(({ topic, lane, events, receivedUs }) => ({
      topic,
      lane,
      events,
      last_received_us: receivedUs,
    })),
    total: found.length,
  });
}
