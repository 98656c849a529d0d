/** The HTTP listener: routes, refusals, WebSockets. Main thread. */
import type { Server } from "bun";
import { Hono } from "hono";
import { EscError } from "../errors.ts";
import { Groups } from "../deliver/groups.ts";
import { ShardTails } from "../deliver/tail.ts";
import { describeDamage } from "../log/damage.ts";
import { openSourceLatency, SOURCE_DELIVER } from "../metrics/latency.ts";
import { count } from "../metrics/counters.ts";
import { LIMITS, SOURCE_LIMITED } from "../metrics/layout.ts";
import { nowUs } from "../system/clock.ts";
import { PortHandover } from "../system/port-handover.ts";
import { BodyGate } from "./body.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { type Caller, EVERYBODY } from "../auth/caller.ts";
import type { SubscriptionRequest } from "../deliver/request.ts";
import type { ConnectionLimitOptions } from "../ingest/connection-limits.ts";
import type { SessionLimits } from "../ingest/session-context.ts";
import type { TlsListenerOptions } from "../ingest/tcp.ts";
import { Access, type Admission, type AuditEntry } from "./access.ts";
import { compressed } from "./compress.ts";
import type { ApiContext } from "./context.ts";
import type { EngineView } from "./engine-view.ts";
import { groupGraveyard } from "./group-event.ts";
import { isLoopback, refuseForeign } from "./guard.ts";
import { Live } from "./live.ts";
import { problem, problemOfError } from "./problem.ts";
import { Publisher } from "./publisher.ts";
import type { ApiRequest, Route } from "./route.ts";
import { apiRoutes } from "./routes.ts";
import { UPGRADED } from "./subscribe-routes.ts";
import { SlowSubscribers, subscriberName } from "./slow-subscribers.ts";
import { StreamLimits } from "./stream-limits.ts";
import { Turns } from "./turns.ts";
import type { SocketData } from "./websocket.ts";
import { WebSockets } from "./websockets.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxBodyBytes: number;
  /** Of NDJSON, which is published while it is read; absent: no limit. */
  readonly maxNdjsonBytes?: number | null;
  /** Whether text messages of WebSockets are compressed for clients that ask for it. */
  readonly compressesWebSockets?: boolean;
  /** Who finds out who clients are; absent: everybody may do everything. */
  readonly door?: Pick<Authenticator, "authenticate"> | undefined;
  readonly limits?: SessionLimits | undefined;
  /** Of streams and WebSockets; absent: no limits of single addresses. */
  readonly streamLimits?: ConnectionLimitOptions | undefined;
  readonly tls?: TlsListenerOptions | undefined;
  /** Is told of every action of an administrator. */
  readonly audit?: ((entry: AuditEntry) => void) | undefined;
}

/**
 * What every answer says to browsers, unless it says something else itself: show it nowhere, guess no type,
 * tell nobody where it was.
 */
const SECURITY_HEADERS = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
} as const;
const STRICT_TRANSPORT = "max-age=31536000";

/** How often it is looked for streams whose token has expired. */
const EXPIRY_MS = 1_000;

/** Seconds a connection may be silent; streams are exempt. Longer than a publish may wait for its verdict. */
const IDLE_SECONDS = 30;
/** The runtime's own limit is out of the way: `readBody()` enforces ours, and answers with problem details. */
const RUNTIME_BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

/** Request bodies in memory at the same time, unless `http.max_body_bytes` asks for more. */
const HELD_BODY_BYTES = 64 * 1024 * 1024;
/** How often files that no query and no subscriber reads any more are closed. */
const SWEEP_MS = 60_000;
/** How long `quiesce()` waits for verdicts; each has its own, longer limit. */
const QUIESCE_MS_MAX = 2_000;

export class HttpServer {
  /** Where it listens: `host:port`. */
  readonly address: string;
  readonly port: number;
  readonly #listener: PortHandover<Server<SocketData>>;
  /** Those with an older certificate too: they serve the connections that are open. */
  readonly #servers: Server<SocketData>[] = [];
  readonly #options: HttpServerOptions;
  readonly #context: ApiContext;
  readonly #sockets: WebSockets;
  readonly #access: Access;
  readonly #app: Hono<{ Bindings: Bindings }>;
  readonly #sweepers: readonly ReturnType<typeof setInterval>[];

  /**
   * Begins to listen and to take turns.
   *
   * @returns Rejects with an `EscError`: `ADDRESS_IN_USE`, or `USAGE` for an address nobody can listen on.
   */
  static start(engine: EngineView, options: HttpServerOptions): Promise<HttpServer> {
    return Promise.try(() => new HttpServer(engine, options));
  }

