/** `/openapi.json`: the route table as OpenAPI 3.1. */
import { z } from "zod";
import type { Route } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

/** Every route can end like this. */
const COMMON_RESPONSES = {
  401: "Auth is on, and the request shows no token or a wrong one",
  403: "The caller has no permission for this, or the request comes from another web site",
  421: "The Host header names another server",
  431: "Headers and address are longer than 16 KiB; the answer has no body",
  500: "A defect of the server",
} as const;

/** The document for these routes. @param problem Schema of all errors. */
export function openApiDocument(routes: readonly Route[], version: string, problem: z.ZodType): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = paths[route.path] ??= {};
    path[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "esc",
      version,
      description: "EventStreamCore: publish, read, subscribe to and steer event streams.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths,
    components: { schemas: { Problem: jsonSchema(problem, "output") } },
  };
}

function operation(route: Route): Json {
  const parameters = [
    ...parametersOf(route.params, "path"),
    ...parametersOf(route.query, "query"),
    ...parametersOf(route.headers, "header"),
  ];
  const body = route.body === undefined ? {} : {
    requestBody: {
      // A payload may be empty.
      required: !("*/*" in route.body),
      content: Object.fromEntries(
        Object.entries(route.body).map(([type, schema]) => [type, { schema: jsonSchema(schema, "input") }]),
      ),
    },
  };
  return {
    operationId: `${route.method.toLowerCase()}${
      route.path.replace(/[^A-Za-z0-9]+(.)?/g, (_, next) => next?.toUpperCase() ?? "")
    }`,
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...body,
    responses: responsesOf(route),
  };
}

function parametersOf(schema: z.ZodObject | undefined, place: "path" | "query" | "header"): Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = asShown(isJson(property) ? property : {});
    return {
      name,
      in: place,
      required: place === "path" || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function responsesOf({ responses, query }: Route): Json {
  const result: Record<string, Json> = {};
  for (const [status, { description, schema, contentType }] of Object.entries(responses)) {
    const isProblem = Number(status) >= 400 && contentType === undefined && schema !== undefined;
    const type = contentType ??
      (isProblem && isProblemSchema(schema) ? "application/problem+json" : "application/json");
    const media = schema === undefined ? {} : { schema: reference(schema) };
    const hasContent = schema !== undefined || contentType !== undefined;
    result[status] = { description, ...(hasContent ? { content: { [type]: media } } : {}) };
  }
  const common = query === undefined
    ? COMMON_RESPONSES
    : { 400: "The query makes no sense", ...COMMON_RESPONSES };
  for (const [status, description] of Object.entries(common)) {
    const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
    result[status] ??= status === "431" ? { description } : { description, content };
  }
  return result;
}

/** Problems are one component; everything else is written where it is used. */
function reference(schema: z.ZodType): Json {
  return isProblemSchema(schema) ? { $ref: "#/components/schemas/Problem" } : jsonSchema(schema, "output");
}

function isProblemSchema(schema: z.ZodType): boolean {
  return schema.description?.startsWith("Problem details") === true;
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return asShown(rest);
}

/** Puts what `shown()` says in the place of what was made of the schema, however deep. */
function asShown(made: Json): Json {
  const { shownAs, ...rest } = made;
  if (isJson(shownAs)) {
    const kept = Object.entries(rest).filter(([name]) => name === "default" || name === "description");
    return { ...shownAs, ...Object.fromEntries(kept) };
  }
  const within = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(within) : isJson(value) ? asShown(value) : value;
  return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, within(value)]));
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
