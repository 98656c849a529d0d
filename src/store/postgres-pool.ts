/**
 * Connections to one PostgreSQL server, with the limits the client library lacks: a bounded queue in front,
 * a deadline for everything, and sockets of our own that can be destroyed.
 *
 *     inUse ≤ slots;  waiting ≤ WAITING_MAX
 *
 * The library may leave a query unsettled when the network fails in the wrong moment, and may send on a
 * connection that is gone. So whoever misses the deadline takes the whole set of connections down with it
 * (`retire()`): the next one gets a fresh set, and nothing left over can reach the server.
 */
import { connect as connectSocket, isIP, type Socket } from "node:net";
import postgres from "postgres";
import { EscError } from "../errors.ts";
import { BACKOFF, backoffMs } from "./backoff.ts";
import { withDeadline } from "./deadline.ts";

/** Results of `bigint` and `numeric` columns are numbers: everything stored is below 2^53. */
type Types = { bigint: number };
export type Sql = postgres.Sql<Types>;
/** One connection of its own, until released. */
export type Session = postgres.ReservedSql<Types>;

export interface PostgresOptions {
  readonly url: string;
  /** Certificates that servers are checked against, PEM. Absent: as `sslmode` in the URL says. */
  readonly tlsCa?: string;
  /** Most connections. */
  readonly slots: number;
  /** Time for a new connection. */
  readonly connectTimeoutMs: number;
  /** Time after which an unused connection is closed. */
  readonly idleTimeoutMs: number;
  /** Time for one piece of work, its wait for a connection included. */
  readonly deadlineMs: number;
}

/** Callers that may wait for a connection; more are refused. */
export const WAITING_MAX = 1000;
/** The server ends a statement so much before we give up on the connection. */
const SERVER_MARGIN_MS = 250;

export class PostgresPool {
  readonly options: PostgresOptions;
  readonly slots: number;
  inUse = 0;
  /** Sets of connections given up because of a missed deadline or a broken session. */
  retired = 0;
  readonly #waiting: { readonly resume: () => void }[] = [];
  #sql: Sql | undefined;
  #sockets = new Set<Socket>();
  #isClosed = false;

  /** Connects only when there is work. */
  constructor(options: PostgresOptions) {
    this.options = options;
    this.slots = options.slots;
  }

  /** Connections open now. */
  get total(): number {
    return this.#sockets.size;
  }

  /** Callers waiting for a connection. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Runs one statement, or several that need not share a connection.
   *
   * @throws {EscError} TIMEOUT, STORE_UNAVAILABLE, or what the server says of the statement.
   */
  async run<T>(work: (sql: Sql) => Promise<T>, deadlineMs: number = this.options.deadlineMs): Promise<T> {
    const startMs = performance.now();
    await this.#enter(deadlineMs);
    const sql = this.#connections();
    try {
      const leftMs = Math.max(1, deadlineMs - (performance.now() - startMs));
      return await withDeadline(work(sql), leftMs, `PostgreSQL at ${this.place}`);
    } catch (error) {
      if (error instanceof EscError && error.code === "TIMEOUT") this.retire(sql);
      throw storeError(error, this.place);
    } finally {
      this.#leave();
    }
  }

