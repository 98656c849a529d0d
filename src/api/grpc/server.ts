/** The gRPC services. Main thread; loaded with the first connection. */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Socket } from "node:net";
import type { ApiContext } from "../context.ts";
import { definitionOf } from "./definition.ts";
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

/** Calls that wait for their verdict at the end have so long. */
const STOP_MS = 500;
/** Streams of one connection. */
const CONCURRENT_STREAMS_MAX = 1000;

export class GrpcServer {
  readonly #server: Server;

  /** Serves the connections that are handed to `take`, whoever listens for them. */
  static behind(context: ApiContext, door: Door): [GrpcServer, (socket: Socket) => void] {
    const server = createServer(context, door);
    // Encryption, if any, is in the sockets.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    return [new GrpcServer(server), (socket) => injector.injectConnection(socket)];
  }

  private constructor(server: Server) {
    this.#server = server;
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
