/** `esc serve`: the server. */
import type { Command } from "commander";
import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import { isDeepStrictEqual } from "node:util";
import type { EngineView, ReloadResult } from "../src/api/engine-view.ts";
import type { LazyGrpc } from "../src/api/grpc/lazy.ts";
import type { HttpServer } from "../src/api/server.ts";
import type { Config } from "../src/config/config.ts";
import { loadAside } from "../src/config/load-aside.ts";
import type { ServedConfig } from "../src/config/load-served.ts";
import type { Engine } from "../src/engine.ts";
import { tlsOptions } from "../src/engine-options.ts";
import { Logger } from "../src/logging/logger.ts";
import { releaseCode, shrinkHeap } from "../src/system/resident.ts";
import { inheritedSockets } from "../src/system/inherited-sockets.ts";
import { ServiceNotifier, watchdogIntervalMs } from "../src/system/notify.ts";
import type { CommandContext } from "./command.ts";
import { VERSION } from "./version.ts";

const STDERR = 2;
/** Between two looks at the space on the disk. */
const SPACE_LOOK_MS = 1_000;
/** After the start: whoever waits for it comes first. */
const SETTLED_MS = 1_000;
/** Silence after a message that repeats. */
const REPEAT_MS = 10_000;
/** Between two looks for messages that were held back and have stopped coming. */
const HELD_LOOK_MS = 1_000;
/** The one inherited socket that can be taken over: the runtime serves HTTP only on sockets of its own. */
const TCP_SOCKET = "tcp";
const EXIT_INTERRUPTED = 130;

export function register(program: Command, context: CommandContext): void {
  program
    .command("serve")
    .summary("run the server")
    .description("Runs the server until SIGTERM or SIGINT; a second signal ends it at once.")
    .option("-c, --config <file>", "configuration; without it every key has its default")
    .addHelpText(
      "after",
      "\nSIGHUP reads the configuration again: what can change at once does, the log names what waits for a restart.\n" +
        "Messages go to stderr.\n\nExamples:\n  $ esc serve\n  $ esc serve --config /etc/esc/config.yaml",
    )
    .action(async (options: { config?: string }) => {
      process.exitCode = await serve(options.config, context);
    });
}

/** Runs until it is told to stop. @returns The exit status. */
async function serve(path: string | undefined, context: CommandContext): Promise<number> {
  const notifier = new ServiceNotifier(context.env["NOTIFY_SOCKET"]);
  // The parts of the server are loaded while another thread reads the configuration.
  const [loaded, { Engine }, { viewEngine }, { HttpServer: Server }] = await Promise.all([
    loadAside({ path, environment: { ...context.env } }),
    import("../src/engine.ts"),
    import("../src/api/engine-adapter.ts"),
    import("../src/api/server.ts"),
  ]);
  const { config } = loaded;
  // Now, before other threads take over the memory of the one that has ended: it could not be given back then.
  Bun.gc(true);
  const logger = new Logger({
    level: config.logging.level,
    format: config.logging.format,
    write: (line) => writeSync(STDERR, line),
    nowMs: Date.now,
    repeatMs: REPEAT_MS,
    sink: isJournal(context.env["JOURNAL_STREAM"])
      ? "journal"
      : process.stderr.isTTY === true && !context.env["NO_COLOR"]
      ? "terminal"
      : "plain",
  });
  // A start that fails must not be kept alive by it.
  const held = setInterval(() => logger.tellSuppressed(), HELD_LOOK_MS).unref();
  for (const notice of loaded.notices) logger.info(notice);

  const inherited = inheritedSockets(context.env, process.pid);
  for (const name of inherited.keys()) {
    if (name !== TCP_SOCKET) {
      logger.warn("a socket of the service manager is not used", { name, known: TCP_SOCKET });
    }
  }
  const engine = await Engine.start(config, {
    version: VERSION,
    logger,
    tcpDescriptor: inherited.get(TCP_SOCKET),
  });
  const stopping = Promise.withResolvers<void>();
  const reloader = new Reloader(path, context, engine, loaded, logger);
  const view = viewEngine(engine, {
    effectiveConfig: () => reloader.running.printable,
    drain: () => stopping.resolve(),
    reload: () => reloader.reload(),
    warn: (message) => logger.limited(message, "warn", message),
    setLogLevel: (level) => {
      logger.level = level;
    },
  });
  const http = await listen(Server, view, engine, logger);
  reloader.http = http;
  const grpc = await listenGrpc(http, engine);
  reloader.grpc = grpc;

  process.on("SIGHUP", () => {
    notifier.reloading();
    // What went wrong is in the log.
    reloader.reload().catch(() => {}).finally(() => notifier.ready());
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait.
      if (engine.state === "DRAINING") process.exit(EXIT_INTERRUPTED);
      logger.info("stopping", { signal });
      stopping.resolve();
    });
  }
  announce(engine, { http: http.address, grpc: grpc?.address }, logger);
  notifier.ready();
  const space = await watchSpace(engine, logger);
  setTimeout(() => void giveBack(), SETTLED_MS).unref();
  const watchdogMs = watchdogIntervalMs(context.env, process.pid);
  const watchdog = watchdogMs === undefined ? undefined : setInterval(() => notifier.watchdog(), watchdogMs);

  await stopping.promise;
  notifier.stopping();
  clearInterval(watchdog);
  clearInterval(space);
  clearInterval(held);
  const deadlineMs = Date.now() + config.shutdownTimeoutMs;
  await http.quiesce();
  const complete = await engine.stop(deadlineMs - Date.now());
  await grpc?.stop();
  await http.stop();
  await view.store?.close();
  engine.close();
  logger.tellSuppressed({ isEnd: true });
  if (complete) logger.info("stopped");
  else {logger.error("stopped before everything was drained", {
      shutdown_timeout_ms: config.shutdownTimeoutMs,
    });}
  return complete ? 0 : 1;
}

