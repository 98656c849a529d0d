/**
 * The TCP listener: accepts connections up to a limit and hands their bytes to sessions.
 *
 * All of it runs on one ingest worker. Several workers may share a port (`portShares`): then the kernel
 * spreads the connections, and each worker has its share of `maxConnections`.
 */
import type { Socket, TCPSocketListener } from "bun";
import { subjectOf } from "../auth/certificate.ts";
import { eventsTargetBytesMin } from "../deliver/events-frame.ts";
import type { Subscriptions } from "../deliver/subscriptions.ts";
import { errorFrame } from "../event/control-frame.ts";
import { FrameScanner } from "../event/scan.ts";
import { EscError } from "../errors.ts";
import { count } from "../metrics/counters.ts";
import {
  LIMITS,
  SOURCE_AUTH_FAILURES,
  SOURCE_CONNECTIONS_REFUSED,
  SOURCE_LIMITED,
} from "../metrics/layout.ts";
import type { Limit } from "../metrics/layout.ts";
import { copyDescriptor, portOfSocket } from "../system/inherited-sockets.ts";
import { PortHandover } from "../system/port-handover.ts";
import { ConnectionLimits } from "./connection-limits.ts";
import type { ConnectionLimitOptions } from "./connection-limits.ts";
import { Session } from "./session.ts";
import type { SessionAuth, SessionContext, SessionLimits } from "./session-context.ts";
import type { Source } from "./source.ts";

export interface TcpListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly maxConnections: number;
  readonly maxFrameBytes: number;
  /** Connections that sent nothing for this long are closed; `null`: never. Subscribers may be silent. */
  readonly idleTimeoutMs: number | null;
  /** Threads that listen on the port, this one included. */
  readonly portShares: number;
  /** A socket that listens already, passed on by the service manager: host and port are its own. */
  readonly descriptor?: number | undefined;
  readonly tls?: TlsListenerOptions | undefined;
  /** Absent: no limits of single addresses. */
  readonly limits?: ConnectionLimitOptions;
  /** Time for the TLS handshake, and for saying who one is where that is asked. */
  readonly loginTimeoutMs?: number;
}

/** PEM texts. */
export interface TlsListenerOptions {
  readonly cert: string;
  readonly key: string;
  /** Authorities that client certificates must come from. */
  readonly ca: string | null;
  readonly clientAuth: "none" | "optional" | "require";
}

export interface TcpListenerParts {
  readonly source: Source;
  readonly serverVersion: string;
  readonly nowUs: () => number;
  /** Absent where everybody may do everything. */
  readonly auth?: SessionAuth | undefined;
  readonly limits?: SessionLimits | undefined;
  readonly openSubscriptions: ((session: Session) => Subscriptions) | undefined;
  /** Makes the thread's loop take a turn soon. */
  readonly wake: () => void;
  /** A defect met while handling a connection; that connection is dropped. */
  readonly onDefect: (error: unknown) => void;
}

/** Refused clients that are still being told so; beyond that they are dropped without a word. */
const REFUSALS_MAX = 64;
const REFUSAL_US_MAX = 1_000_000;

const LOGIN_MS_MAX = 10_000;

/** What hangs on a socket: its session, or `undefined` when it was refused or is not there yet. */
interface Held {
  session: Session | undefined;
  /** Set while the address counts it as one of its connections. */
  address: string | undefined;
}

export class TcpListener {
  readonly sessions = new Set<Session>();
  /** The one listened on. */
  readonly port: number;
  readonly #options: TcpListenerOptions;
  readonly #parts: TcpListenerParts;
  readonly #context: SessionContext;
  readonly #limits: ConnectionLimits;
  readonly #listener: PortHandover<TCPSocketListener<Held>>;
  /** Connections in their TLS handshake, and until when it must be over. */
  readonly #greeting = new Map<Socket<Held>, number>();
  /** Refused sockets and until when they may linger. */
  readonly #refused = new Map<Socket<Held>, number>();
  #accepting = true;

