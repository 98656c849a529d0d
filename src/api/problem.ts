/** Errors as HTTP says them: problem details (RFC 9457). */
import { ERROR_CODES, type ErrorCode, EscError } from "../errors.ts";

export const PROBLEM_CONTENT_TYPE = "application/problem+json";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  413: "Content too large",
  415: "Unsupported media type",
  421: "Misdirected request",
  429: "Too many requests",
  500: "Internal error",
  503: "Service unavailable",
  504: "Timeout",
};

export interface ProblemOptions {
  /** Stable code of `src/errors.ts`. */
  readonly code?: ErrorCode;
  readonly headers?: Readonly<Record<string, string>>;
  /** One entry a mistake, where there can be several. */
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** A problem details response. @param detail What is wrong with this request, one sentence. */
export function problem(status: number, detail: string, options: ProblemOptions = {}): Response {
  const body = {
    type: "about:blank",
    title: TITLES[status] ?? "Error",
    status,
    detail,
    ...(options.code === undefined ? {} : { code: options.code }),
    ...(options.errors === undefined ? {} : { errors: options.errors }),
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": PROBLEM_CONTENT_TYPE, ...options.headers },
  });
}

/** The same for an error code; codes with status 429 and 503 tell the client when to come again. */
export function problemOf(code: ErrorCode, detail: string): Response {
  const status = ERROR_CODES[code].http;
  const headers: Record<string, string> = status === 429 || status === 503 ? { "retry-after": "1" } : {};
  return problem(status, detail, { code, headers });
}

/** The same for anything thrown. What is no `EscError` is a defect: its text stays in the server's log. */
export function problemOfError(error: unknown): Response {
  if (error instanceof EscError) return problemOf(error.code, error.message);
  return problemOf("INTERNAL", "The server met a defect; its log says more");
}
