/** The client's transport over TCP, by Bun's sockets. */
import type { Socket } from "bun";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { EscError } from "../errors.ts";
import type { Dial, Transport, TransportEvents } from "./transport.ts";

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Speak TLS; absent: plain text. */
  readonly tls?: ClientTls;
}

/** PEM texts. */
export interface ClientTls {
  /** Certificates that the server's must come from; absent: those the system trusts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
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
    const abandoned = new AbortController();
    const opening = open(address, events, abandoned.signal);
    try {
      return await Promise.race([opening, timeout.promise]);
    } catch (cause) {
      // A connection that opens after all is nobody's.
      abandoned.abort();
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
  const trust = trustProblem(cause);
  return new EscError(
    "SERVER_UNREACHABLE",
    `Cannot connect to ${host}:${port}: ${trust?.reason ?? reasonOf(cause)}`,
    { cause, hint: trust?.hint ?? `Start a server with 'esc serve', or name another one with ${flags}` },
  );
}

/** What is wrong with the server's certificate, and what to do about it; `undefined` for any other error. */
function trustProblem(cause: unknown): { readonly reason: string; readonly hint: string } | undefined {
  if (!(cause instanceof Error) || !("code" in cause)) return undefined;
  switch (cause.code) {
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "CERT_SIGNATURE_FAILURE":
      return {
        reason: `no authority that is trusted here has signed its certificate (${cause.code})`,
        hint: "Name the authority's certificate with --ca",
      };
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return { reason: `${cause.message} (${cause.code})`, hint: "Renew the server's certificate" };
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return {
        reason: `its certificate is for another name: ${cause.message}`,
        hint: "Connect by a name that the certificate has, or issue one for this name",
      };
    default:
      return undefined;
  }
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

/** Certificates are verified in `handshake`: the runtime lets one pass and closes later. `{}` would be no TLS. */
function runtimeTls(host: string, tls: ClientTls) {
  return { rejectUnauthorized: false, ...tls, ...(isIP(host) === 0 ? { serverName: host } : {}) };
}

/** What is wrong with the name in the server's certificate. */
function wrongName(host: string, socket: Socket): Error | undefined {
  return checkServerIdentity(host, socket.getPeerCertificate());
}

async function open(
  { host, port, tls }: Address,
  events: TransportEvents,
  abandoned: AbortSignal,
): Promise<Transport> {
  let failure: Error | undefined;
  let isOpen = false;
  const greeted = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: host,
    port,
    ...(tls === undefined ? {} : { tls: runtimeTls(host, tls) }),
    socket: {
      binaryType: "uint8array",
      open(opened) {
        isOpen = tls === undefined;
        // Batches are flushed whole; waiting for more would only delay the last of them.
        opened.setNoDelay(true);
      },
      handshake(opened, isDone, error) {
        const problem = isDone
          ? error ?? wrongName(host, opened)
          : error ?? new Error("the TLS handshake failed");
        if (problem === null || problem === undefined) {
          isOpen = true;
          greeted.resolve();
        } else {
          greeted.reject(problem);
          opened.terminate();
        }
      },
      data: (_socket, chunk) => events.received(chunk),
      drain: () => events.drained(),
      error: (_socket, error) => {
        failure = error;
      },
      close: (_socket, error) => {
        if (isOpen) events.closed(failure ?? error);
        else greeted.reject(failure ?? error ?? new Error("it closed during the TLS handshake"));
      },
      // Rejects the promise as well.
      connectError: () => {},
    },
  });
  if (tls !== undefined) {
    // A server that never answers the handshake would keep the socket, and with it the process.
    abandoned.addEventListener("abort", () => socket.terminate());
    await greeted.promise;
  }
  return {
    write: (bytes, at, end) => Math.max(0, socket.write(bytes, at, end - at)),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
    abort: () => socket.terminate(),
  };
}
