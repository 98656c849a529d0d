/** The HTTP listener: routes, refusals, WebSockets. Main thread. */
import type { Server } from "bun";
import { Hono } from "hono";
import { EscError } from "../errors.ts";
import { Groups } from "../deliver/groups.ts";
import { ShardTails } from "../deliver/tail.ts";
import { describeDamage } from "../log/damage.ts";
import { openSourceLatency, SOURCE_DELIVER } from "../metrics/latency.ts";
import { nowUs } from "../system/clock.ts";
import { BodyGate } from "./body.ts";
import type { ApiContext } from "./context.ts";
import type { EngineView } from "./engine-view.ts";
import { burial } from "./group-event.ts";
import { isLoopback, refuseForeign } from "./guard.ts";
import { problem, problemOfError } from "./problem.ts";
import { Publisher } from "./publisher.ts";
import type { Route } from "./route.ts";
import { apiRoutes } from "./routes.ts";
import { UPGRADED } from "./subscribe-routes.ts";
import { Turns } from "./turns.ts";
import type { SocketData } from "./websocket.ts";
import { WebSockets } from "./websockets.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxBodyBytes: number;
}

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
  readonly #server: Server<SocketData>;
  readonly #context: ApiContext;
  readonly #sockets: WebSockets;
  readonly #sweeper: ReturnType<typeof setInterval>;

  /**
   * Begins to listen and to take turns.
   *
   * @returns Rejects with an `EscError`: `ADDRESS_IN_USE`, or `USAGE` for an address nobody can listen on.
   */
  static start(engine: EngineView, options: HttpServerOptions): Promise<HttpServer> {
    return Promise.try(() => new HttpServer(engine, options));
  }

  private constructor(engine: EngineView, options: HttpServerOptions) {
    this.#context = openContext(engine, options.maxBodyBytes);
    this.#sockets = new WebSockets(this.#context);
    this.#server = this.#listen(options);
    this.port = this.#server.port ?? options.port;
    this.address = `${options.host.includes(":") ? `[${options.host}]` : options.host}:${this.port}`;
    this.#context.turns.add(this.#sockets);
    this.#context.turns.add(this.#context.groups);
    this.#context.turns.start();
    this.#sweeper = setInterval(() => this.#context.tails.sweep(), SWEEP_MS);
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
    clearInterval(this.#sweeper);
    this.#sockets.close();
    this.#context.groups.close();
    await this.#context.turns.stop();
    await this.#server.stop(true);
    this.#context.tails.close();
  }

  #listen(options: HttpServerOptions): Server<SocketData> {
    const { engine } = this.#context;
    const routes = apiRoutes(this.#context, (request, subscription) => {
      if (this.#sockets.isFull) return false;
      return this.#server.upgrade(request, { data: { request: subscription } });
    });
    const app = buildApp(routes, (message) => engine.warn(message));
    const isLocal = isLoopback(options.host);
    try {
      return Bun.serve<SocketData>({
        hostname: options.host,
        port: options.port,
        idleTimeout: IDLE_SECONDS,
        maxRequestBodySize: RUNTIME_BODY_BYTES_MAX,
        fetch: async (request, server) => {
          const response = refuseForeign(request, isLocal) ?? await app.fetch(request);
          if (response === UPGRADED) return undefined;
          const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
          if (isStream) server.timeout(request, 0);
          response.headers.set("x-content-type-options", "nosniff");
          return response;
        },
        websocket: this.#sockets.handlers(),
      });
    } catch (error) {
      const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      throw new EscError(
        isTaken ? "ADDRESS_IN_USE" : "USAGE",
        `Cannot listen for HTTP on ${options.host}:${options.port}`,
        { cause: error, hint: "Choose another http.port, or stop the program that uses it" },
      );
    }
  }
}

function openContext(engine: EngineView, maxBodyBytes: number): ApiContext {
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
    bodies: new BodyGate(Math.max(HELD_BODY_BYTES, maxBodyBytes * 4)),
    publisher,
    meters,
    groups: new Groups({
      tails,
      meters,
      consumers: engine.consumers,
      nowMs: Date.now,
      bury: burial(publisher),
      wake: () => turns.wake(),
      onCountChange: (by) => turns.countSubscriptions(by),
      warn: (message) => engine.warn(message),
    }),
  };
}

/** The table as a router. @param warn Is told of defects. */
function buildApp(routes: readonly Route[], warn: (message: string) => void): Hono {
  const app = new Hono();
  for (const route of routes) {
    app.on(route.method, patternOf(route.path), (context) =>
      route.handle({
        request: context.req.raw,
        url: new URL(context.req.url),
        params: context.req.param() as Record<string, string>,
      }));
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const methods = routes.filter((route) => route.path === path).map((route) => route.method);
    const allow = methods.includes("GET") ? [...methods, "HEAD"] : methods;
    app.all(
      patternOf(path),
      (context) =>
        problem(405, `${context.req.method} is not possible here`, { headers: { allow: allow.join(", ") } }),
    );
  }
  app.notFound((context) =>
    problem(404, `There is nothing at ${context.req.path.slice(0, 200)}`, { code: "NOT_FOUND" })
  );
  app.onError((error) => {
    if (!(error instanceof EscError)) warn(`Defect while answering a request: ${error.stack ?? error}`);
    return problemOfError(error);
  });
  return app;
}

/** OpenAPI's `{name}` as the router writes it; the last parameter may hold slashes (topics do). */
function patternOf(path: string): string {
  return path.replace(/\{(\w+)\}$/, ":$1{.+}").replace(/\{(\w+)\}/g, ":$1");
}
