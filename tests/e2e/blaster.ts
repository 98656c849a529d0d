/** A producer that sends the same event as fast as the server reads, or at a pace, and asks for no answer. */
import { event } from "./wire.ts";

const CHUNK_BYTES = 256 * 1024;

export class Blaster {
  /** Bytes sent so far. */
  sentBytes = 0;
  /** Most bytes a second, on the average since it was set. */
  #pace = Infinity;
  #paceFrom = { bytes: 0, ms: 0 };
  readonly #chunk: Buffer;
  #socket: Bun.Socket<undefined> | undefined;
  #rest: Buffer;

  private constructor(frame: Buffer) {
    this.#chunk = Buffer.concat(Array<Buffer>(Math.ceil(CHUNK_BYTES / frame.length)).fill(frame));
    this.#rest = this.#chunk;
  }

  /** Begins to send. @param priority 0..4. */
  static async start(port: number, topic: string, priority: number, payloadBytes: number): Promise<Blaster> {
    const blaster = new Blaster(event(topic, "x".repeat(payloadBytes), priority));
    blaster.#socket = await Bun.connect<undefined>({
      hostname: "127.0.0.1",
      port,
      socket: { data: () => {}, drain: () => blaster.#fill(), error: () => {} },
    });
    blaster.#fill();
    return blaster;
  }

  /** From now on it sends so many bytes a second, if the server takes them. */
  set pace(bytesPerSecond: number) {
    this.#pace = bytesPerSecond;
    this.#paceFrom = { bytes: this.sentBytes, ms: performance.now() };
  }

  /** Ends the connection after a whole frame, once all of it is with the server. */
  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    for (let rest = this.#rest; rest.length > 0;) {
      const written = socket.write(rest);
      if (written < 0) return;
      this.sentBytes += written;
      rest = rest.subarray(written);
      if (rest.length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    socket.end();
  }

  #fill(): void {
    const socket = this.#socket;
    // A chunk a turn: whoever shares this thread gets its turn, too.
    if (socket === undefined) return;
    const { bytes, ms } = this.#paceFrom;
    const aheadMs = ((this.sentBytes - bytes) / this.#pace) * 1000 - (performance.now() - ms);
    if (aheadMs > 0) {
      setTimeout(() => this.#fill(), aheadMs);
      return;
    }
    const written = Math.max(0, socket.write(this.#rest));
    this.sentBytes += written;
    const isTaken = written === this.#rest.length;
    this.#rest = isTaken ? this.#chunk : this.#rest.subarray(written);
    if (isTaken) setImmediate(() => this.#fill());
  }
}
