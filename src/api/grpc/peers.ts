/**
 * The sockets below the calls: whose certificate it is, and what makes held-up answers go out.
 *
 * The runtime's HTTP/2 (Bun 1.4) puts what a stream writes into a queue as soon as another stream of the
 * connection is stalled, and looks into that queue only when something comes in or the socket reports room.
 * A client that reads one subscription and not another would wait forever. So whoever has written says so
 * here, and the socket is made to report room. Main thread.
 */
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type Subject, subjectOf } from "../../auth/certificate.ts";

/** Any call: of one request, or a stream. */
export type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer">;
/** A call that is written to. */
export type WrittenCall = AnyCall & { readonly writableLength: number };

export class Peers {
  /** By `address:port` of the client, as the library names a call's peer. */
  readonly #sockets = new Map<string, Socket>();
  readonly #pushed = new WeakSet<WrittenCall>();

  /** Knows the socket until it closes. */
  add(socket: Socket): void {
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#sockets.set(name, socket);
    socket.once("close", () => this.#sockets.delete(name));
  }

  /** Subject of the client certificate that the call's connection has shown, if it is verified. */
  subjectOf(call: AnyCall): Subject | undefined {
    const socket = this.#sockets.get(call.getPeer());
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    return subjectOf(socket.getPeerCertificate().subject);
  }

  /** Sees to it that what was written goes out as far as the client takes it. */
  push(call: WrittenCall): void {
    if (this.#pushed.has(call)) return;
    this.#pushed.add(call);
    setImmediate(() => this.#push(call, Infinity));
  }

  /** The same for a call that is answered once: its answer is written by the library, a moment later. */
  pushAnswer(call: AnyCall): void {
    setImmediate(() => this.#sockets.get(call.getPeer())?.emit("drain"));
  }

  /** @param before What was left the time before: a client that takes nothing is not asked again. */
  #push(call: WrittenCall, before: number): void {
    const left = call.writableLength;
    this.#sockets.get(call.getPeer())?.emit("drain");
    if (left > 0 && left < before) setImmediate(() => this.#push(call, left));
    else this.#pushed.delete(call);
  }
}
