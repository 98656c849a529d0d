/** Who we are to the server, and every request to it. */
import { signal } from "@preact/signals";

const KEY = "esc.token";

/** Whether the server has refused us: a token must be typed in. */
export const refusal = signal<string | undefined>(undefined);

/** A request that was not answered as hoped; its message is for the user. */
export class RequestFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "RequestFailure";
    this.status = status;
  }
}

/** Kept by the browser until the tab is closed, and sent to nobody but this server. */
export function setToken(token: string): void {
  sessionStorage.setItem(KEY, token);
  refusal.value = undefined;
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
  refusal.value = "Signed out";
}

export function hasToken(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}

/** One request. @throws {RequestFailure} Whatever keeps it from being answered with 2xx. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = sessionStorage.getItem(KEY);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  const response = await fetch(path, { ...init, headers }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestFailure(0, "The server cannot be reached");
  });
  if (response.ok) return response;
  const failure = new RequestFailure(response.status, await reasonOf(response));
  if (response.status === 401) refusal.value = token === null ? "This server wants a token" : failure.message;
  throw failure;
}

/** Asks for JSON. The shape is the server's promise: `/openapi.json`. */
export async function requestJson<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await request(path, init);
  const body: T = await response.json();
  return body;
}

/** A query string of what is not empty. */
export function queryOf(fields: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const problem: { detail?: unknown } = JSON.parse(text);
    if (typeof problem.detail === "string") return problem.detail;
  } catch {
    // Not from esc: a proxy between, as a rule.
  }
  return `The server answered ${response.status} ${response.statusText}`;
}
