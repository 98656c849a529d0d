/** The client's transport over TCP by `node:net`, which Node, Deno and Bun have. The command line uses `tcp.ts`. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Address, unreachable } from "./tcp.ts";
import type { Dial, Transport, TransportEvents } from "./transport.ts";

/** Time a connection may take to open before the server counts as unreachable. */
const CONNECT_MS_MAX = 5_000;
/** What is handed to the socket at a time: it has to be copied, and a large copy is slow to make. */
const CHUNK_BYTES_MAX = 256 * 1024;

/**
 * Opens connections to a TCP listener.
 *
 * @returns A `Dial` that fails with `SERVER_UNREACHABLE` when the server refuses, is unknown, shows a certificate
 *   that is not trusted, or does not answer within 5 s.
 */
export function dialNet(address: Address): Dial {
  return (events) => new Promise((resolve, reject) => open(address, events, resolve, reject));
}

function open(
  address: Address,
  events: TransportEvents,
  resolve: (transport: Transport) => void,
  reject: (error: Error) => void,
): void {
  const { host, port, tls } = address;
  const socket = tls === undefined
    ? connect({ host, port })
    : connectTls({ host, port, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) });
  let failure: Error | undefined;
  let isOpen = false;
  const timer = setTimeout(() => socket.destroy(new Error("no answer")), CONNECT_MS_MAX);
  // Batches are flushed whole; waiting for more would only delay the last of them.
  socket.setNoDelay(true);
  socket.once(tls === undefined ? "connect" : "secureConnect", () => {
    clearTimeout(timer);
    isOpen = true;
    resolve(transportOf(socket));
  });
  socket.on("data", (chunk: Uint8Array) => events.received(chunk));
  socket.on("drain", () => events.drained());
  socket.on("error", (error: Error) => {
    failure = error;
  });
  socket.on("close", () => {
    clearTimeout(timer);
    if (isOpen) events.closed(failure);
    else reject(unreachable(address, failure ?? new Error("it closed the connection"), "host and port"));
  });
}

function transportOf(socket: Socket): Transport {
  return {
    write(bytes, at, end) {
      let from = at;
      // What the socket has not sent it keeps, so it gets no more until it says "drain".
      while (from < end && !socket.writableNeedDrain && socket.writable) {
        const to = Math.min(end, from + CHUNK_BYTES_MAX);
        socket.write(bytes.slice(from, to));
        from = to;
      }
      return from - at;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    abort: () => void socket.destroy(),
  };
}
