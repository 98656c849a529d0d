/** A real ingest worker thread with the test as its engine. */
import { Worker } from "node:worker_threads";
import type { IngestCommand, IngestMessage, IngestWorkerOptions } from "../../src/ingest/worker.ts";
import { createShardState } from "../../src/log/shard-state.ts";
import { createControl } from "../../src/queue/control.ts";
import { EngineEnd } from "./engine-end.ts";
import { until } from "./tcp-rig.ts";

export class WorkerRig {
  readonly engine: EngineEnd;
  readonly control = createControl();
  readonly shardState = createShardState();
  readonly messages: IngestMessage[] = [];
  exitCode: number | undefined;
  readonly worker: Worker;
  readonly #timer;

  private constructor(directory: string, options: Partial<IngestWorkerOptions>, engine: EngineEnd) {
    this.engine = engine;
    const workerData: IngestWorkerOptions = {
      index: 0,
      control: this.control,
      doorbell: engine.sourceDoorbell,
      ring: engine.ring,
      dispatcherDoorbell: engine.dispatcherDoorbell,
      completions: [engine.completions],
      counters: engine.counters,
      latencies: engine.latencies,
      blocked: engine.blocked,
      shards: [{ index: 0, lane: "batch", shard: 0, directory: `${directory}/log`, state: this.shardState }],
      serverVersion: "1.2.3",
      maxFrameBytes: 64 * 1024,
      tcp: { host: "127.0.0.1", port: 0, maxConnections: 50, idleTimeoutMs: null, portShares: 1 },
      udp: { host: "127.0.0.1", port: 0, receiveBufferBytes: 1 << 20 },
      files: [],
      checkpointsDirectory: `${directory}/checkpoints`,
      ...options,
    };
    this.worker = new Worker(new URL("../../src/ingest/worker.ts", import.meta.url), { workerData });
    this.worker.on("message", (message: IngestMessage) => this.messages.push(message));
    this.worker.on("exit", (code) => {
      this.exitCode = code;
    });
    this.#timer = setInterval(() => engine.take(), 1);
  }

  /** Settles when the worker is listening or has failed. */
  static async start(
    directory: string,
    options: Partial<IngestWorkerOptions> = {},
    engine = new EngineEnd(),
  ): Promise<WorkerRig> {
    const rig = new WorkerRig(directory, options, engine);
    await until(() => rig.messages.length > 0, "the worker's first message");
    return rig;
  }

  get tcpPort(): number {
    const [first] = this.messages;
    return first && "type" in first && first.type === "listening" ? first.tcp?.port ?? 0 : 0;
  }

  get udpPort(): number {
    const [first] = this.messages;
    return first && "type" in first && first.type === "listening" ? first.udp?.port ?? 0 : 0;
  }

  post(command: IngestCommand): void {
    this.worker.postMessage(command);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.worker.terminate();
  }
}
