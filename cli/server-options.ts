/** Options that every command towards a running server shares, and how such a command speaks HTTP to it. */
import type { Command } from "commander";
import { unreachable } from "../src/client/tcp.ts";
import { EscError } from "../src/errors.ts";
import { wholeNumber } from "./command.ts";
import { serverAccess } from "./server-access.ts";

export const HOST_DEFAULT = "127.0.0.1";
export const TCP_PORT_DEFAULT = 9000;
export const UDP_PORT_DEFAULT = 9001;
export const HTTP_PORT_DEFAULT = 8080;
const HTTP_MS_MAX = 10_000;

export interface ServerOptions {
  readonly host: string;
  readonly port?: number;
  readonly httpPort: number;
}

/** Where the server's HTTP interface is. */
export interface HttpAddress {
  readonly host: string;
  readonly httpPort: number;
}

type Method = "GET" | "POST" | "DELETE";

/** Parser of a port number. */
export const portNumber = wholeNumber(1, 65_535);

/** Adds `--host` and `--port`. */
export function addAddressOptions(command: Command, portMeaning: string): Command {
  return command
    .option("--host <host>", "server's host", HOST_DEFAULT)
    .option("--port <port>", portMeaning, portNumber);
}

/** Adds `--http-port`, for commands that also ask the HTTP interface. */
export function addHttpPortOption(command: Command): Command {
  return command.option("--http-port <port>", "server's HTTP port", portNumber, HTTP_PORT_DEFAULT);
}

/**
 * Asks the server's HTTP interface for JSON.
 *
 * @param path Path and query, from `/`.
 * @throws {EscError} `SERVER_UNREACHABLE`, `TIMEOUT`, or `INTERNAL` with the server's words when it refuses.
 */
export function getJson(options: HttpAddress, path: string): Promise<unknown> {
  return requestJson(options, "GET", path);
}

/** The same with any method, without a body. */
export async function requestJson(
  options: HttpAddress,
  method: Method,
  path: string,
): Promise<unknown> {
  const response = await request(options, method, path);
  if (!response.ok) throw await refusalOf(response, method, path);
  return await response.json();
}

/** Asks for a text, which may be that the server is not ready. @throws {EscError} As `getJson()`. */
export async function getText(options: HttpAddress, path: string): Promise<string> {
  const response = await request(options, "GET", path);
  if (!response.ok && response.status !== 503) throw await refusalOf(response, "GET", path);
  return await response.text();
}

/**
 * Opens an answer that does not end, such as server-sent events.
 *
 * @param headers Besides the token.
 * @throws {EscError} As `getJson()`.
 */
export async function openStream(
  options: HttpAddress,
  path: string,
  { headers, signal }: { readonly headers: Record<string, string>; readonly signal: AbortSignal },
): Promise<ReadableStream<Uint8Array>> {
  const response = await ask(options, path, { method: "GET", headers, signal });
  if (!response.ok || response.body === null) throw await refusalOf(response, "GET", path);
  return response.body;
}

async function request(options: HttpAddress, method: Method, path: string): Promise<Response> {
  try {
    return await ask(options, path, { method, signal: AbortSignal.timeout(HTTP_MS_MAX) });
  } catch (cause) {
    if (cause instanceof EscError && cause.cause instanceof Error && cause.cause.name === "TimeoutError") {
      throw new EscError("TIMEOUT", `Server did not answer ${method} ${path} within ${HTTP_MS_MAX / 1000} s`);
    }
    throw cause;
  }
}

async function ask(
  options: HttpAddress,
  path: string,
  { headers = {}, ...init }: {
    readonly method: Method;
    readonly headers?: Record<string, string>;
    readonly signal: AbortSignal;
  },
): Promise<Response> {
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  const { token, tls } = serverAccess();
  try {
    return await fetch(`${tls === undefined ? "http" : "https"}://${host}:${options.httpPort}${path}`, {
      ...init,
      headers: token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` },
      ...(tls === undefined ? {} : { tls }),
    });
  } catch (cause) {
    throw unreachable({ host: options.host, port: options.httpPort }, cause, "--host and --http-port");
  }
}

async function refusalOf(response: Response, method: Method, path: string): Promise<EscError> {
  const code = response.status === 401 ? "UNAUTHORIZED" : response.status === 403 ? "FORBIDDEN" : "INTERNAL";
  const hint = code === "UNAUTHORIZED" ? { hint: "Give a token by --token or ESC_TOKEN" } : {};
  return new EscError(code, `${method} ${path} failed: ${await problemOf(response)}`, hint);
}

/** What a problem document (RFC 9457) says, or else the status. */
async function problemOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined);
  const hasTitle = typeof body === "object" && body !== null && "title" in body;
  if (!hasTitle) return `status ${response.status}`;
  return "detail" in body ? `${body.title}: ${body.detail}` : String(body.title);
}