  /**
   * Runs work in one transaction on one connection. When it fails, for whatever reason, the connection is
   * destroyed rather than rolled back: the server does that, and nothing can be sent outside the transaction.
   */
  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { deadlineMs } = this.options;
    await this.#enter(deadlineMs);
    const sql = this.#connections();
    try {
      const done = (async () => {
        const session = await sql.reserve();
        await session`BEGIN`;
        const result = await work(session);
        await session`COMMIT`;
        session.release();
        return result;
      })();
      return await withDeadline(done, deadlineMs, `PostgreSQL at ${this.place}`);
    } catch (error) {
      this.retire(sql);
      throw storeError(error, this.place);
    } finally {
      this.#leave();
    }
  }

  /** Gives all connections up; whoever still uses them fails. The next caller gets new ones. */
  retire(sql: Sql | undefined = this.#sql): void {
    if (sql === undefined || sql !== this.#sql) return;
    this.#sql = undefined;
    this.retired++;
    const sockets = this.#sockets;
    this.#sockets = new Set();
    for (const socket of sockets) socket.destroy();
    sql.end({ timeout: 0 }).catch(() => {});
  }

  /** Where it is, without user and password. */
  get place(): string {
    return placeOf(this.options.url);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const sql = this.#sql;
    this.#sql = undefined;
    for (const { resume } of this.#waiting.splice(0)) resume();
    await sql?.end({ timeout: 1 });
    for (const socket of this.#sockets) socket.destroy();
  }

  #connections(): Sql {
    if (this.#isClosed) throw new EscError("SHUTTING_DOWN", "The store is being closed");
    if (this.#sql !== undefined) return this.#sql;
    const { url, tlsCa, slots, connectTimeoutMs, idleTimeoutMs, deadlineMs } = this.options;
    const sockets = this.#sockets;
    const { hostname, port, searchParams } = new URL(url);
    const host = hostname || searchParams.get("host") || "127.0.0.1";
    const path = host.startsWith("/") ? `${host}/.s.PGSQL.${port || 5432}` : undefined;
    const options = {
      max: slots,
      connect_timeout: connectTimeoutMs / 1000,
      idle_timeout: idleTimeoutMs / 1000,
      max_lifetime: null,
      // Without this step postgres.js 3.4 never hands out a connection that `reserve()` had opened.
      fetch_types: true,
      onnotice: () => {},
      backoff: (attempt: number) => backoffMs(BACKOFF, attempt, Math.random()) / 1000,
      ...(tlsCa === undefined ? {} : { ssl: tlsOptions(tlsCa, host) }),
      connection: {
        application_name: "esc",
        statement_timeout: Math.max(1, deadlineMs - SERVER_MARGIN_MS),
      },
      types: {
        bigint: { to: 20, from: [20, 1700], serialize: (value: number) => String(value), parse: Number },
      },
      // A socket on its way: what is written meanwhile waits in it, and its failure ends in `close`.
      socket: () => {
        const socket = path === undefined
          ? connectSocket({ host, port: Number(port || 5432) })
          : connectSocket({ path });
        socket.setNoDelay(true);
        keepErrorsCaught(socket);
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
        return socket;
      },
    };
    this.#sql = postgres(url, options);
    return this.#sql;
  }

  async #enter(deadlineMs: number): Promise<void> {
    if (this.inUse < this.slots) {
      this.inUse++;
      return;
    }
    if (this.#waiting.length >= WAITING_MAX) {
      throw new EscError("STORE_UNAVAILABLE", `${WAITING_MAX} callers wait for PostgreSQL at ${this.place}`);
    }
    let waiter: { readonly resume: () => void } | undefined;
    const turn = new Promise<void>((resume) => {
      waiter = { resume };
      this.#waiting.push(waiter);
    });
    try {
      await withDeadline(turn, deadlineMs, `The pool of PostgreSQL at ${this.place}`);
    } catch (error) {
      const index = this.#waiting.findIndex((candidate) => candidate === waiter);
      if (index >= 0) this.#waiting.splice(index, 1);
      else this.#leave();
      throw error;
    }
  }

  /** Hands the slot on, or frees it. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.inUse--;
    else next.resume();
  }
}

/**
 * The library takes all listeners off a socket that it is done with, or wraps in TLS. An error that the network
 * reports after that would end the process.
 */
function keepErrorsCaught(socket: Socket): void {
  const ignore = () => {};
  const removeAll = socket.removeAllListeners.bind(socket);
  socket.removeAllListeners = (event?: string | symbol) => {
    removeAll(event);
    return socket.on("error", ignore);
  };
  socket.on("error", ignore);
}

/** The name to check the certificate against is `host`; only a name, never an address, is sent ahead. */
function tlsOptions(ca: string, host: string) {
  return { ca, host, rejectUnauthorized: true, ...(isIP(host) === 0 ? { servername: host } : {}) };
}

/** Server and database of a URL, without its secrets. */
export function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

/** Errors after which the same may work on another connection or server. */
export function isConnectionProblem(error: unknown): boolean {
  return error instanceof EscError && (error.code === "STORE_UNAVAILABLE" || error.code === "TIMEOUT");
}

/** What the library or the server said, as one of our codes. */
function storeError(error: unknown, place: string): unknown {
  if (error instanceof EscError || !(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const message = error.message || code;
  if (code === "57014") {
    return new EscError("TIMEOUT", `PostgreSQL at ${place} ended a statement that took too long`, {
      cause: error,
    });
  }
  // Classes of SQLSTATE: 08 connection, 25 and 53 state and resources, 57 operator intervention, 58 system.
  const isLost = /^(08|25|53|57|58|40)/.test(code) || /^(E[A-Z]+|CONNECT|CONNECTION_.*)$/.test(code) ||
    !/^[0-9A-Z]{5}$/.test(code);
  if (!isLost) return error;
  return new EscError("STORE_UNAVAILABLE", `PostgreSQL at ${place} is not available: ${message}`, {
    cause: error,
    hint: "esc tries again by itself; check the server and store.url",
  });
}
