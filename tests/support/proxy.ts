/** A TCP proxy on loopback whose link a test can cut, stall and mend. */
import type { Socket, TCPSocketListener } from "bun";

interface Side {
  other: Socket<Side> | undefined;
  /** Bytes that came before the other side was there, or that it could not take. */
  readonly rest: Uint8Array[];
}

export class Proxy {
  readonly port: number;
  readonly #listener: TCPSocketListener<Side>;
  readonly #sockets = new Set<Socket<Side>>();
  #isStalled = false;
  #isRefusing = false;

  private constructor(listener: TCPSocketListener<Side>) {
    this.#listener = listener;
    this.port = listener.port;
  }

  /** Listens on a free port and passes everything on to `target`. */
  static start(target: { readonly hostname: string; readonly port: number }): Proxy {
    const handlers = {
      close: (socket: Socket<Side>) => {
        proxy.#sockets.delete(socket);
        socket.data.other?.end();
      },
      error: (socket: Socket<Side>) => void socket.end(),
      drain: (socket: Socket<Side>) => flush(socket),
      data: (socket: Socket<Side>, bytes: Uint8Array) => {
        // A stalled link loses everything and says nothing: what a cable pulled out looks like.
        if (proxy.#isStalled) return;
        const { other } = socket.data;
        if (other === undefined) socket.data.rest.push(bytes.slice());
        else {
          other.data.rest.push(bytes.slice());
          flush(other);
        }
      },
    };
    const listener: TCPSocketListener<Side> = Bun.listen<Side>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        ...handlers,
        open: (client) => {
          client.data = { other: undefined, rest: [] };
          proxy.#sockets.add(client);
          if (proxy.#isRefusing) {
            client.terminate();
            return;
          }
          Bun.connect<Side>({
            ...target,
            data: { other: client, rest: [] },
            socket: {
              ...handlers,
              open: (server) => {
                proxy.#sockets.add(server);
                server.data.rest.push(...client.data.rest.splice(0));
                client.data.other = server;
                flush(server);
              },
            },
          }).catch(() => client.terminate());
        },
      },
    });
    const proxy = new Proxy(listener);
    return proxy;
  }

  /** From now on nothing goes through, and nobody is told: neither closed nor reset. */
  stall(): void {
    this.#isStalled = true;
  }

  /** Closes every connection, and those to come at once. */
  cut(): void {
    this.#isRefusing = true;
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Connections made from now on work. Those that were stalled have lost bytes and never will. */
  mend(): void {
    if (this.#isStalled) { for (const socket of this.#sockets) socket.terminate(); }
    this.#isStalled = false;
    this.#isRefusing = false;
  }

  /** Resets the connections there are; new ones work. */
  reset(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  stop(): void {
    this.#listener.stop(true);
    for (const socket of this.#sockets) socket.terminate();
  }
}

function flush(socket: Socket<Side>): void {
  const { rest } = socket.data;
  while (rest.length > 0) {
    const bytes = rest[0] as Uint8Array;
    const written = socket.write(bytes);
    if (written < bytes.length) {
      if (written > 0) rest[0] = bytes.subarray(written);
      return;
    }
    rest.shift();
  }
}
