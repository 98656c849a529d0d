/**
 * What a route is: one entry of the table from which requests are served and `/openapi.json` is made,
 * so that the document cannot say anything else than the server does.
 */
import type { z } from "zod";
import type { Caller } from "../auth/caller.ts";
import type { RateLimit } from "../auth/rate.ts";
import type { Server } from "bun";
import { problem } from "./problem.ts";
import type { SocketData } from "./websocket.ts";

/** One possible answer. */
export interface RouteResponse {
  readonly description: string;
  /** Of its JSON; absent where the content is no JSON. */
  readonly schema?: z.ZodType;
  /** `application/json` where there is a schema. */
  readonly contentType?: string;
}

/** What a route knows of who calls. */
export interface ApiCaller {
  readonly caller: Caller;
  /** How much the caller may still send; absent: no limit. */
  readonly rate?: RateLimit | undefined;
  /** For answers that last: `end` is called when the caller is not welcome any more. @returns Stops watching. */
  readonly watch: (end: (reason: string) => void) => () => void;
}

/** A request that has passed the checks its route asks for. */
export interface ApiRequest extends ApiCaller {
  readonly request: Request;
  readonly url: URL;
  /** The runtime's server it came in by. */
  readonly server: Server<SocketData>;
  /** Parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** OpenAPI notation: `/api/v1/publish/{topic}`. A parameter takes the rest of the path when `isRest`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  readonly params?: z.ZodObject;
  /** Unknown names are refused. */
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** By content type. A request with another one is answered 415. */
  readonly body?: Readonly<Record<string, z.ZodType>>;
  readonly responses: Readonly<Record<number, RouteResponse>>;
  readonly handle: (call: ApiRequest) => Response | Promise<Response>;
}

/** JSON answers are never cached: they are true for a moment. */
export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

/** A value, or the response that says what is wrong. */
export type Checked<T> = { readonly value: T; readonly response?: never } | { readonly response: Response };

/** Checks the query string. A name given twice keeps its last value. */
export function checkQuery<T>(schema: z.ZodType<T>, url: URL): Checked<T> {
  return check(schema, Object.fromEntries(url.searchParams), "Query parameters are not valid");
}

/** Checks anything against a schema; all mistakes are listed. */
export function check<T>(schema: z.ZodType<T>, input: unknown, detail: string): Checked<T> {
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data };
  const errors = result.error.issues.slice(0, 100).map((issue) => ({
    path: issue.path.map(String).join("."),
    message: issue.message,
  }));
  const first = errors[0];
  const told = first === undefined
    ? detail
    : `${detail}: ${first.path === "" ? "" : `${first.path}: `}${first.message}`;
  return { response: problem(400, told, { code: "USAGE", errors }) };
}
