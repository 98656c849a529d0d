/**
 * The ingest thread: sockets, datagrams and files on one side, one `Source` towards the engine on the other.
 *
 * It has an event loop, so it never blocks: it sleeps by `waitAsync` on its doorbell, which rings for
 * verdicts, for newly visible events while it serves subscriptions, and for messages of main.
 *
 *     serving → quiesced (nothing more is read) → finished (last answers are out)
 */
import { LISTENERS } from "../event/frame.ts";
import { parentPort, workerData } from "node:worker_threads";
import { ConsumerLink } from "../deliver/consumer-link.ts";
import type { ConsumerMessage, ConsumerReply } from "../deliver/consumer-link.ts";
import { Subscriptions } from "../deliver/subscriptions.ts";
import { ShardTails } from "../deliver/tail.ts";
import { EscError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { describeDamage } from "../log/damage.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import { count } from "../metrics/counters.ts";
import { openSourceLatency, SOURCE_DELIVER } from "../metrics/latency.ts";
import { SOURCE_SLOW, SOURCE_SUBSCRIBERS } from "../metrics/layout.ts";
import type { CompletionMemory } from "../queue/completions.ts";
import { STATE_DRAINED, STATE_RUNNING, ThreadControl } from "../queue/control.ts";
import { Doorbell } from "../queue/doorbell.ts";
import type { RingMemory } from "../queue/ring.ts";
import { pinThread } from "../system/affinity.ts";
import { nowUs } from "../system/clock.ts";
import { shrinkHeap } from "../system/resident.ts";
import { Doorkeeper } from "./doorkeeper.ts";
import type { IdentifiedMessage, IdentifyMessage } from "./doorkeeper.ts";
import { FileSource } from "./file.ts";
import type { FileSourceOptions } from "./file.ts";
import { Laggards } from "./laggards.ts";
import { sessionLimits } from "./session-limits.ts";
import type { SessionLimitOptions } from "./session-limits.ts";
import type { Session } from "./session.ts";
import { Source } from "./source.ts";
import { TcpListener } from "./tcp.ts";
import type { TcpListenerOptions, TlsListenerOptions } from "./tcp.ts";
import { UdpListener } from "./udp.ts";
import type { UdpAllowance, UdpListenerOptions } from "./udp.ts";

/** `workerData` of an ingest thread; structured-cloneable, the same for every incarnation. */
export interface IngestWorkerOptions {
  /** Number of this source, in run records. */
  readonly index: number;
  readonly control: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly ring: RingMemory;
  readonly dispatcherDoorbell: SharedArrayBuffer;
  /** Verdicts for this source: from the dispatcher, and from each lane thread. */
  readonly completions: readonly CompletionMemory[];
  readonly counters: SharedArrayBuffer;
  readonly latencies: SharedArrayBuffer;
  readonly blocked: SharedArrayBuffer;
  readonly shards: readonly ShardInfo[];
  readonly serverVersion: string;
  readonly maxFrameBytes: number;
  readonly tcp?: Omit<TcpListenerOptions, "maxFrameBytes">;
  readonly udp?: Omit<UdpListenerOptions, "maxFrameBytes">;
  /** Whether clients must say who they are: main is asked who that is. */
  readonly asksWho?: boolean;
  readonly limits?: SessionLimitOptions;
  readonly files: readonly FileSourceOptions[];
  readonly checkpointsDirectory: string;
  /** CPUs this thread is bound to; absent: any. */
  readonly cpus?: readonly number[];
}

/** Main → ingest thread. After `quiesce` nothing is read; after `finish` the thread ends. */
export type IngestCommand =
  | { readonly type: "quiesce" }
  | { readonly type: "finish" }
  | IdentifiedMessage
  /** Tokens or permissions have changed. */
  | { readonly type: "identify_again" }
  | { readonly type: "tls"; readonly tls: TlsListenerOptions }
  | { readonly type: "udp_allow"; readonly allow: UdpAllowance }
  | ConsumerReply;

/** Ingest thread → main. */
export type IngestMessage =
  | { readonly type: "listening"; readonly tcp?: Address; readonly udp?: UdpAddress }
  /** The thread cannot serve and ends; `listening` will not come. */
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string; readonly hint?: string }
  | { readonly type: "quiesced" }
  | { readonly type: "log"; readonly level: "warn" | "error"; readonly message: string }
  /** Datagrams the kernel has dropped since the socket was opened; sent when it has grown. */
  | { readonly type: "udp_kernel_drops"; readonly count: number }
  | IdentifyMessage
  | ConsumerMessage;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface UdpAddress extends Address {
  /** Receive buffer granted by the kernel. */
  readonly receiveBufferBytes: number;
}

