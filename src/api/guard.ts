/**
 * What keeps web pages away from a server on the user's own machine: they may send requests to
 * 127.0.0.1, but not under its name (DNS rebinding) and not as another origin (cross-site requests).
 */
import { problem } from "./problem.ts";

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])\.?(:\d{1,5})?$/i;
/** Methods that change nothing: without CORS headers a page cannot read their answers. */
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];

/** Whether an address to listen on is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Checks where a request says it goes and comes from.
 *
 * @param isLocal Whether the server listens on loopback only.
 * @returns The refusal, `undefined` when the request may go on.
 */
export function refuseForeign(request: Request, isLocal: boolean): Response | undefined {
  const host = request.headers.get("host") ?? "";
  if (isLocal && !LOOPBACK_HOST.test(host)) {
    return problem(421, `Host "${host.slice(0, 100)}" is not this server: use localhost`);
  }
  const isUpgrade = request.headers.get("upgrade") !== null;
  if (SAFE_METHODS.includes(request.method) && !isUpgrade) return undefined;
  const origin = request.headers.get("origin");
  if (origin !== null && hostOf(origin) !== host.toLowerCase()) {
    return problem(403, `Origin "${origin.slice(0, 100)}" is another site`, { code: "FORBIDDEN" });
  }
  return undefined;
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
