/** Changing the faults while the proxy runs: lines on stdin, or a page on loopback. */
import { EscError } from "../../src/errors.ts";
import type { Weather } from "./proxy.ts";
import type { ChaosProxy } from "./proxy.ts";

const BODY_BYTES_MAX = 4096;
const LINE_LENGTH_MAX = 1000;

/**
 * Obeys one line: `latency 50ms`, `stall on`, `reset`, `show`, `quit`.
 *
 * @returns What to answer; `undefined`: it is to end. @throws {EscError} `USAGE`.
 */
export function obey(line: string, weather: Weather, proxy: ChaosProxy): object | undefined {
  const [name = "", ...rest] = line.trim().split(/\s+/);
  if (name === "quit") return undefined;
  if (name === "reset") proxy.reset();
  else if (name !== "show" && name !== "") {
    weather.change([[name, rest.join(" ")]]);
    proxy.poke();
  }
  return standing(weather);
}

/** Faults and counts. */
export function standing({ faults, counts }: Weather): object {
  return { faults, counts };
}

/** `GET /` shows, `POST /` with `{"latency": "50ms", "stall": "on"}` changes, `POST /reset` cuts all connections. */
export function serveControl(port: number, weather: Weather, proxy: ChaosProxy): Bun.Server<undefined> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port,
    maxRequestBodySize: BODY_BYTES_MAX,
    fetch: async (request) => {
      // A page of somebody else's, open in a browser here, must not reach it.
      if (request.headers.has("origin")) return new Response("Not from a browser\n", { status: 403 });
      const { pathname } = new URL(request.url);
      try {
        if (request.method === "POST" && pathname === "/reset") proxy.reset();
        else if (request.method === "POST") {
          weather.change(Object.entries(changesOf(await request.text())));
          proxy.poke();
        }
        return Response.json(standing(weather));
      } catch (error) {
        if (!(error instanceof EscError)) throw error;
        return new Response(`${error.message}\n`, { status: 400 });
      }
    },
  });
}

function changesOf(text: string): Record<string, string> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null) {
      return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, String(value)]));
    }
  } catch {
    // Told below.
  }
  throw new EscError("USAGE", `The body is no object such as {"latency": "50ms"}`);
}

/** Lines of stdin, one after the other; a line that does not end is given up. */
export async function* stdinLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = (lines.pop() ?? "").slice(0, LINE_LENGTH_MAX);
    yield* lines;
  }
}