/** Longest sleep: a ring that was missed is made good after this. */
const SLEEP_MS = 200;
/** Sleep while somebody waits for room in the ring or for a full lane: neither rings our bell. */
const WAITING_SLEEP_MS = 2;
const HOUSEKEEPING_US = 1_000_000;
/** Files of the log that no subscriber reads any more are closed so often, in rounds of housekeeping. */
const SWEEP_ROUNDS = 60;
/** How long `quiesce` goes on reading what had arrived before it. */
const QUIESCE_MS_MAX = 300;
/** How long `finish` waits for clients to take their last answers. */
const FINISH_MS_MAX = 2_000;
const LINGER_MS_MAX = 200;

class IngestThread {
  readonly #options: IngestWorkerOptions;
  readonly #control: ThreadControl;
  readonly #doorbell: Doorbell;
  readonly #source: Source;
  readonly #tails: ShardTails;
  readonly #consumers: ConsumerLink;
  readonly #doorkeeper: Doorkeeper | undefined;
  #tcp: TcpListener | undefined;
  #udp: UdpListener | undefined;
  /** What has replaced that of the options, perhaps before the socket was open. */
  #udpAllowance: UdpAllowance | undefined;
  #files: readonly FileSource[] = [];
  readonly #laggards = new Laggards();
  #subscriptionCount = 0;
  #kernelDrops = 0;
  #swept = 0;
  #rounds = 0;
  #ended = false;

