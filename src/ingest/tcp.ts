/**
 * The TCP listener: accepts connections up to a limit and hands their bytes to sessions.
 *
 * All of it runs on one ingest worker. Several workers may share a port (`reusePort`): then the kernel
 * spreads the connections, and each worker has its share of `maxConnections`.
 */
import type { Socket, TCPSocketListener, TLSOptions } from "bun";
import { eventsTargetBytesMin } from "../deliver/events-frame.ts";
import type { Subscriptions } from "../deliver/subscriptions.ts";
import { errorFrame } from "../event/control-frame.ts";
import { FrameScanner } from "../event/scan.ts";
import { EscError } from "../errors.ts";
import { count } from "../metrics/counters.ts";
import { SOURCE_CONNECTIONS_REFUSED } from "../metrics/layout.ts";
import { Session } from "./session.ts";
import type { SessionContext } from "./session-context.ts";
import type { Source } from "./source.ts";

export interface TcpListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly maxConnections: number;
  readonly maxFrameBytes: number;
  /** Connections that sent nothing for this long are closed; `null`: never. Subscribers may be silent. */
  readonly idleTimeoutMs: number | null;
  /** Whether other threads listen on the same port. */
  readonly reusePort: boolean;
  readonly tls?: TLSOptions;
}

export interface TcpListenerParts {
  readonly source: Source;
  readonly serverVersion: string;
  readonly nowUs: () => number;
  readonly openSubscriptions: ((session: Session) => Subscriptions) | undefined;
  /** Makes the thread's loop take a turn soon. */
  readonly wake: () => void;
  /** A defect met while handling a connection; that connection is dropped. */
  readonly onDefect: (error: unknown) => void;
}

/** Refused clients that are still being told so; beyond that they are dropped without a word. */
const REFUSALS_MAX = 64;
const REFUSAL_US_MAX = 1_000_000;

/** What hangs on a socket: its session, or `undefined` when it was refused. */
interface Held {
  session: Session | undefined;
}

export class TcpListener {
  readonly sessions = new Set<Session>();
  readonly #options: TcpListenerOptions;
  readonly #parts: TcpListenerParts;
  readonly #context: SessionContext;
  readonly #listener: TCPSocketListener<Held>;
  /** Refused sockets and until when they may linger. */
  readonly #refused = new Map<Socket<Held>, number>();
  #accepting = true;

  /** @throws {EscError} ADDRESS_IN_USE, or USAGE for an address that cannot be listened on. */
  constructor(options: TcpListenerOptions, parts: TcpListenerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#context = {
      source: parts.source,
      scanner: new FrameScanner(options.maxFrameBytes),
      maxFrameBytes: options.maxFrameBytes,
      serverVersion: parts.serverVersion,
      nowUs: parts.nowUs,
      wake: parts.wake,
      openSubscriptions: parts.openSubscriptions,
      pumpTarget: new Uint8Array(eventsTargetBytesMin(options.maxFrameBytes)),
      stalled: new Set(),
      ending: new Set(),
      onGone: (session) => this.sessions.delete(session),
    };
    this.#listener = this.#listen();
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Whether sessions wait for something that rings no bell: room in the ring, or a deadline. */
  get isWaiting(): boolean {
    return this.#context.stalled.size > 0 || this.#context.ending.size > 0 || this.#refused.size > 0;
  }

  /** One turn of the thread's loop: what waited goes on. @returns Whether subscribers can take more at once. */
  turn(): boolean {
    for (const session of this.#context.stalled) this.#guard(session, () => session.retry());
    for (const session of this.#context.ending) this.#guard(session, () => session.advanceEnd());
    let more = false;
    for (const session of this.sessions) {
      if (session.subscriptions === undefined) continue;
      this.#guard(session, () => {
        more = session.pump() || more;
      });
    }
    this.#dropRefused();
    return more;
  }

