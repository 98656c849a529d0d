/**
 * A peer for client tests: a real TCP listener that speaks the protocol from its documentation, byte by byte,
 * without using anything of `src/`.
 */

/** What the client sent: one frame. */
export interface ReceivedFrame {
  readonly opcode: number | undefined;
  /** The whole body. */
  readonly body: Buffer;
}

/** One client's connection, as the peer sees it. */
export interface PeerConnection {
  readonly frames: ReceivedFrame[];
  /** Bytes exactly as they came. */
  received: Buffer;
  send(bytes: Uint8Array): void;
  pause(): void;
  resume(): void;
  close(): void;
}

export interface PeerOptions {
  /** Told of every whole frame. Answers WELCOME to HELLO and PONG to PING if it returns nothing. */
  onFrame?(connection: PeerConnection, frame: ReceivedFrame): "handled" | void;
}

/** A control frame by the book: u32be len | 0x20 | opcode | payload. */
export function control(opcode: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload as string);
  const frame = Buffer.alloc(6 + bytes.length);
  frame.writeUInt32BE(2 + bytes.length, 0);
  frame[4] = 0x20;
  frame[5] = opcode;
  bytes.copy(frame, 6);
  return frame;
}

/** ACK: u64be. */
export function ack(count: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(count));
  return control(3, payload);
}

export const WELCOME = control(
  2,
  JSON.stringify({ server: "peer", version: "0", max_frame_bytes: 1048576, acks: "durable" }),
);

/** Listens on an ephemeral port until `stop()`. */
export class Peer {
  readonly connections: PeerConnection[] = [];
  readonly #listener: Bun.TCPSocketListener<{ connection: PeerConnection; rest: Buffer }>;
  #waiters: { isDone: () => boolean; resolve: () => void }[] = [];

  constructor(options: PeerOptions = {}) {
    this.#listener = Bun.listen<{ connection: PeerConnection; rest: Buffer }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          const connection: PeerConnection = {
            frames: [],
            received: Buffer.alloc(0),
            send: (bytes) => {
              if (socket.write(bytes) !== bytes.length) {
                throw new Error("the test's peer cannot write that much");
              }
            },
            pause: () => socket.pause(),
            resume: () => socket.resume(),
            close: () => socket.end(),
          };
          socket.data = { connection, rest: Buffer.alloc(0) };
          this.connections.push(connection);
          this.#look();
        },
        data: (socket, chunk) => {
          const { connection } = socket.data;
          connection.received = Buffer.concat([connection.received, chunk]);
          let rest = Buffer.concat([socket.data.rest, chunk]);
          while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
            const body = rest.subarray(4, 4 + rest.readUInt32BE(0));
            rest = rest.subarray(4 + body.length);
            const frame = { opcode: body[0] === 0x20 ? body[1] : undefined, body };
            connection.frames.push(frame);
            if (options.onFrame?.(connection, frame) === "handled") continue;
            if (frame.opcode === 1) connection.send(WELCOME);
            if (frame.opcode === 8) connection.send(control(9, body.subarray(2)));
          }
          socket.data.rest = rest;
          this.#look();
        },
        close: () => this.#look(),
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** The connection made `index`-th. */
  connection(index: number): PeerConnection {
    const connection = this.connections[index];
    if (connection === undefined) throw new Error(`Peer has no connection ${index}`);
    return connection;
  }

  /** Resolves when something that arrived makes the condition true. */
  async until(isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    await new Promise<void>((resolve) => this.#waiters.push({ isDone, resolve }));
  }

  stop(): void {
    this.#listener.stop(true);
  }

  #look(): void {
    const done = this.#waiters.filter((waiter) => waiter.isDone());
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const waiter of done) waiter.resolve();
  }
}
