/**
 * Config → running engine.
 *
 * Starts downstream first (lane workers, dispatcher, sources), so that nobody hands anything to a
 * thread that is not there, and stops upstream first, so that everything accepted reaches the log:
 *
 *     quiesce sources → drain dispatcher → drain lane workers → last ACKs, close sockets
 *
 * Main thread only.
 */
import { Authenticator } from "./auth/authenticator.ts";
import type { Config } from "./config/config.ts";
import { EngineControl } from "./engine-control.ts";
import { DataDirectory } from "./data-directory.ts";
import { answerConsumerMessage, localConsumers } from "./deliver/consumer-link.ts";
import type { ConsumerMessage, Consumers } from "./deliver/consumer-link.ts";
import { ConsumerStore } from "./deliver/consumer.ts";
import { threadCpus } from "./engine-affinity.ts";
import { createEngineMemory } from "./engine-memory.ts";
import type { EngineMemory, ThreadMemory } from "./engine-memory.ts";
import {
  dispatchOptions,
  ingestOptions,
  laneLimits,
  laneOptions,
  limitOptions,
  routeOptions,
  tlsOptions,
} from "./engine-options.ts";
import { type ProcessorMessage, processorOptions } from "./engine-processor.ts";
import { feedOptions, MarketDesk } from "./engine-feeds.ts";
import { sinkOptions } from "./engine-store.ts";
import { EscError } from "./errors.ts";
import { AlertBoard } from "./process/alerts/board.ts";
import type { HandlerFacts } from "./process/handlers/user/desk.ts";
import { Source } from "./ingest/source.ts";
import type { IdentifyMessage } from "./ingest/doorkeeper.ts";
import type { FeedMessage } from "./ingest/feeds/worker.ts";
import type { SessionLimits } from "./ingest/session-context.ts";
import { sessionLimits } from "./ingest/session-limits.ts";
import type { TlsListenerOptions } from "./ingest/tcp.ts";
import type { Address, IngestMessage } from "./ingest/worker.ts";
import type { Logger, LogMessage } from "./logging/logger.ts";
import { COMMAND_DRAIN, COMMAND_PAUSE, COMMAND_RUN, STATE_DRAINED, STATE_RUNNING } from "./queue/control.ts";
import { Doorbell } from "./queue/doorbell.ts";
import { SupervisedWorker } from "./supervise.ts";
import { requireKnownFormat } from "./log/known-format.ts";
import { nodeFiles } from "./log/node-files.ts";
import { nowUs } from "./system/clock.ts";
import { workerUrl } from "./threads.ts";
import { TopicCatalogue } from "./engine-topics.ts";
import type { WorkerEntry } from "./threads.ts";

/** How often a state that another thread is expected to reach is looked at. Start and stop only. */
const LOOK_MS = 1;
/** A thread that has not reported for duty by then is not going to. */
const START_TIMEOUT_MS = 30_000;
/** The processor gets this part of the time for stopping to catch up. */
const SETTLE_SHARE = 3;
/** Lines of a rule's alerts, until the log has had a rest of them. */
const ALERTS_LOGGED_MAX = 50;
/** Deaths during the start after which it is given up. */
const START_DEATHS_MAX = 3;

export interface EngineParts {
  readonly version: string;
  readonly logger: Logger;
  /** A socket for the TCP listener that listens already. */
  readonly tcpDescriptor?: number | undefined;
}

/** Where the listeners of the ingest workers are bound. */
export interface BoundAddresses {
  readonly tcp?: Address;
  readonly udp?: Address;
}

/** RUNNING: all works. PAUSED: lanes stand still. DRAINING: on the way to the end. */
export type PipelineState = "RUNNING" | "PAUSED" | "DRAINING";

type WorkerMessage = LogMessage | IngestMessage | ConsumerMessage | ProcessorMessage | FeedMessage;