  private constructor(engine: EngineView, options: HttpServerOptions) {
    this.#context = openContext(engine, options);
    this.#options = options;
    const { door, limits, tls } = options;
    this.#sockets = new WebSockets(this.#context, {
      isGuarded: door !== undefined,
      limits,
      isCompressing: options.compressesWebSockets === true,
    });
    this.#access = new Access({
      door,
      limits,
      counters: engine.source.counters,
      audit: options.audit ?? (() => {}),
      nowMs: Date.now,
    });
    this.#app = this.#buildApp();
    // A shared port hides that another program has it: look first.
    if (tls !== undefined && options.port !== 0) void this.#listen(undefined, options.port, false).stop(true);
    const server = this.#listen(tls, options.port, tls !== undefined);
    this.port = server.port ?? options.port;
    this.#listener = new PortHandover(server, { port: this.port, shares: 1 });
    this.address = `${options.host.includes(":") ? `[${options.host}]` : options.host}:${this.port}`;
    this.#context.turns.add(this.#sockets);
    this.#context.turns.add(this.#context.groups);
    this.#context.turns.start();
    this.#sweepers = [
      setInterval(() => this.#context.tails.sweep(), SWEEP_MS),
      setInterval(() => {
        this.#access.sweep();
        this.#context.streams.sweep();
        this.#context.slow.look();
      }, EXPIRY_MS),
    ];
  }

  /** Tokens or permissions have changed: streams and sockets that are not allowed any more end. */
  identifyAgain(): Promise<void> {
    return this.#access.identifyAgain();
  }

  /**
   * Takes new connections with another certificate; those that are open go on with theirs, and nobody is
   * refused in between.
   *
   * @returns Rejects with an `EscError` when the port cannot be bound again: the old certificate stays.
   */
  async replaceTls(tls: TlsListenerOptions): Promise<void> {
    if (this.#options.tls !== undefined) {
      await this.#listener.replace(() => this.#listen(tls, this.port, true));
    }
  }

  /** Who comes in, here and by other listeners of the main thread. */
  get access(): Access {
    return this.#access;
  }

  /** What other listeners of the main thread share with this one. */
  get context(): ApiContext {
    return this.#context;
  }

  /** Takes no more events, and waits for the verdicts of those it took. Everything else goes on. */
  async quiesce(): Promise<void> {
    const { publisher } = this.#context;
    publisher.close();
    this.#sockets.quiesce();
    const deadlineMs = Date.now() + QUIESCE_MS_MAX;
    while (publisher.pendingCount > 0 && Date.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Ends streams and WebSockets, closes everything. */
  async stop(): Promise<void> {
    for (const sweeper of this.#sweepers) clearInterval(sweeper);
    this.#context.live.close();
    // Before their members go: what these hold has not failed.
    this.#context.groups.close();
    this.#sockets.close();
    await this.#context.turns.stop();
    this.#listener.stop();
    await Promise.all(this.#servers.map((server) => server.stop(true)));
    this.#context.tails.close();
  }

  #listen(tls: TlsListenerOptions | undefined, port: number, reusePort: boolean): Server<SocketData> {
    const { host } = this.#options;
    const isLocal = isLoopback(host);
    try {
      const opened = Bun.serve<SocketData>({
        hostname: host,
        port,
        reusePort,
        ...(tls === undefined ? {} : { tls: runtimeTls(tls) }),
        idleTimeout: IDLE_SECONDS,
        maxRequestBodySize: RUNTIME_BODY_BYTES_MAX,
        fetch: async (request, server) => {
          const response = refuseForeign(request, isLocal) ?? await this.#app.fetch(request, { server });
          if (response === UPGRADED) return undefined;
          const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
          if (isStream) server.timeout(request, 0);
          for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
            if (!response.headers.has(name)) response.headers.set(name, value);
          }
          if (tls !== undefined) response.headers.set("strict-transport-security", STRICT_TRANSPORT);
          return await compressed(request, response);
        },
        websocket: this.#sockets.handlers(),
      });
      this.#servers.push(opened);
      return opened;
    } catch (error) {
      const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      throw new EscError(
        isTaken ? "ADDRESS_IN_USE" : "USAGE",
        `Cannot listen for HTTP on ${host}:${port}`,
        { cause: error, hint: "Choose another http.port, or stop the program that uses it" },
      );
    }
  }

  /** The table as a router. */
  #buildApp(): Hono<{ Bindings: Bindings }> {
    const { engine } = this.#context;
    const routes = apiRoutes(this.#context, (call, subscription) => this.#upgrade(call, subscription));
    const app = new Hono<{ Bindings: Bindings }>();
    for (const route of routes) {
      app.on(route.method, patternOf(route.path), (context) => {
        const params = context.req.param() as Record<string, string>;
        return this.#handle(route, context.req.raw, params, context.env.server);
      });
    }
    for (const path of new Set(routes.map((route) => route.path))) {
      const methods = routes.filter((route) => route.path === path).map((route) => route.method);
      const allow = methods.includes("GET") ? [...methods, "HEAD"] : methods;
      app.all(
        patternOf(path),
        (context) =>
          problem(405, `${context.req.method} is not possible here`, {
            headers: { allow: allow.join(", ") },
          }),
      );
    }
    app.notFound((context) =>
      problem(404, `There is nothing at ${context.req.path.slice(0, 200)}`, { code: "NOT_FOUND" })
    );
    app.onError((error) => answerError(error, engine));
    return app;
  }

  /** One request whose route is known: who sends it, whether they may, and the answer. */
  async #handle(
    route: Route,
    request: Request,
    params: Record<string, string>,
    server: Server<SocketData>,
  ): Promise<Response> {
    const url = new URL(request.url);
    // The router passes on as it is what it cannot decode: it would become another topic.
    if (!isDecodable(url.pathname)) return problem(400, "Path is not UTF-8 in percent encoding");
    const admission = await this.#access.admit(route, request, url);
    const response = admission.response ??
      await this.#answer(route, { request, url, params, server }, admission);
    // Nobody would read it: what stands behind a stream must learn of it.
    if (request.method === "HEAD") await response.body?.cancel();
    const address = server.requestIP(request)?.address ?? "";
    this.#access.note(route, url, admission, { status: response.status, address });
    return response;
  }

  async #answer(
    route: Route,
    call: Pick<ApiRequest, "request" | "url" | "params" | "server">,
    { caller, credentials }: Extract<Admission, { caller: Caller }>,
  ): Promise<Response> {
    try {
      return await route.handle({
        ...call,
        caller,
        rate: this.#access.rateOf(caller),
        watch: (end) => this.#access.watch({ credentials, caller, end }),
      });
    } catch (error) {
      return answerError(error, this.#context.engine);
    }
  }

  #upgrade(call: ApiRequest, subscription: SubscriptionRequest | undefined): boolean {
    if (this.#sockets.isFull) return false;
    const { caller, rate, watch } = call;
    const who = caller === EVERYBODY ? undefined : caller.name;
    const name = subscriberName(call.server.requestIP(call.request), who);
    const data = { request: subscription, name, who: { caller, rate, watch } };
    return call.server.upgrade(call.request, { data });
  }
}

