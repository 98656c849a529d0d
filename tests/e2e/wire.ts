/** A TCP connection to a server that sends and reads bytes, knowing nothing of `src/`. */

/** A frame that the server sent: its body. */
export type Body = Buffer;

/** One raw connection. */
export class Wire {
  /** Bodies of all frames received so far. */
  readonly bodies: Body[] = [];
  /** Whether the server has closed its direction. */
  hasEnded = false;
  #socket: Bun.Socket<undefined> | undefined;
  #rest = Buffer.alloc(0);
  #unsent = Buffer.alloc(0);
  #waiters: { isDone: () => boolean; resolve: () => void }[] = [];

  private constructor() {}

  static async connect(port: number): Promise<Wire> {
    const wire = new Wire();
    wire.#socket = await Bun.connect<undefined>({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => wire.#receive(chunk),
        drain: () => wire.send(),
        end: () => wire.#end(),
        close: () => wire.#end(),
        error: () => {},
      },
    });
    return wire;
  }

  /** Sends bytes, all of them, sooner or later. */
  send(...pieces: Uint8Array[]): void {
    this.#unsent = Buffer.concat([this.#unsent, ...pieces]);
    this.#unsent = this.#unsent.subarray(Math.max(0, this.#socket?.write(this.#unsent) ?? 0));
  }

  /** Stops reading until `resume()`. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    this.#socket?.terminate();
  }

  /** Resolves when something that arrived makes the condition true, or the server closes. */
  async until(isDone: () => boolean): Promise<void> {
    if (isDone() || this.hasEnded) return;
    await new Promise<void>((resolve) => this.#waiters.push({ isDone, resolve }));
  }

  /** JSON payloads of the control frames with this opcode. */
  json(opcode: number): Record<string, unknown>[] {
    return this.controls(opcode).map((payload) => JSON.parse(payload.toString()));
  }

  /** Payloads of the control frames with this opcode. */
  controls(opcode: number): Buffer[] {
    return this.bodies.filter((body) => body[0] === 0x20 && body[1] === opcode).map((body) =>
      body.subarray(2)
    );
  }

  /** The highest acknowledged number so far. */
  get acknowledged(): number {
    return Number(this.controls(3).at(-1)?.readBigUInt64BE(0) ?? 0n);
  }

  #receive(chunk: Buffer): void {
    let rest = Buffer.concat([this.#rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0);
      this.bodies.push(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    this.#look();
  }

  #end(): void {
    this.hasEnded = true;
    this.#look();
  }

  #look(): void {
    const done = this.#waiters.filter((waiter) => this.hasEnded || waiter.isDone());
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const waiter of done) waiter.resolve();
  }
}

/** `u32be len | body`. */
export function frame(...parts: (string | Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => typeof part === "string" ? Buffer.from(part) : Buffer.from(part)),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** A plain event frame of the original engine: `u8 priority | u16be topic_len | topic | payload`. */
export function event(topic: string, payload: string | Uint8Array, priority = 1): Buffer {
  const bytes = Buffer.byteLength(topic);
  return frame([priority, bytes >> 8, bytes & 255], topic, payload);
}

/** A control frame whose payload is JSON. */
export function control(opcode: number, payload: object): Buffer {
  return frame([0x20, opcode], JSON.stringify(payload));
}
