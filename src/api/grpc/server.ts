/** The gRPC listener. Main thread; loaded only when it is enabled. */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Socket } from "node:net";
import { EscError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import { definitionOf } from "./definition.ts";
import type { TlsListenerOptions } from "../../ingest/tcp.ts";
import type { Door } from "./door.ts";
import { EventService, file_eventstream } from "./eventstream_pb.ts";
import { file_health, Health } from "./health_pb.ts";
import { healthCalls, healthCheck } from "./health.ts";
import { OpenCalls } from "./open-calls.ts";
import { publishCalls } from "./publish-calls.ts";
import { reflectionCall } from "./reflection.ts";
import { file_reflection_v1, ServerReflection } from "./reflection_v1_pb.ts";
import {
  file_reflection_v1alpha,
  ServerReflection as ServerReflectionAlpha,
} from "./reflection_v1alpha_pb.ts";
import { streamCall } from "./stream-call.ts";
import { subscribeCall } from "./subscribe-call.ts";
import { TlsCredentials } from "./tls.ts";

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly door: Door;
  readonly tls: TlsListenerOptions;
}

/** Calls that wait for their verdict at the end have so long. */
const STOP_MS = 500;
/** Streams of one connection. */
const CONCURRENT_STREAMS_MAX = 1000;

export class GrpcServer {
  /** Where it listens: `host:port`. */
  readonly address: string;
  readonly #server: Server;
  readonly #credentials: TlsCredentials | undefined;

  /**
   * Begins to listen, with TLS.
   *
   * @returns Rejects with an `EscError`: `ADDRESS_IN_USE`, or `USAGE` for an address nobody can listen on.
   */
  static async start(context: ApiContext, options: GrpcServerOptions): Promise<GrpcServer> {
    const server = createServer(context, options.door);
    const host = options.host.includes(":") ? `[${options.host.replaceAll(/[[\]]/g, "")}]` : options.host;
    const credentials = new TlsCredentials(options.tls);
    const port = await bind(server, `${host}:${options.port}`, credentials);
    return new GrpcServer(server, `${host}:${port}`, credentials);
  }

  /** The same without TLS and without a listener of its own: it serves the connections that are handed to `take`. */
  static behind(context: ApiContext, door: Door, address: string): [GrpcServer, (socket: Socket) => void] {
    const server = createServer(context, door);
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    return [new GrpcServer(server, address, undefined), (socket) => injector.injectConnection(socket)];
  }

  private constructor(server: Server, address: string, credentials: TlsCredentials | undefined) {
    this.#server = server;
    this.address = address;
    this.#credentials = credentials;
  }

  /** Takes new connections with another certificate; those that are open go on with theirs. */
  replaceTls(tls: TlsListenerOptions): void {
    this.#credentials?.replace(tls);
  }

  /** Takes no more calls, gives those in hand a moment, then ends all. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, STOP_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function createServer(context: ApiContext, door: Door): Server {
  const server = new Server({
    "grpc.max_receive_message_length": context.maxBodyBytes,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": CONCURRENT_STREAMS_MAX,
  });
  addServices(server, context, door);
  return server;
}

function addServices(server: Server, context: ApiContext, door: Door): void {
  const calls = new OpenCalls(context.engine.version);
  const reflection = {
    ServerReflectionInfo: reflectionCall([
      file_eventstream,
      file_health,
      file_reflection_v1,
      file_reflection_v1alpha,
    ]),
  };
  server.addService(definitionOf(EventService), {
    ...publishCalls(context, door),
    Subscribe: subscribeCall(context, door, calls),
    Stream: streamCall(context, door, calls),
    HealthCheck: healthCheck(context.engine),
  });
  server.addService(definitionOf(Health), { ...healthCalls(context.engine, calls) });
  server.addService(definitionOf(ServerReflection), reflection);
  server.addService(definitionOf(ServerReflectionAlpha), reflection);
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) return resolve(port);
      const isTaken = error.message.includes("EADDRINUSE");
      reject(
        new EscError(isTaken ? "ADDRESS_IN_USE" : "USAGE", `Cannot listen for gRPC on ${address}`, {
          cause: error,
          hint: "Choose another grpc.port, or stop the program that uses it",
        }),
      );
    });
  });
}