/** The server that a request came in by: there may be one with an older certificate. */
interface Bindings {
  readonly server: Server<SocketData>;
}

/** The runtime tells nobody whose certificate it was, so one that is only `optional` would be of no use. */
function runtimeTls({ cert, key, ca, clientAuth }: TlsListenerOptions) {
  const asks = clientAuth === "require" && ca !== null
    ? { ca, requestCert: true, rejectUnauthorized: true }
    : {};
  return { cert, key, ...asks };
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function answerError(error: unknown, engine: EngineView): Response {
  if (!(error instanceof EscError)) {
    engine.warn(`Defect while answering a request: ${error instanceof Error ? error.stack : error}`);
  }
  return problemOfError(error);
}

function openContext(
  engine: EngineView,
  { maxBodyBytes, maxNdjsonBytes = null, streamLimits = { perAddress: null, perSecond: null } }:
    HttpServerOptions,
): ApiContext {
  const { source, doorbell, control, shards, sourceLatencies } = engine;
  const turns = new Turns({ source, doorbell, control });
  const tails = new ShardTails(shards, (damage) => {
    // What retention took is no damage, and a slow reader would say it again and again.
    if (damage.kind !== "removed") engine.warn(describeDamage(damage));
  });
  const meters = {
    counters: source.counters,
    latencies: shards.map((info) => openSourceLatency(sourceLatencies, info.index, SOURCE_DELIVER)),
    nowUs,
  };
  const publisher = new Publisher({
    source,
    shards,
    maxFrameBytes: engine.maxFrameBytes,
    nowUs,
    wake: () => turns.wake(),
  });
  return {
    engine,
    tails,
    turns,
    maxBodyBytes,
    maxNdjsonBytes,
    live: new Live(engine),
    slow: new SlowSubscribers(source.counters, (message) => engine.warn(message)),
    streams: new StreamLimits(streamLimits, { counters: source.counters, nowUs }),
    bodies: new BodyGate(
      Math.max(HELD_BODY_BYTES, maxBodyBytes * 4),
      (limit) => count(source.counters, SOURCE_LIMITED + LIMITS.indexOf(limit), 1),
    ),
    publisher,
    meters,
    groups: new Groups({
      tails,
      meters,
      consumers: engine.consumers,
      nowMs: Date.now,
      graveyard: groupGraveyard(engine.letters, nowUs),
      wake: () => turns.wake(),
      onCountChange: (by) => turns.countSubscriptions(by),
    }),
  };
}

/** OpenAPI's `{name}` as the router writes it; the last parameter may hold slashes (topics do). */
function patternOf(path: string): string {
  return path.replace(/\{(\w+)\}$/, ":$1{.+}").replace(/\{(\w+)\}/g, ":$1");
}