/**
 * Whether stderr is the journal's socket.
 *
 * @param stream `$JOURNAL_STREAM`, device and inode of the journal's end; inherited by children whose stderr is
 * something else, so it is compared (systemd.exec(5)).
 */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(STDERR);
  return stream === `${dev}:${ino}`;
}

/** Gives back what only the start needed. */
async function giveBack(): Promise<void> {
  await shrinkHeap();
  releaseCode();
}

/** Watches the space: what is free on the disk, and the size of all logs together where it is limited. */
async function watchSpace(engine: Engine, logger: Logger): Promise<ReturnType<typeof setInterval>> {
  const { maxTotalBytes, lowFreeBytes } = engine.config.log;
  const { TotalLimit } = await import("../src/log/total-limit.ts");
  const { nodeFiles } = await import("../src/log/node-files.ts");
  const shards = engine.memory.shards.map(({ info }) => info);
  const limit = maxTotalBytes === null ? undefined : new TotalLimit(nodeFiles, shards, maxTotalBytes);
  const look = () => {
    try {
      const freeBytes = nodeFiles.freeBytes(engine.config.data.dir);
      engine.isDiskLow = freeBytes < lowFreeBytes;
      if (engine.isDiskLow) {
        const facts = { free_bytes: freeBytes, low_free: lowFreeBytes };
        logger.limited("low-disk", "warn", "the disk is filling up: free some space, or keep less", facts);
      }
      const bytes = limit?.look() ?? 0;
      if (bytes > 0) logger.info("oldest segments given up: log.max_total_bytes is exceeded", { bytes });
    } catch (error) {
      // A segment that retention removes meanwhile; the next look comes soon.
      logger.limited("space", "warn", "the size of the logs cannot be read", { cause: String(error) });
    }
  };
  look();
  return setInterval(look, SPACE_LOOK_MS);
}

/** Opens the HTTP listener; the engine does not run without it. */
async function listen(
  Server: typeof HttpServer,
  view: EngineView,
  engine: Engine,
  logger: Logger,
): Promise<HttpServer> {
  const { host, port, maxBodyBytes, maxNdjsonBytes, websocketCompression } = engine.config.http;
  try {
    return await Server.start(view, {
      host,
      port,
      maxBodyBytes,
      maxNdjsonBytes,
      compressesWebSockets: websocketCompression,
      door: engine.authenticator,
      limits: engine.sessionLimits,
      streamLimits: {
        perAddress: engine.config.limits.connectionsPerAddress,
        perSecond: engine.config.limits.connectsPerSecond,
      },
      tls: engine.config.tls.http ? tlsOptions(engine.config) : undefined,
      audit: (entry) => logger.info("audit", { ...entry }),
    });
  } catch (error) {
    engine.close();
    throw error;
  }
}

