/**
 * Questions to the store: stored events, last values, window results, stored alerts.
 *
 * Unlike `/api/v1/events`, which reads the logs, these find by index: a topic, a key, a range of time.
 */
import { z } from "zod";
import { nothingStored, PAGE_ROWS_MAX } from "../store/access.ts";
import type { EventResult } from "../store/queries.ts";
import type { StoreReader } from "../store/reader.ts";
import { isUtf8 } from "../event/utf8.ts";
import type { ApiContext } from "./context.ts";
import { problem } from "./problem.ts";
import { type ApiRequest, checkQuery, json, type Route } from "./route.ts";
import { cursorSchema, eventSchema, patternSchema, problemSchema, timeSchema, whole } from "./schemas.ts";

/** How old a sum over windows may be: a window may still get a later result. */
const STEPS_TTL_MS = 1_000;

const limit = whole(1, PAGE_ROWS_MAX).default(100);
const order = z.enum(["asc", "desc"]).default("asc").describe("By time");
const cursor = cursorSchema.optional().describe("From the answer before, with the same filters");
const range = {
  from: timeSchema.optional().describe("At or after: microseconds since 1970, or ISO 8601"),
  to: timeSchema.optional().describe("Before"),
};

const storedEventSchema = eventSchema.extend({ origin: z.string().describe("Data directory it came from") });
const eventsQuery = z.strictObject({
  topic: patternSchema.default(">").describe("Topic or pattern"),
  key: z.string().optional(),
  ...range,
  order,
  limit,
  cursor,
});
const eventsAnswer = z.strictObject({ events: z.array(storedEventSchema), cursor: z.string().optional() });

const lastQuery = z.strictObject({ topic: patternSchema.describe("Topic or pattern") });
const lastAnswer = z.strictObject({ values: z.array(storedEventSchema) });

const alertsQuery = z.strictObject({
  rule: z.string().optional(),
  severity: z.string().optional(),
  ...range,
  order,
  limit,
  cursor,
});
const alertSchema = z.strictObject({
  id: z.string(),
  rule: z.string(),
  severity: z.string(),
  raised_us: z.int(),
  topic: z.string(),
  key: z.string().nullable(),
  message: z.string(),
  context: z.unknown(),
});
const alertsAnswer = z.strictObject({ alerts: z.array(alertSchema), cursor: z.string().optional() });

const windowsQuery = z.strictObject({
  key: z.string().optional().describe("Only this key"),
  ...range,
  order,
  limit,
  cursor,
  step: whole(1).optional().describe("Microseconds: put results together over such steps"),
});
const measures = {
  count: z.int(),
  sum: z.number().nullable(),
  min: z.number().nullable(),
  max: z.number().nullable(),
};
const windowsAnswer = z.strictObject({
  windows: z.array(z.strictObject({
    key: z.string(),
    start_us: z.int(),
    end_us: z.int(),
    ...measures,
    result: z.unknown(),
  })).optional(),
  steps: z.array(z.strictObject({ start_us: z.int(), windows: z.int(), ...measures })).optional(),
  cursor: z.string().optional(),
});

export function storeRoutes(context: ApiContext): Route[] {
  const reader = (): Promise<StoreReader> => {
    const { store } = context.engine;
    if (store === undefined) throw nothingStored();
    return store.reader();
  };
  const absent = { description: "This server stores no topics", schema: problemSchema };
  const route = (
    path: string,
    summary: string,
    query: z.ZodObject,
    answer: z.ZodType,
    handle: Route["handle"],
  ): Route => ({
    method: "GET",
    path,
    summary,
    tag: "store",
    query,
    responses: { 200: { description: summary, schema: answer }, 404: absent },
    handle,
  });
  return [
    route(
      "/api/v1/query/events",
      "Stored events by topic, key and time",
      eventsQuery,
      eventsAnswer,
      async (call) => {
        const query = checkQuery(eventsQuery, call.url);
        if (query.response) return query.response;
        const { topic, key, from, to, cursor, ...rest } = query.value;
        const page = await (await reader()).events({
          topic,
          ...rest,
          ...(key === undefined ? {} : { key }),
          ...(cursor === undefined ? {} : { cursor }),
          ...times(from, to),
        });
        return json({ events: page.rows.map(eventJson), ...cursorOf(page) });
      },
    ),
    route(
      "/api/v1/query/last",
      "The last value of each matching topic",
      lastQuery,
      lastAnswer,
      async (call) => {
        const query = checkQuery(lastQuery, call.url);
        if (query.response) return query.response;
        const rows = await (await reader()).lastValues(query.value.topic);
        return json({ values: rows.map(eventJson) });
      },
    ),
    route("/api/v1/query/alerts", "Stored alerts", alertsQuery, alertsAnswer, async (call) => {
      const query = checkQuery(alertsQuery, call.url);
      if (query.response) return query.response;
      const { rule, severity, from, to, cursor, ...rest } = query.value;
      const page = await (await reader()).alerts({
        ...rest,
        ...(rule === undefined ? {} : { rule }),
        ...(severity === undefined ? {} : { severity }),
        ...(cursor === undefined ? {} : { cursor }),
        ...times(from, to),
      });
      const alerts = page.rows.map(({ event_key: key, context, ...alert }) => ({
        ...alert,
        key,
        context: JSON.parse(context),
      }));
      return json({ alerts, ...cursorOf(page) });
    }),
    {
      ...route(
        "/api/v1/windows/{name}",
        "Results of a window",
        windowsQuery,
        windowsAnswer,
        (call) => readWindows(context, reader, call),
      ),
      params: z.object({ name: z.string() }),
    },
  ];
}

