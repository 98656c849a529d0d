/**
 * The client's transport over WebSocket: the bytes of `docs/protocol.md` in binary messages. For browsers, and
 * wherever only HTTP gets through. Uses nothing but what browsers, Node 22, Deno and Bun share.
 *
 * A WebSocket can neither say that it has room again nor stop reading: room is looked for every few
 * milliseconds, and what arrives while reading is paused is kept, up to a limit.
 */
import { EscError } from "../errors.ts";
import type { Dial, Transport, TransportEvents } from "./transport.ts";

export interface WebSocketAddress {
  /** `http`, `https`, `ws` or `wss`, host and port: `http://127.0.0.1:8080`. A path before esc's own is kept. */
  readonly url: string;
  /** Sent with the request, as the server wants to know who opens the socket; HELLO comes too late for it. */
  readonly token?: string | undefined;
  /** For runtimes without one: Node 20 with the package `ws`. */
  readonly WebSocket?: typeof globalThis.WebSocket;
}

const PATH = "/api/v1/subscribe";
/** Time a connection may take to open before the server counts as unreachable. */
const CONNECT_MS_MAX = 5_000;
/** The server takes messages of at least a frame; these are quick to hand over. */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** So much may wait in the runtime; more only delays control frames. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
const ROOM_LOOK_MS = 5;
/** What may arrive while reading is paused. A subscription with `maxInFlight` stays far below it. */
export const PAUSED_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Opens connections to a server's HTTP listener.
 *
 * @returns A `Dial` that fails with `UNAUTHORIZED` or `TOO_MANY_CONNECTIONS` when the server says
 *   so, and with `SERVER_UNREACHABLE` when there is no answer within 5 s.
 */
export function dialWebSocket(address: WebSocketAddress): Dial {
  const http = new URL(address.url.replace(/^ws/, "http"));
  http.pathname = http.pathname.replace(/\/$/, "") + PATH;
  const url = new URL(http.href.replace(/^http/, "ws"));
  if (address.token !== undefined) url.searchParams.set("access_token", address.token);
  return async (events) => {
    const make = address.WebSocket ?? globalThis.WebSocket;
    if (make === undefined) {
      throw new EscError("USAGE", "Cannot connect: this runtime has no WebSocket", {
        hint: "Use dialTcp, a newer runtime, or pass a WebSocket class in the address",
      });
    }
    const opened = await open(new make(url.href), events);
    if (opened !== undefined) return opened;
    throw await refusal(http, address.token);
  };
}

/** @returns `undefined` when the socket did not open; a browser does not say why. */
function open(socket: WebSocket, events: TransportEvents): Promise<Transport | undefined> {
  socket.binaryType = "arraybuffer";
  const transport = new SocketTransport(socket, events);
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.close(), CONNECT_MS_MAX);
    socket.onopen = () => {
      clearTimeout(timer);
      socket.onclose = ({ code, reason }) => transport.closed(code, reason);
      resolve(transport);
    };
    socket.onclose = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
    socket.onmessage = ({ data }) => transport.received(data);
    // Its close event follows; without a handler some runtimes would end the program.
    socket.onerror = () => {};
  });
}

/** Asks by plain HTTP why the socket did not open. */
async function refusal(url: URL, token: string | undefined): Promise<EscError> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), CONNECT_MS_MAX);
  const where = `Cannot open a WebSocket to ${url.origin}${url.pathname}`;
  try {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { status } = await fetch(url, { headers, signal: abort.signal });
    const hint = "Give a token that may publish or subscribe";
    if (status === 401) {
      return new EscError("UNAUTHORIZED", `${where}: the token is missing or wrong`, { hint });
    }
    if (status === 429 || status === 503) {
      return new EscError("TOO_MANY_CONNECTIONS", `${where}: the server has no room now (HTTP ${status})`);
    }
    return new EscError("SERVER_UNREACHABLE", `${where}: it was refused`, {
      hint: "Check that proxies let WebSockets through, and that a page comes from the server's own origin",
    });
  } catch (cause) {
    return new EscError("SERVER_UNREACHABLE", `${where}: nobody answers`, {
      cause,
      hint: "Start a server with 'esc serve', or give the address of its HTTP listener",
    });
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** An open socket. */
class SocketTransport implements Transport {
  readonly #socket: WebSocket;
  readonly #events: TransportEvents;
  /** Messages that came while reading was paused; `undefined`: it is not. */
  #kept: Uint8Array[] | undefined;
  #keptBytes = 0;
  #roomTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(socket: WebSocket, events: TransportEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  write(bytes: Uint8Array, at: number, end: number): number {
    const socket = this.#socket;
    if (this.#isClosed || socket.readyState !== socket.OPEN) return 0;
    let from = at;
    while (from < end && socket.bufferedAmount < BUFFERED_BYTES_MAX) {
      const to = Math.min(end, from + MESSAGE_BYTES_MAX);
      // A copy: not every runtime has read the bytes when send() returns.
      socket.send(bytes.slice(from, to));
      from = to;
    }
    if (from < end) this.#roomTimer ??= setTimeout(() => this.#lookForRoom(), ROOM_LOOK_MS);
    return from - at;
  }

  pause(): void {
    this.#kept ??= [];
  }

  resume(): void {
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    this.#keptBytes = 0;
    kept.forEach((message) => this.#receive(message));
  }

  end(): void {
    this.#socket.close(1000);
  }

  abort(): void {
    // The closing handshake may take as long as the peer likes.
    this.#socket.close();
    queueMicrotask(() => this.closed(1000, ""));
  }

  received(data: unknown): void {
    if (data instanceof ArrayBuffer) this.#receive(new Uint8Array(data));
  }

  closed(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#roomTimer);
    this.#events.closed(code === 1000 ? undefined : new Error(`WebSocket closed: ${code} ${reason}`.trim()));
  }

  #receive(message: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#kept === undefined) return this.#events.received(message);
    this.#keptBytes += message.length;
    this.#kept.push(message);
    // A new connection goes on at what was handled.
    if (this.#keptBytes > PAUSED_BYTES_MAX) this.abort();
  }

  #lookForRoom(): void {
    this.#roomTimer = undefined;
    if (this.#isClosed) return;
    if (this.#socket.bufferedAmount < BUFFERED_BYTES_MAX / 2) this.#events.drained();
    else this.#roomTimer = setTimeout(() => this.#lookForRoom(), ROOM_LOOK_MS);
  }
}