/** Opens the gRPC listener, if it is enabled. */
async function listenGrpc(http: HttpServer, engine: Engine): Promise<LazyGrpc | undefined> {
  const { grpc } = engine.config;
  if (!grpc.enable) return undefined;
  const { host, port } = grpc;
  try {
    const { LazyGrpc: Listener } = await import("../src/api/grpc/lazy.ts");
    const tls = tlsOptions(engine.config);
    return await Listener.start(http.context, { host, port, visitors: http.access, tls });
  } catch (error) {
    await http.stop();
    engine.close();
    throw error;
  }
}

/** One line that says where everything is: for people, and for programs that start esc on any free port. */
function announce(
  engine: Engine,
  { http, grpc }: { http: string; grpc: string | undefined },
  logger: Logger,
): void {
  const { tcp, udp } = engine.addresses;
  logger.info("ready", {
    version: VERSION,
    http,
    ...(tcp === undefined ? {} : { tcp: `${tcp.host}:${tcp.port}` }),
    ...(udp === undefined ? {} : { udp: `${udp.host}:${udp.port}` }),
    ...(grpc === undefined ? {} : { grpc }),
    data: engine.config.data.dir,
    start_ms: Math.round(performance.now()),
  });
}

/** Takes over what can be changed while the server runs, all of it or nothing. */
class Reloader {
  readonly #path: string | undefined;
  readonly #context: CommandContext;
  readonly #engine: Engine;
  readonly #logger: Logger;
  /** Set once it listens. */
  http: HttpServer | undefined;
  grpc: LazyGrpc | undefined;
  #running: ServedConfig;
  /** Settles with the reload that was asked for last. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    path: string | undefined,
    context: CommandContext,
    engine: Engine,
    running: ServedConfig,
    logger: Logger,
  ) {
    this.#path = path;
    this.#context = context;
    this.#engine = engine;
    this.#running = running;
    this.#logger = logger;
  }

  get running(): ServedConfig {
    return this.#running;
  }

  /** One after the other, however many ask at the same time. */
  reload(): Promise<ReloadResult> {
    const result = this.#last.then(() => this.#reload());
    this.#last = result.catch(() => {});
    return result;
  }

  async #reload(): Promise<ReloadResult> {
    const { planReload, printableNext } = await import("../src/config/plan.ts");
    const wanted = await this.#load();
    const { next, live, restart } = planReload(this.#running.config, wanted.config);
    const applied = live.map((change) => change.key);
    const needsRestart = restart.map((change) => change.key);
    const printable = printableNext(next, this.#running, wanted);
    this.#engine.apply(next);
    await this.#applySecurity(next);
    this.#logger.level = next.logging.level;
    this.#running = { config: next, notices: wanted.notices, printable };
    this.#logger.info("configuration reloaded", { applied, needs_restart: needsRestart });
    return { applied, needsRestart };
  }

  /** Reads the file again. @throws {EscError} CONFIG_INVALID: the server goes on as it is, and has said so. */
  async #load(): Promise<ServedConfig> {
    try {
      return await loadAside({ path: this.#path, environment: { ...this.#context.env } });
    } catch (error) {
      this.#logger.error("configuration not reloaded, everything stays as it is", {
        reason: error instanceof Error ? error.message : String(error),
      });
      throw error;
    }
  }

  /** Certificates of main's own listeners; connections that are open go on unless they are not allowed any more. */
  async #applySecurity(next: Config): Promise<void> {
    const tls = tlsOptions(next);
    if (tls !== undefined && !isDeepStrictEqual(tls, tlsOptions(this.#running.config))) {
      if (next.tls.http) await this.http?.replaceTls(tls);
      this.grpc?.replaceTls(tls);
    }
    await this.http?.identifyAgain();
  }
}
