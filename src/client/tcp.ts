/** The client's transport over TCP, by Bun's sockets. */
import { EscError } from "../errors.ts";
import type { Dial, Transport, TransportEvents } from "./transport.ts";

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Time a connection may take to open before the server counts as unreachable. */
const CONNECT_MS_MAX = 5_000;

/**
 * Opens connections to a TCP listener.
 *
 * @returns A `Dial` that fails with `SERVER_UNREACHABLE` when the server refuses, is unknown, or does not answer
 *   within 5 s.
 */
export function dialTcp(address: Address): Dial {
  return async (events) => {
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(() => timeout.reject(new Error("no answer")), CONNECT_MS_MAX);
    const opening = open(address, events);
    try {
      return await Promise.race([opening, timeout.promise]);
    } catch (cause) {
      // A connection that opens after all is nobody's.
      opening.then((late) => late.abort(), () => {});
      throw unreachable(address, cause);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The error of a server that cannot be reached at `address`. @param flags The options that name another one. */
export function unreachable(address: Address, cause: unknown, flags = "--host and --port"): EscError {
  const { host, port } = address;
  return new EscError("SERVER_UNREACHABLE", `Cannot connect to ${host}:${port}: ${reasonOf(cause)}`, {
    cause,
    hint: `Start a server with 'esc serve', or name another one with ${flags}`,
  });
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  switch (code) {
    case "ECONNREFUSED":
      return "nobody listens there";
    case "ENOTFOUND":
      return "the host name is unknown";
    case "":
      return cause instanceof Error ? cause.message : String(cause);
    default:
      return code;
  }
}

async function open({ host, port }: Address, events: TransportEvents): Promise<Transport> {
  let failure: Error | undefined;
  let isOpen = false;
  const socket = await Bun.connect({
    hostname: host,
    port,
    socket: {
      binaryType: "uint8array",
      open(opened) {
        isOpen = true;
        // Batches are flushed whole; waiting for more would only delay the last of them.
        opened.setNoDelay(true);
      },
      data: (_socket, chunk) => events.received(chunk),
      drain: () => events.drained(),
      error: (_socket, error) => {
        failure = error;
      },
      close: (_socket, error) => {
        if (isOpen) events.closed(failure ?? error);
      },
      // Rejects the promise as well.
      connectError: () => {},
    },
  });
  return {
    write: (bytes, at, end) => Math.max(0, socket.write(bytes, at, end - at)),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
    abort: () => socket.terminate(),
  };
}