  /** Closes what has been silent for too long. Call about once a second. */
  sweepIdle(): void {
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs === null) return;
    const limitUs = this.#parts.nowUs() - idleTimeoutMs * 1000;
    for (const session of this.sessions) {
      if (!session.isOpen || session.receivedUs > limitUs || isSubscribed(session)) {
        continue;
      }
      if (session.speaks) {
        session.sendError({ code: "TIMEOUT", message: `Nothing received for ${idleTimeoutMs} ms` });
      }
      session.end();
    }
  }

  /** Takes no more connections; those that are open go on. */
  stopAccepting(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    this.#listener.stop(false);
  }

  /** Ends every session: last answers go out first. `sessions` is empty when all are gone. */
  end(): void {
    for (const session of this.sessions) {
      if (!session.isOpen) continue;
      if (session.speaks) {
        session.sendError({ code: "SHUTTING_DOWN", message: "The server is shutting down" });
      }
      session.end();
    }
  }

  /** Whether some session still has answers to give. */
  get isAnswering(): boolean {
    for (const session of this.sessions) {
      if (!session.isAnswered) return true;
    }
    return false;
  }

  /** Drops every connection at once. */
  abort(): void {
    this.stopAccepting();
    for (const session of this.sessions) session.abort();
    for (const socket of this.#refused.keys()) socket.terminate();
  }

  #listen(): TCPSocketListener<Held> {
    const { host, port, reusePort, tls } = this.#options;
    const withSession = (socket: Socket<Held>, act: (session: Session) => void) => {
      const { session } = socket.data;
      if (session !== undefined) this.#guard(session, () => act(session));
    };
    // Not written in the call: the runtime's types do not know `reusePort` for listeners.
    const options = {
      hostname: host,
      port,
      reusePort,
      // A client may close its direction and still wait for its acknowledgements.
      allowHalfOpen: true,
      ...(tls === undefined ? {} : { tls }),
      socket: {
        open: (socket: Socket<Held>) => this.#accept(socket),
        data: (socket: Socket<Held>, chunk: Uint8Array) =>
          withSession(socket, (session) => session.receive(chunk)),
        drain: (socket: Socket<Held>) => withSession(socket, (session) => session.drained()),
        end: (socket: Socket<Held>) => {
          if (socket.data.session === undefined) socket.end();
          else withSession(socket, (session) => session.receiveEnd());
        },
        close: (socket: Socket<Held>) => {
          this.#refused.delete(socket);
          withSession(socket, (session) => session.socketClosed());
        },
        error: (socket: Socket<Held>) => void socket.terminate(),
      },
    };
    try {
      return Bun.listen<Held>(options);
    } catch (error) {
      throw listenError(error, "TCP", host, port);
    }
  }

  #accept(socket: Socket<Held>): void {
    socket.data = { session: undefined };
    const { source } = this.#parts;
    if (!this.#accepting || this.sessions.size >= this.#options.maxConnections || source.freeSlots === 0) {
      this.#refuse(socket);
      return;
    }
    socket.setNoDelay(true);
    const session = new Session(this.#context, socket, (sink) => source.openConnection("tcp", "none", sink));
    socket.data.session = session;
    this.sessions.add(session);
  }

  #refuse(socket: Socket<Held>): void {
    count(this.#parts.source.counters, SOURCE_CONNECTIONS_REFUSED, 1);
    if (this.#refused.size >= REFUSALS_MAX) {
      socket.terminate();
      return;
    }
    const message = `The limit of ${this.#options.maxConnections} connections is reached`;
    const frame = this.#accepting
      ? errorFrame({ code: "TOO_MANY_CONNECTIONS", message })
      : errorFrame({ code: "SHUTTING_DOWN", message: "The server is shutting down" });
    this.#refused.set(socket, this.#parts.nowUs() + REFUSAL_US_MAX);
    socket.write(frame); // The first bytes of a fresh socket always find room.
    socket.shutdown();
  }

  #dropRefused(): void {
    if (this.#refused.size === 0) return;
    const nowUs = this.#parts.nowUs();
    for (const [socket, untilUs] of this.#refused) {
      if (untilUs <= nowUs) socket.terminate();
    }
  }

  /** A defect costs the connection it happened on, never the thread. */
  #guard(session: Session, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#parts.onDefect(error);
      session.abort();
    }
  }
}

function isSubscribed(session: Session): boolean {
  return session.subscriptions !== undefined && session.subscriptions.count > 0;
}

/** What went wrong when a listener could not be bound, in words for the one who configured it. */
export function listenError(error: unknown, protocol: string, host: string, port: number): EscError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    return new EscError(
      "ADDRESS_IN_USE",
      `Cannot listen on ${protocol} ${host}:${port}: the port is in use`,
      {
        cause: error,
        hint: "Stop the other program, or configure another port",
      },
    );
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new EscError("USAGE", `Cannot listen on ${protocol} ${host}:${port}: ${detail}`, { cause: error });
}
