/** A TCP listener on an ephemeral port with the test as its engine, and a raw client for it. */
import type { Socket } from "bun";
import { TcpListener } from "../../src/ingest/tcp.ts";
import type { TcpListenerOptions } from "../../src/ingest/tcp.ts";
import { OP_ACK, OP_ERROR } from "../../src/event/frame.ts";
import { EngineEnd, splitFrames } from "./engine-end.ts";

export class TcpRig {
  readonly engine: EngineEnd;
  readonly listener: TcpListener;
  readonly defects: unknown[] = [];
  /** Whether the engine takes what is published, on its own. */
  takes = true;
  readonly source;
  readonly #timer;
  #lastUs = 0;

  constructor(options: Partial<TcpListenerOptions> = {}, engine = new EngineEnd()) {
    this.engine = engine;
    this.source = engine.openSource();
    this.listener = new TcpListener({
      host: "127.0.0.1",
      port: 0,
      maxConnections: 10,
      maxFrameBytes: 64 * 1024,
      idleTimeoutMs: null,
      portShares: 1,
      ...options,
    }, {
      source: this.source,
      serverVersion: "1.2.3",
      nowUs: () => this.#nowUs(),
      wake: () => {},
      openSubscriptions: undefined,
      onDefect: (error) => this.defects.push(error),
    });
    this.#timer = setInterval(() => this.turn(), 1);
  }

  turn(): void {
    if (this.takes) this.engine.take();
    this.source.poll();
    this.listener.turn();
  }

  /** Never the same twice, so that a session's `receivedUs` tells whether something came. */
  #nowUs(): number {
    return this.#lastUs = Math.max(this.#lastUs + 1, Date.now() * 1000);
  }

  close(): void {
    clearInterval(this.#timer);
    this.listener.abort();
  }
}

/** Settles when `holds` does; looked at on every turn of the event loop. */
export async function until(holds: () => boolean, what = "the awaited state"): Promise<void> {
  const untilMs = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > untilMs) throw new Error(`Waited 10 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export class RawClient {
  received = Buffer.alloc(0);
  /** The server has closed its direction, or everything. */
  ended = false;
  #waiting: Uint8Array[] = [];
  #socket: Socket | undefined;

  static async connect(port: number): Promise<RawClient> {
    const client = new RawClient();
    client.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      allowHalfOpen: true,
      socket: {
        data: (_socket, chunk) => {
          client.received = Buffer.concat([client.received, chunk]);
        },
        drain: () => client.#flush(),
        end: () => {
          client.ended = true;
        },
        close: () => {
          client.ended = true;
        },
        error: () => {
          client.ended = true;
        },
      },
    });
    client.#socket.setNoDelay(true);
    return client;
  }

  write(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (this.#waiting.length === 1) this.#flush();
  }

  get isFlushed(): boolean {
    return this.#waiting.length === 0;
  }

  /** Ends our direction. */
  finish(): void {
    this.#socket?.shutdown();
  }

  close(): void {
    this.#socket?.end();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Whole frames received so far: opcode and payload. */
  frames(): { opcode: number; payload: Buffer }[] {
    let end = 0;
    while (
      end + 4 <= this.received.length && end + 4 + this.received.readUInt32BE(end) <= this.received.length
    ) {
      end += 4 + this.received.readUInt32BE(end);
    }
    return splitFrames(this.received.subarray(0, end)).map((frame) => ({
      opcode: frame[5] as number,
      payload: frame.subarray(6),
    }));
  }

  json(opcode: number): unknown[] {
    return this.frames().filter((frame) => frame.opcode === opcode).map((frame) =>
      JSON.parse(String(frame.payload))
    );
  }

  errors(): unknown[] {
    return this.json(OP_ERROR);
  }

  /** The highest cumulative acknowledgement received. */
  acked(): number {
    const acks = this.frames().filter((frame) => frame.opcode === OP_ACK);
    return acks.length === 0 ? 0 : Number(acks[acks.length - 1]?.payload.readBigUInt64BE());
  }

  #flush(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#socket === undefined) return;
      const written = this.#socket.write(next);
      if (written < 0) {
        this.#waiting = [];
        return;
      }
      if (written < next.length) {
        this.#waiting[0] = next.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
  }
}
