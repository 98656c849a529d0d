/**
 * The gRPC listener of a server that nobody has called yet: a bare socket.
 *
 * The gRPC library costs 10 MB and 100 ms, which most servers would pay for nothing. It is loaded with the
 * first connection, and that connection waits for it. Main thread.
 */
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { EscError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import type { Door } from "./door.ts";
import type { GrpcServer } from "./server.ts";

export interface LazyGrpcOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly door: Door;
}

interface Loaded {
  readonly server: GrpcServer;
  readonly take: (socket: Socket) => void;
}

export class LazyGrpc {
  /** Where it listens: `host:port`. */
  readonly address: string;
  readonly #listener: Server;
  readonly #context: ApiContext;
  readonly #door: Door;
  #loading: Promise<Loaded> | undefined;

  /** Begins to listen. @returns Rejects with an `EscError`: `ADDRESS_IN_USE`, or `USAGE`. */
  static start(context: ApiContext, options: LazyGrpcOptions): Promise<LazyGrpc> {
    const { host, port } = options;
    const { promise, resolve, reject } = Promise.withResolvers<LazyGrpc>();
    // Nothing is read before there is somebody to read it.
    const listener = createServer({ pauseOnConnect: true, noDelay: true });
    listener.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new EscError(
          error.code === "EADDRINUSE" ? "ADDRESS_IN_USE" : "USAGE",
          `Cannot listen for gRPC on ${host}:${port}`,
          { cause: error, hint: "Choose another grpc.port, or stop the program that uses it" },
        ),
      ));
    listener.listen(port, host, () => resolve(new LazyGrpc(listener, context, options)));
    return promise;
  }

  private constructor(listener: Server, context: ApiContext, { host, door }: LazyGrpcOptions) {
    this.#listener = listener;
    this.#context = context;
    this.#door = door;
    const { port } = listener.address() as AddressInfo;
    this.address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    listener.on("connection", (socket: Socket) => this.#welcome(socket));
  }

  /** Takes no more calls, gives those in hand a moment, then ends all. */
  async stop(): Promise<void> {
    this.#listener.close();
    await (await this.#loading)?.server.stop();
  }

  #welcome(socket: Socket): void {
    // A client that leaves before the library is there is nobody's problem.
    socket.on("error", () => socket.destroy());
    this.#loading ??= this.#load();
    this.#loading.then(({ take }) => {
      if (socket.destroyed) return;
      take(socket);
      socket.resume();
    }, () => socket.destroy());
  }

  async #load(): Promise<Loaded> {
    const { GrpcServer } = await import("./server.ts");
    const [server, take] = GrpcServer.behind(this.#context, this.#door, this.address);
    return { server, take };
  }
}
