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
export function getJson(options: { host: string; httpPort: number }, path: string): Promise<unknown> {
  return requestJson(options, "GET", path);
}

/** The same with any method, without a body. */
export async function requestJson(
  options: { host: string; httpPort: number },
  method: "GET" | "POST" | "DELETE",
  path: string,
): Promise<unknown> {
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  let response: Response;
  try {
    const { token, tls } = serverAccess();
    response = await fetch(`${tls === undefined ? "http" : "https"}://${host}:${options.httpPort}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(tls === undefined ? {} : { tls }),
      signal: AbortSignal.timeout(HTTP_MS_MAX),
    });
  } catch (cause) {
    if (cause instanceof Error && cause.name === "TimeoutError") {
      throw new EscError("TIMEOUT", `Server did not answer ${method} ${path} within ${HTTP_MS_MAX / 1000} s`);
    }
    throw unreachable({ host: options.host, port: options.httpPort }, cause, "--host and --http-port");
  }
  if (!response.ok) {
    const code = response.status === 401
      ? "UNAUTHORIZED"
      : response.status === 403
      ? "FORBIDDEN"
      : "INTERNAL";
    const hint = code === "UNAUTHORIZED" ? { hint: "Give a token by --token or ESC_TOKEN" } : {};
    throw new EscError(code, `${method} ${path} failed: ${await problemOf(response)}`, hint);
  }
  return await response.json();
}

/** What a problem document (RFC 9457) says, or else the status. */
async function problemOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined);
  const hasTitle = typeof body === "object" && body !== null && "title" in body;
  if (!hasTitle) return `status ${response.status}`;
  return "detail" in body ? `${body.title}: ${body.detail}` : String(body.title);
}