  constructor(options: IngestWorkerOptions) {
    this.#options = options;
    this.#control = new ThreadControl(options.control);
    this.#doorbell = new Doorbell(options.doorbell);
    this.#source = new Source({
      index: options.index,
      ring: options.ring,
      dispatcherDoorbell: new Doorbell(options.dispatcherDoorbell),
      completions: options.completions,
      counters: options.counters,
      latencies: options.latencies,
      shardCount: options.shards.length,
      blocked: options.blocked,
      nowUs,
    });
    this.#tails = new ShardTails(options.shards, (damage) => {
      // What retention took is no damage, and a slow reader would say it again and again.
      if (damage.kind !== "removed") log("warn", describeDamage(damage));
    });
    this.#consumers = new ConsumerLink(post);
    this.#doorkeeper = options.asksWho === true ? new Doorkeeper(post) : undefined;
    this.#countSubscriptions(0);
  }

  /** Binds everything, says so, and serves until `finish`. */
  async run(): Promise<void> {
    await this.#listen();
    this.#control.state = STATE_RUNNING;
    await shrinkHeap();
    while (!this.#ended) {
      this.#control.beat();
      if (this.#turn()) {
        await nextTurn();
        continue;
      }
      const ticket = this.#doorbell.arm();
      // Whatever was published before the bell was armed is found by this second look.
      if (this.#turn()) {
        this.#doorbell.disarm();
        continue;
      }
      await this.#doorbell.waitAsync(ticket, this.#isWaiting() ? WAITING_SLEEP_MS : SLEEP_MS);
      this.#doorbell.disarm();
    }
  }

  receive(command: IngestCommand): void {
    if ("kind" in command) return this.#consumers.receive(command);
    switch (command.type) {
      case "quiesce":
        return void this.#quiesce();
      case "finish":
        return void this.#finish();
      case "identified":
        return this.#doorkeeper?.receive(command);
      case "identify_again":
        return this.#tcp?.identifyAgain();
      case "tls":
        return void this.#replaceTls(command.tls);
      case "udp_allow":
        this.#udpAllowance = command.allow;
        return this.#udp?.allow(command.allow);
    }
  }

  async #replaceTls(tls: TlsListenerOptions): Promise<void> {
    try {
      await this.#tcp?.replaceTls(tls);
    } catch (error) {
      if (!(error instanceof EscError)) throw error;
      log("error", `The new certificate is not used: ${error.message}`);
    }
  }

  async #listen(): Promise<void> {
    const { tcp, udp, files, maxFrameBytes, serverVersion, checkpointsDirectory } = this.#options;
    const source = this.#source;
    const wake = () => this.#doorbell.ring();
    const onDefect = (error: unknown) => log("error", `Defect in a listener: ${describe(error)}`);
    if (tcp !== undefined) {
      this.#tcp = new TcpListener({ ...tcp, maxFrameBytes }, {
        source,
        serverVersion,
        nowUs,
        wake,
        auth: this.#doorkeeper,
        limits: this.#options.limits === undefined ? undefined : sessionLimits(this.#options.limits),
        openSubscriptions: (session) => this.#openSubscriptions(session),
        onDefect,
      });
    }
    if (udp !== undefined) {
      this.#udp = await UdpListener.open({ ...udp, maxFrameBytes }, { source, nowUs, onDefect });
      if (this.#udpAllowance !== undefined) this.#udp.allow(this.#udpAllowance);
    }
    const onProblem = (message: string, cause: unknown) => log("warn", `${message}: ${describe(cause)}`);
    this.#files = files.map((file) =>
      new FileSource(file, { source, checkpointsDirectory, maxFrameBytes, nowUs, wake, onProblem })
    );
    post({
      type: "listening",
      ...(tcp === undefined || this.#tcp === undefined
        ? {}
        : { tcp: { host: tcp.host, port: this.#tcp.port } }),
      ...(udp === undefined || this.#udp === undefined ? {} : {
        udp: { host: udp.host, port: this.#udp.port, receiveBufferBytes: this.#udp.receiveBufferBytes },
      }),
    });
  }

  /** All that can be done now. @returns Whether there may be more at once. */
  #turn(): boolean {
    let more = this.#source.poll();
    if (this.#tcp !== undefined) more = this.#tcp.turn() || more;
    for (const file of this.#files) file.turn();
    const now = nowUs();
    if (now - this.#swept >= HOUSEKEEPING_US) {
      this.#swept = now;
      this.#keepHouse();
    }
    return more;
  }

  #isWaiting(): boolean {
    return this.#tcp?.isWaiting === true || this.#files.some((file) => file.isWaiting);
  }

  #keepHouse(): void {
    this.#tcp?.sweepIdle();
    this.#laggards.look(this.#tcp?.sessions ?? [], (message) => log("warn", message));
    this.#source.counters[SOURCE_SLOW + LISTENERS.indexOf("tcp")] = this.#laggards.toldCount;
    if (++this.#rounds % SWEEP_ROUNDS === 0) this.#tails.sweep();
    const drops = this.#udp?.kernelDrops() ?? 0;
    if (drops <= this.#kernelDrops) return;
    this.#kernelDrops = drops;
    post({ type: "udp_kernel_drops", count: drops });
  }

  #openSubscriptions(session: Session): Subscriptions {
    return new Subscriptions({
      tails: this.#tails,
      meters: {
        counters: this.#source.counters,
        latencies: this.#options.shards.map((shard) =>
          openSourceLatency(this.#options.latencies, shard.index, SOURCE_DELIVER)
        ),
        nowUs,
      },
      consumers: this.#consumers,
      // The loop pumps: events go out in one place, and never from inside a handler.
      onReady: () => this.#doorbell.ring(),
      onRefused: (_id, problem) => session.sendError({ code: "BAD_CONTROL", message: problem.message }),
      onCountChange: (by) => this.#countSubscriptions(by),
    });
  }

  #countSubscriptions(by: number): void {
    this.#subscriptionCount += by;
    // Lane workers look here before they ring for newly visible events.
    this.#control.subscriptionCount = this.#subscriptionCount;
    count(this.#source.counters, SOURCE_SUBSCRIBERS, by);
    if (this.#subscriptionCount === 0) this.#tails.close();
  }

  /** Stops accepting, reads what had arrived, stops reading. */
  async #quiesce(): Promise<void> {
    this.#tcp?.stopAccepting();
    for (const file of this.#files) file.stop();
    const untilUs = nowUs() + QUIESCE_MS_MAX * 1000;
    // What lies in the sockets' buffers now was sent before the stop: two turns without input empty them.
    let seen = -1;
    for (let quiet = 0; quiet < 2 && nowUs() < untilUs;) {
      const received = this.#source.bytesOffered;
      quiet = received === seen && !this.#isWaiting() ? quiet + 1 : 0;
      seen = received;
      await pause();
    }
    this.#udp?.close();
    this.#udp = undefined;
    this.#tcp?.end();
    this.#source.publish();
    this.#consumers.flush();
    post({ type: "quiesced" });
  }

  /** Gives the last answers, closes, and ends the thread. */
  async #finish(): Promise<void> {
    const untilUs = nowUs() + FINISH_MS_MAX * 1000;
    this.#tcp?.stopAccepting();
    this.#tcp?.end();
    while (this.#tcp?.isAnswering === true && nowUs() < untilUs) await pause();
    // A client that takes its last bytes and closes gets the time for it; one that stays is left.
    const lingerUs = nowUs() + LINGER_MS_MAX * 1000;
    while ((this.#tcp?.sessions.size ?? 0) > 0 && nowUs() < lingerUs) await pause();
    this.#source.poll();
    this.#tcp?.abort();
    this.#udp?.close();
    for (const file of this.#files) file.close();
    this.#consumers.flush();
    this.#control.state = STATE_DRAINED;
    this.#ended = true;
    this.#doorbell.alarm();
    parentPort?.close();
  }
}

function post(message: IngestMessage): void {
  parentPort?.postMessage(message);
}

function log(level: "warn" | "error", message: string): void {
  post({ type: "log", level, message });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const options = workerData as IngestWorkerOptions;
// First of all: memory that this thread touches first should lie near its CPUs.
if (options.cpus !== undefined) pinThread(options.cpus);
const thread = new IngestThread(options);
parentPort?.on("message", (command: IngestCommand) => thread.receive(command));
try {
  await thread.run();
} catch (error) {
  if (!(error instanceof EscError)) throw error;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  post({ type: "failed", code: error.code, message: error.message, ...hint });
  parentPort?.close();
}