export class Engine {
  readonly config: Config;
  readonly memory: EngineMemory;
  /** Main's own end towards the dispatcher: HTTP, WebSocket and gRPC publish through it. */
  readonly source: Source;
  readonly consumers: ConsumerStore;
  /** Alerts of all threads, for the API and the log. */
  readonly alerts: AlertBoard;
  /** The same, as subscriptions on the main thread use it. */
  readonly localConsumers: Consumers;
  /** Judges how the engine is doing, and acts. */
  readonly control: EngineControl;
  readonly startedMs = Date.now();
  readonly version: string;
  /** Who clients are; `undefined` where everybody may do everything. */
  readonly authenticator: Authenticator | undefined;
  /** What one client of main's own listeners may use. */
  readonly sessionLimits: SessionLimits;
  /** Set once the ingest workers listen. */
  addresses: BoundAddresses = {};
  /** Datagrams the kernel dropped before esc could read them. */
  udpKernelDrops = 0;
  /** What is known of the handlers of the user's. */
  handlers: readonly HandlerFacts[] = [];
  /** What holds now of what a reload replaces. */
  applied: Pick<Config, "topics" | "lanes" | "dedup">;
  /** Less than `log.low_free` is free on the disk of the data directory. */
  isDiskLow = false;
  #state: PipelineState = "RUNNING";
  /** Of the TCP listeners, as it was loaded last. */
  #tls: TlsListenerOptions | undefined;
  readonly #tcpDescriptor: number | undefined;
  readonly #logger: Logger;
  readonly #data: DataDirectory;
  readonly #topics: TopicCatalogue;
  readonly #lanes: SupervisedWorker[] = [];
  readonly #ingest: SupervisedWorker[] = [];
  #dispatcher: SupervisedWorker | undefined;
  #sink: SupervisedWorker | undefined;
  #processor: SupervisedWorker | undefined;
  #feeds: SupervisedWorker | undefined;
  /** Questions to the feed thread; present when feeds are configured. */
  readonly market: MarketDesk | undefined;
  #isSettled = false;
  #startFailure: EscError | undefined;
  #isStarted = false;
  readonly #listening = new Set<string>();
  readonly #quiesced = new Set<string>();