async function readWindows(
  context: ApiContext,
  reader: () => Promise<StoreReader>,
  call: ApiRequest,
): Promise<Response> {
  const query = checkQuery(windowsQuery, call.url);
  if (query.response) return query.response;
  const { key, from, to, cursor, step, ...rest } = query.value;
  const filter = {
    name: call.params["name"] ?? "",
    ...rest,
    ...(key === undefined ? {} : { key }),
    ...times(from, to),
  };
  if (step !== undefined) return await readSteps(context, reader, { ...filter, stepUs: step });
  const store = await reader();
  const page = await store.windows({ ...filter, ...(cursor === undefined ? {} : { cursor }) });
  const configured = context.engine.processing?.windows ?? [];
  if (page.rows.length === 0 && configured.length > 0 && !configured.includes(filter.name)) {
    // Windows of an earlier configuration may have results, too; this one has none.
    return problem(404, `There is no window "${filter.name}"; there are ${configured.join(", ")}`);
  }
  const windows = page.rows.map((row) => ({
    key: row.window_key,
    start_us: row.start_us,
    end_us: row.end_us,
    ...measuresOf(row),
    result: JSON.parse(row.result),
  }));
  return json({ windows, ...cursorOf(page) });
}

/** Sums over many windows are what dashboards ask for again and again: asked at once, they are summed once. */
async function readSteps(
  { engine }: ApiContext,
  reader: () => Promise<StoreReader>,
  filter: Parameters<StoreReader["windowSteps"]>[0],
): Promise<Response> {
  const load = async () => {
    const rows = await (await reader()).windowSteps(filter);
    const steps = rows.map((row) => ({
      start_us: Number(row.step_us),
      windows: row.windows,
      ...measuresOf(row),
    }));
    return JSON.stringify({ steps });
  };
  const key = `steps:${JSON.stringify(filter)}`;
  const text = await (engine.store?.cache.getOrLoad(key, load, STEPS_TTL_MS) ?? load());
  return json(JSON.parse(text));
}

function measuresOf(row: {
  event_count: number;
  sum_value: number | null;
  min_value: number | null;
  max_value: number | null;
}) {
  return { count: row.event_count, sum: row.sum_value, min: row.min_value, max: row.max_value };
}

function times(fromUs: number | undefined, toUs: number | undefined): { fromUs?: number; toUs?: number } {
  return { ...(fromUs === undefined ? {} : { fromUs }), ...(toUs === undefined ? {} : { toUs }) };
}

function cursorOf({ cursor }: { readonly cursor?: string }): { cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}

function eventJson(row: EventResult): z.infer<typeof storedEventSchema> {
  const bytes = Buffer.from(row.payload.buffer, row.payload.byteOffset, row.payload.length);
  const isText = isUtf8(bytes, 0, bytes.length);
  return {
    origin: row.origin,
    lane: row.lane,
    shard: row.shard,
    offset: row.log_offset,
    topic: row.topic,
    priority: row.priority,
    received_us: row.received_us,
    ...(row.time_us === null ? {} : { time_us: row.time_us }),
    ...(row.message_id === null ? {} : { id: row.message_id }),
    ...(row.event_key === null ? {} : { key: row.event_key }),
    ...(row.headers === null ? {} : { headers: headersOf(row.headers) }),
    payload: bytes.toString(isText ? "utf8" : "base64"),
    ...(isText ? {} : { encoding: "base64" as const }),
  };
}

/** A name that the event carries several times has a list. */
function headersOf(text: string): Record<string, string | string[]> {
  const pairs: [string, string][] = JSON.parse(text);
  // Without a prototype: a header may be called "__proto__".
  const headers: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of pairs) {
    const known = headers[name];
    headers[name] = known === undefined ? value : [known, value].flat();
  }
  return headers;
}