  /** @throws {EscError} ADDRESS_IN_USE, or USAGE for an address that cannot be listened on. */
  constructor(options: TcpListenerOptions, parts: TcpListenerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#limits = new ConnectionLimits(options.limits ?? { perAddress: null, perSecond: null });
    this.#context = {
      source: parts.source,
      auth: parts.auth,
      limits: parts.limits,
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
    const { tls, portShares: shares, host, port, descriptor } = options;
    // A shared port hides that another program has it: look first.
    if (tls !== undefined && shares === 1 && port !== 0 && descriptor === undefined) {
      this.#listen(undefined, { host, port, reusePort: false }).stop();
    }
    const listener = this.#listen(tls, { host, port, reusePort: shares > 1 || tls !== undefined });
    this.port = descriptor === undefined ? listener.port : portOfSocket(descriptor);
    this.#listener = new PortHandover(listener, { port: this.port, shares });
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

  /** Closes what has been silent for too long, or is not welcome any more. Call about once a second. */
  sweepIdle(): void {
    const nowUs = this.#parts.nowUs();
    this.#limits.sweep(nowUs);
    this.#sweepLogins(nowUs);
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs === null) return;
    const limitUs = nowUs - idleTimeoutMs * 1000;
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

  /** Looks again at who everybody is: tokens and permissions may have changed. */
  identifyAgain(): void {
    for (const session of this.sessions) session.identifyAgain();
  }

  /**
   * Takes new connections with another certificate; those that are open go on with theirs, and nobody is
   * refused in between.
   *
   * @returns Rejects with an `EscError` when the port cannot be bound again: the old certificate stays.
   */
  async replaceTls(tls: TlsListenerOptions): Promise<void> {
    if (!this.#accepting || this.#options.tls === undefined) return;
    const { host } = this.#options;
    await this.#listener.replace(() => this.#listen(tls, { host, port: this.port, reusePort: true }));
  }

  /** Takes no more connections; those that are open go on. */
  stopAccepting(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    this.#listener.stop();
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
    for (const socket of this.#greeting.keys()) socket.terminate();
  }

  #listen(
    tls: TlsListenerOptions | undefined,
    { host, port, reusePort }: { host: string; port: number; reusePort: boolean },
  ): TCPSocketListener<Held> {
    const withSession = (socket: Socket<Held>, act: (session: Session) => void) => {
      const { session } = socket.data;
      if (session !== undefined) this.#guard(session, () => act(session));
    };
    // Not written in the call: the runtime's types do not know `reusePort` and `fd` for listeners.
    const { descriptor } = this.#options;
    const options = {
      ...(descriptor === undefined
        ? { hostname: host, port, reusePort }
        : { fd: copyDescriptor(descriptor) }),
      // A client may close its direction and still wait for its acknowledgements.
      allowHalfOpen: true,
      ...(tls === undefined ? {} : { tls: runtimeTls(tls) }),
      socket: {
        open: (socket: Socket<Held>) => this.#open(socket, tls),
        handshake: (socket: Socket<Held>, isDone: boolean) => this.#handshaken(socket, isDone, tls),
        data: (socket: Socket<Held>, chunk: Uint8Array) =>
          withSession(socket, (session) => session.receive(chunk)),
        drain: (socket: Socket<Held>) => withSession(socket, (session) => session.drained()),
        end: (socket: Socket<Held>) => {
          if (socket.data.session === undefined) socket.end();
          else withSession(socket, (session) => session.receiveEnd());
        },
        close: (socket: Socket<Held>) => {
          this.#refused.delete(socket);
          this.#greeting.delete(socket);
          const { address } = socket.data;
          if (address !== undefined) this.#limits.leave(address);
          withSession(socket, (session) => session.socketClosed());
        },
        error: (socket: Socket<Held>) => void socket.terminate(),
      },
    };
    try {
      return Bun.listen<Held>(options as Bun.TCPSocketListenOptions<Held>);
    } catch (error) {
      throw listenError(error, "TCP", host, port);
    }
  }

  #open(socket: Socket<Held>, tls: TlsListenerOptions | undefined): void {
    socket.data = { session: undefined, address: undefined };
    const limit = this.#limitAgainst(socket.remoteAddress);
    if (limit !== undefined || !this.#accepting) {
      this.#refuse(socket, limit, tls !== undefined);
      return;
    }
    socket.data.address = socket.remoteAddress;
    if (tls === undefined) this.#accept(socket);
    else this.#greeting.set(socket, this.#parts.nowUs() + this.#loginUsMax);
  }

  /** The TLS handshake is over. With an error in the client's certificate it counts as done all the same. */
  #handshaken(socket: Socket<Held>, isDone: boolean, tls: TlsListenerOptions | undefined): void {
    if (tls === undefined || !this.#greeting.delete(socket)) return;
    const isVerified = socket.authorized;
    if (!isDone || (tls.clientAuth === "require" && !isVerified)) {
      count(this.#parts.source.counters, SOURCE_AUTH_FAILURES, 1);
      socket.terminate();
      return;
    }
    this.#accept(socket);
    const { session } = socket.data;
    if (session === undefined || !isVerified || tls.clientAuth === "none" || this.#parts.auth === undefined) {
      return;
    }
    // A certificate nobody knows is no reason to refuse a client that has a token, too.
    session.showCertificate(subjectOf(socket.getPeerCertificate()?.subject));
  }

  #accept(socket: Socket<Held>): void {
    const { source } = this.#parts;
    // Others may have come in during the handshake.
    const limit = this.#limitAgainst(undefined);
    if (limit !== undefined || !this.#accepting) {
      this.#refuse(socket, limit, false);
      return;
    }
    socket.setNoDelay(true);
    const session = new Session(this.#context, socket, (sink) => source.openConnection("tcp", "none", sink));
    socket.data.session = session;
    this.sessions.add(session);
  }

  /** The limit that is against one more connection. @param address Counted there when it is given. */
  #limitAgainst(address: string | undefined): Limit | undefined {
    const { source, nowUs } = this.#parts;
    const used = this.sessions.size + (address === undefined ? 0 : this.#greeting.size);
    if (used >= this.#options.maxConnections || source.freeSlots === 0) return "connections";
    return address === undefined ? undefined : this.#limits.enter(address, nowUs());
  }

  get #loginUsMax(): number {
    return (this.#options.loginTimeoutMs ?? LOGIN_MS_MAX) * 1000;
  }

  #sweepLogins(nowUs: number): void {
    for (const [socket, untilUs] of this.#greeting) {
      if (untilUs > nowUs) continue;
      this.#countLimit("login_timeout");
      socket.terminate();
    }
    if (this.#parts.auth === undefined) return;
    for (const session of this.sessions) {
      if (!session.isOpen) continue;
      if (session.caller === undefined && session.openedUs + this.#loginUsMax <= nowUs) {
        this.#countLimit("login_timeout");
        session.sendError({ code: "TIMEOUT", message: "Nobody said HELLO with a token in time" });
        session.end();
      } else if (session.caller?.isExpired(nowUs / 1000) === true) {
        session.deny("Token has expired");
      }
    }
  }

  #countLimit(limit: Limit): void {
    count(this.#parts.source.counters, SOURCE_LIMITED + LIMITS.indexOf(limit), 1);
  }

  /** @param isMute Nothing can be said to it: its TLS handshake has not begun. */
  #refuse(socket: Socket<Held>, limit: Limit | undefined, isMute: boolean): void {
    count(this.#parts.source.counters, SOURCE_CONNECTIONS_REFUSED, 1);
    if (limit !== undefined) this.#countLimit(limit);
    if (isMute || this.#refused.size >= REFUSALS_MAX) {
      socket.terminate();
      return;
    }
    const frame = limit === undefined
      ? errorFrame({ code: "SHUTTING_DOWN", message: "The server is shutting down" })
      : errorFrame({ code: "TOO_MANY_CONNECTIONS", message: this.#limitMessage(limit) });
    this.#refused.set(socket, this.#parts.nowUs() + REFUSAL_US_MAX);
    socket.write(frame); // The first bytes of a fresh socket always find room.
    socket.shutdown();
  }

  #limitMessage(limit: Limit): string {
    const { maxConnections, limits } = this.#options;
    switch (limit) {
      case "connections_per_address":
        return `The limit of ${limits?.perAddress} connections from one address is reached`;
      case "connects_per_second":
        return `More than ${limits?.perSecond} new connections a second from one address`;
      default:
        return `The limit of ${maxConnections} connections is reached`;
    }
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

/** Verified here and not by the runtime, which would not tell why it closed. TLS below 1.2 is never spoken. */
function runtimeTls({ cert, key, ca, clientAuth }: TlsListenerOptions) {
  const asks = clientAuth === "none" ? {} : { requestCert: true, rejectUnauthorized: false };
  return { cert, key, ...(ca === null ? {} : { ca }), ...asks };
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