  private constructor(config: Config, parts: EngineParts) {
    this.config = config;
    this.applied = config;
    this.version = parts.version;
    this.#logger = parts.logger;
    this.#tcpDescriptor = parts.tcpDescriptor;
    this.#tls = config.tls.tcp ? tlsOptions(config) : undefined;
    this.authenticator = config.auth.enabled
      ? new Authenticator(config.auth, {
        nowMs: Date.now,
        warn: (message) => this.#logger.limited(message, "warn", message),
      })
      : undefined;
    this.market = config.feeds.length === 0
      ? undefined
      : new MarketDesk((command) => this.#feeds?.post(command));
    this.#data = new DataDirectory(config.data.dir);
    this.memory = createEngineMemory(config, this.#data.layout);
    requireKnownFormat(nodeFiles, this.memory.shards.map(({ info }) => info.directory));
    this.sessionLimits = sessionLimits(limitOptions(config, this.memory));
    this.#topics = new TopicCatalogue(
      this.#data.layout.topics,
      this.memory.topics,
      config.lanes.map((lane) => lane.name),
      this.#logger,
    );
    this.consumers = new ConsumerStore({
      directory: this.#data.layout.consumers,
      nowUs,
      report: (problem, cause) => this.#logger.warn(problem, { cause: String(cause) }),
    });
    this.localConsumers = localConsumers(this.consumers);
    this.alerts = new AlertBoard((alert) =>
      this.#logger.limited(`alert ${alert.rule}`, "warn", `alert ${alert.rule}: ${alert.message}`, {
        severity: alert.severity,
        topic: alert.topic,
        source: alert.source,
        ...(alert.suppressed === 0 ? {} : { cooled_down: alert.suppressed }),
      }, ALERTS_LOGGED_MAX)
    );
    this.control = new EngineControl(config, this.memory, { logger: this.#logger, alerts: this.alerts });
    const { main, dispatcher } = this.memory;
    this.source = new Source({
      index: main.index,
      ring: main.ring,
      dispatcherDoorbell: new Doorbell(dispatcher.doorbell),
      completions: [main.fromDispatcher, ...main.fromLanes],
      counters: main.counters,
      blocked: main.blocked,
      latencies: main.latencies,
      shardCount: this.memory.shards.length,
      nowUs,
    });
  }

  /**
   * Starts everything and waits until the listeners are bound.
   *
   * @throws {EscError} DATA_LOCKED, ADDRESS_IN_USE, LOG_VERSION, LOG_UNAVAILABLE: nothing runs then.
   */
  static async start(config: Config, parts: EngineParts): Promise<Engine> {
    const engine = new Engine(config, parts);
    try {
      await engine.#startThreads();
      return engine;
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  get state(): PipelineState {
    return this.#state;
  }

  /** Every worker thread, for metrics and health. */
  get workers(): readonly SupervisedWorker[] {
    const single = [this.#feeds, this.#dispatcher, this.#sink, this.#processor].filter((worker) =>
      worker !== undefined
    );
    return [...this.#ingest, ...single, ...this.#lanes];
  }

  /** Lanes stop taking from their queues: backlog is kept, producers feel the overflow policy. */
  pause(): void {
    if (this.#state !== "RUNNING") return;
    this.#state = "PAUSED";
    this.control.stop();
    for (const lane of this.#lanes) lane.command(COMMAND_PAUSE);
    this.#logger.info("lanes paused");
  }

  /** Lanes go on with their backlog, and with what the control plane held. */
  resume(): void {
    if (this.#state === "DRAINING") return;
    this.control.reset();
    if (this.#state !== "PAUSED") return;
    this.#state = "RUNNING";
    for (const lane of this.#lanes) lane.command(COMMAND_RUN);
    this.#logger.info("lanes resumed");
  }

  /**
   * Takes over what can change while it runs: topic rules for events dispatched from now on, retention, the
   * dedup window, limits of the control plane, and who is let in. Threads that are started again keep to it.
   *
   * @param config From `takeOver()`: its lanes are those that run.
   */
  apply(config: Config): void {
    this.#dispatcher?.postStanding({ type: "routes", routes: routeOptions(config, this.memory) });
    for (const [thread, lane] of this.#lanes.entries()) {
      lane.postStanding({ type: "limits", shards: laneLimits(thread, config, this.memory) });
    }
    this.control.apply(config);
    this.#applySecurity(config);
    this.applied = config;
  }

  /**
   * Tokens, keys, permissions and certificates. Clients that are not let in any more are disconnected; new
   * connections get the new certificate, those that are open keep theirs.
   */
  #applySecurity(config: Config): void {
    this.authenticator?.replace(config.auth);
    const tls = config.tls.tcp ? tlsOptions(config) : undefined;
    const isOtherTls = tls !== undefined && !Bun.deepEquals(tls, this.#tls);
    if (isOtherTls) this.#tls = tls;
    for (const worker of this.#ingest) {
      if (isOtherTls) worker.postStanding({ type: "tls", tls });
      if (this.authenticator === undefined) continue;
      worker.postStanding({ type: "udp_allow", allow: config.auth.udp });
      worker.post({ type: "identify_again" });
    }
  }

  /**
   * Stops in the order of the stream. Main's own listeners must not publish any more. Everything accepted
   * is in the log and synced when it returns `true`.
   *
   * @returns `false` when `timeoutMs` passed first: what was not acknowledged may be missing.
   */
  async stop(timeoutMs: number): Promise<boolean> {
    const deadlineMs = Date.now() + timeoutMs;
    this.#state = "DRAINING";
    this.control.stop();
    const readers = [...this.#ingest, ...(this.#feeds === undefined ? [] : [this.#feeds])];
    for (const worker of readers) worker.post({ type: "quiesce" });
    let complete = await until(() => this.#quiesced.size === readers.length, deadlineMs);
    await this.#settleProcessor(deadlineMs);
    if (this.#dispatcher !== undefined) complete = await drain([this.#dispatcher], deadlineMs) && complete;
    complete = await drain(this.#lanes, deadlineMs) && complete;
    if (this.#processor !== undefined && !await drain([this.#processor], deadlineMs)) {
      this.#logger.warn("processing is behind; it is caught up at the next start");
    }
    // What it cannot store now it reads from the log next time: that is no loss.
    if (this.#sink !== undefined && !await drain([this.#sink], deadlineMs)) {
      this.#logger.warn("the store is behind; it is caught up at the next start");
    }
    this.source.poll();
    for (const worker of readers) {
      worker.expectEnd();
      worker.post({ type: "finish" });
    }
    await Promise.race([Promise.all(readers.map((worker) => worker.ended)), sleepUntil(deadlineMs)]);
    this.consumers.flush();
    return complete;
  }

  /**
   * Ends whatever still runs and gives the data directory back. After `stop()` and the last answers of
   * main's own listeners nothing runs any more; without it, only what is in the log is promised.
   */
  close(): void {
    this.control.stop();
    this.#topics.close();
    for (const worker of this.workers) worker.abort();
    this.#data.close();
  }

  async #startThreads(): Promise<void> {
    const cpus = threadCpus(this.config.numa, this.#logger);
    for (const [index, thread] of this.memory.laneThreads.entries()) {
      const options = laneOptions(index, this.config, this.memory, cpus);
      this.#lanes.push(this.#spawn(thread.name, "src/process/worker.ts", thread, options));
    }
    await this.#running(this.#lanes);
    const { sink } = this.memory;
    if (sink !== undefined) {
      const options = sinkOptions(sink, this.config, this.memory, this.#data.layout);
      this.#sink = this.#spawn("sink", "src/store/worker.ts", sink, options);
    }
    const dispatcher = this.memory.dispatcher;
    const options = dispatchOptions(this.config, this.memory, cpus);
    this.#dispatcher = this.#spawn("dispatcher", "src/dispatch/worker.ts", dispatcher, options);
    await this.#running([this.#dispatcher]);
    await this.#startProcessor();
    for (const source of this.memory.sources.slice(0, this.memory.main.index)) {
      const options = ingestOptions(
        source,
        this.config,
        this.memory,
        this.#data.layout,
        this.version,
        cpus,
        this.#tcpDescriptor,
      );
      this.#ingest.push(this.#spawn(`ingest-${source.index}`, "src/ingest/worker.ts", source, options));
    }
    const { feeds } = this.memory;
    if (feeds !== undefined) {
      const options = feedOptions(feeds, this.config, this.memory, this.#data.layout);
      this.#feeds = this.#spawn("feeds", "src/ingest/feeds/worker.ts", feeds, options);
      await this.#running([this.#feeds]);
    }
    // Their message, not their state: it carries the addresses.
    await this.#started(() => this.#listening.size === this.#ingest.length);
    this.#isStarted = true;
    this.control.start();
  }

  /** Starts the thread of rules, windows and handlers, if any are configured. */
  async #startProcessor(): Promise<void> {
    const { processor } = this.memory;
    if (processor === undefined) return;
    const options = processorOptions(processor, this.config, this.memory, this.#data.layout);
    this.#processor = this.#spawn("processor", "src/engine-processor-worker.ts", processor, options);
    await this.#running([this.#processor]);
  }

  /**
   * Lets the processor catch up and publish while the dispatcher still takes its results. It may be far
   * behind, so it gets a part of the time only: it goes on at the next start.
   */
  async #settleProcessor(deadlineMs: number): Promise<void> {
    if (this.#processor === undefined) return;
    this.#processor.post({ type: "settle" });
    const nowMs = Date.now();
    await until(() => this.#isSettled, nowMs + (deadlineMs - nowMs) / SETTLE_SHARE);
  }

  #running(workers: readonly SupervisedWorker[]): Promise<void> {
    return this.#started(() => workers.every((worker) => worker.control.state === STATE_RUNNING));
  }

  async #started(condition: () => boolean): Promise<void> {
    const isSettled = () => this.#startFailure !== undefined || condition();
    const settled = await until(isSettled, Date.now() + START_TIMEOUT_MS);
    if (this.#startFailure !== undefined) throw this.#startFailure;
    if (!settled) throw new EscError("INTERNAL", "A worker thread did not start in time");
  }

  #spawn(name: string, entry: WorkerEntry, thread: ThreadMemory, options: unknown): SupervisedWorker {
    const worker: SupervisedWorker = new SupervisedWorker({
      name,
      url: workerUrl(entry),
      options,
      control: thread.control,
      doorbell: new Doorbell(thread.doorbell),
      onMessage: (message) => this.#onMessage(worker, message as WorkerMessage),
      onDeath: (reason, restartMs) => this.#onDeath(worker, reason, restartMs),
      onRestart: () => this.#logger.info("worker restarted", { worker: name, restarts: worker.restartCount }),
    });
    return worker;
  }

  #onMessage(worker: SupervisedWorker, message: WorkerMessage): void {
    if ("kind" in message) {
      answerConsumerMessage(this.consumers, message, (reply) => worker.post(reply));
      return;
    }
    switch (message.type) {
      case "log":
        this.#logger.limited(
          `${worker.name}:${message.message}`,
          message.level,
          message.message,
          { worker: worker.name, ...("fields" in message ? message.fields : {}) },
        );
        break;
      case "listening":
        this.#listening.add(worker.name);
        this.addresses = {
          ...this.addresses,
          ...(message.tcp === undefined ? {} : { tcp: message.tcp }),
          ...(message.udp === undefined ? {} : { udp: message.udp }),
        };
        break;
      case "failed":
        this.#startFailure ??= new EscError(
          message.code,
          message.message,
          message.hint === undefined ? {} : { hint: message.hint },
        );
        break;
      case "market_answer":
        this.market?.answer(message);
        break;
      case "settled":
        this.#isSettled = true;
        break;
      case "handlers":
        this.handlers = message.handlers;
        break;
      case "alert":
        this.alerts.add(message.alert);
        break;
      case "identify":
        void this.#identify(worker, message);
        break;
      case "quiesced":
        this.#quiesced.add(worker.name);
        break;
      case "udp_kernel_drops":
        this.udpKernelDrops = message.count;
        break;
    }
  }

  async #identify(worker: SupervisedWorker, { question, credentials }: IdentifyMessage): Promise<void> {
    const verdict = await this.authenticator?.authenticate(credentials) ??
      { problem: "Nobody is known here" };
    worker.post({ type: "identified", question, verdict });
  }

  #onDeath(worker: SupervisedWorker, reason: string, restartMs: number): void {
    if (!this.#isStarted && worker.restartCount >= START_DEATHS_MAX) {
      this.#startFailure ??= new EscError("INTERNAL", `Worker ${worker.name} cannot start: ${reason}`);
    }
    this.#logger.error("worker died, restarting it", { worker: worker.name, reason, restart_ms: restartMs });
  }
}

/** Lets threads finish their queues and end. */
async function drain(workers: readonly SupervisedWorker[], deadlineMs: number): Promise<boolean> {
  for (const worker of workers) {
    worker.expectEnd();
    worker.command(COMMAND_DRAIN);
  }
  return await until(() => workers.every((worker) => worker.control.state === STATE_DRAINED), deadlineMs);
}

async function until(condition: () => boolean, deadlineMs: number): Promise<boolean> {
  while (!condition()) {
    if (Date.now() > deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return true;
}

function sleepUntil(deadlineMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, deadlineMs - Date.now())).unref());
}
