/**
 * The gRPC listener: a bare socket, with or without TLS, until somebody calls.
 *
 * The gRPC library costs 10 MB and 100 ms, which most servers would pay for nothing. It is loaded with the
 * first connection, and that connection waits for it. Main thread.
 */
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { EscError } from "../../errors.ts";
import type { TlsListenerOptions } from "../../ingest/tcp.ts";
import type { ApiContext } from "../context.ts";
import type { Visitors } from "./door.ts";
import { Peers } from "./peers.ts";
import type { GrpcServer } from "./server.ts";

export interface LazyGrpcOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Who is let in. */
  readonly visitors: Visitors;
  readonly tls?: TlsListenerOptions | undefined;
}

interface Loaded {
  readonly server: GrpcServer;
  readonly take: (socket: Socket) => void;
}

/** Time for a TLS handshake. */
const HANDSHAKE_MS = 10_000;

export class LazyGrpc {
  /** Where it listens: `host:port`. */
  readonly address: string;
  readonly #listener: Server;
  readonly #secure: TlsServer | undefined;
  readonly #context: ApiContext;
  readonly #visitors: Visitors;
  readonly #peers = new Peers();
  #loading: Promise<Loaded> | undefined;

  /** Begins to listen. @returns Rejects with an `EscError`: `ADDRESS_IN_USE`, or `USAGE`. */
  static start(context: ApiContext, options: LazyGrpcOptions): Promise<LazyGrpc> {
    const { host, port, tls } = options;
    const { promise, resolve, reject } = Promise.withResolvers<LazyGrpc>();
    const secure = tls === undefined ? undefined : listenerWith(tls);
    // Nothing is read before there is somebody to read it.
    const listener = secure ?? createServer({ pauseOnConnect: true, noDelay: true });
    listener.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new EscError(
          error.code === "EADDRINUSE" ? "ADDRESS_IN_USE" : "USAGE",
          `Cannot listen for gRPC on ${host}:${port}`,
          { cause: error, hint: "Choose another grpc.port, or stop the program that uses it" },
        ),
      ));
    listener.listen(port, host, () => resolve(new LazyGrpc(listener, secure, context, options)));
    return promise;
  }

  private constructor(
    listener: Server,
    secure: TlsServer | undefined,
    context: ApiContext,
    { host, visitors }: LazyGrpcOptions,
  ) {
    this.#listener = listener;
    this.#secure = secure;
    this.#context = context;
    this.#visitors = visitors;
    const { port } = listener.address() as AddressInfo;
    this.address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    listener.on(secure === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      socket.pause();
      this.#welcome(socket);
    });
    // A client that cannot agree on TLS is its own problem.
    secure?.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  /** New connections get another certificate; those that are open go on with theirs. */
  replaceTls(tls: TlsListenerOptions): void {
    this.#secure?.setSecureContext(contextOf(tls));
  }

  /** Takes no more calls, gives those in hand a moment, then ends all. */
  async stop(): Promise<void> {
    this.#listener.close();
    await (await this.#loading)?.server.stop();
  }

  #welcome(socket: Socket): void {
    // A client that leaves before the library is there is nobody's problem.
    socket.on("error", () => socket.destroy());
    this.#peers.add(socket);
    this.#loading ??= this.#load();
    this.#loading.then(({ take }) => {
      if (socket.destroyed) return;
      take(socket);
      socket.resume();
    }, () => socket.destroy());
  }

  async #load(): Promise<Loaded> {
    const { GrpcServer } = await import("./server.ts");
    const door = { visitors: this.#visitors, peers: this.#peers };
    const [server, take] = GrpcServer.behind(this.#context, door);
    return { server, take };
  }
}

/** Client certificates are asked for as `tls` says; one that is optional and not verified counts for nothing. */
function listenerWith(tls: TlsListenerOptions): TlsServer {
  const { clientAuth } = tls;
  return createTlsServer({
    ...contextOf(tls),
    requestCert: clientAuth !== "none",
    rejectUnauthorized: clientAuth === "require",
    ALPNProtocols: ["h2"],
    handshakeTimeout: HANDSHAKE_MS,
    noDelay: true,
  });
}

function contextOf({ cert, key, ca }: TlsListenerOptions) {
  return { cert, key, minVersion: "TLSv1.2" as const, ...(ca === null ? {} : { ca }) };
}
