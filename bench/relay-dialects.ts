/**
 * How a client subscribes to a server and reads what comes: esc, and NATS core beside it.
 *
 * Readers look at as few bytes as they can, so that the server and not the client is what is measured. All
 * messages of a measurement have the same length.
 */
import { encodeFrame } from "../src/event/encode.ts";
import { BLOCK_HEADER_BYTES } from "../src/deliver/events-frame.ts";

const TOPIC = "bench.relay";
export const PAYLOAD_BYTES = 128;

/** Takes what a server sends to a subscriber. */
export interface Receiver {
  /** The subscription is open. */
  readonly isReady: boolean;
  /** Messages received. */
  readonly count: number;
  /** @throws When something is missing, doubled or no message. */
  take(chunk: Buffer): void;
}

export interface RelayDialect {
  readonly server: string;
  /** One message; its payload begins `payloadAt` bytes in. */
  readonly message: Uint8Array;
  readonly payloadAt: number;
  /** Subscribes to everything that is measured, and asks for an answer behind it. */
  subscribe(from: "latest" | "earliest"): Uint8Array;
  /** What a publisher says first. */
  readonly hello: Uint8Array;
  /** @param onPayload Told where each payload begins; without it payloads are not looked at. */
  receiver(onPayload?: (bytes: Buffer, at: number) => void): Receiver;
}

const PAYLOAD = Buffer.alloc(PAYLOAD_BYTES, "x");

function control(opcode: number, value: string): Buffer {
  const frame = Buffer.alloc(6 + Buffer.byteLength(value));
  frame.writeUInt32BE(frame.length - 4);
  frame[4] = 0x20;
  frame[5] = opcode;
  frame.write(value, 6);
  return frame;
}

export function escRelay(): RelayDialect {
  const message = encodeFrame({ topic: TOPIC, priority: 2, payload: PAYLOAD });
  const payloadAt = message.length - PAYLOAD_BYTES;
  return {
    server: "esc",
    message,
    payloadAt,
    hello: new Uint8Array(0),
    subscribe: (from) =>
      Buffer.concat([control(5, JSON.stringify({ id: "b", topics: [">"], from })), control(8, "open")]),
    receiver: (onPayload) => new EscReceiver(payloadAt, onPayload),
  };
}

/** `u8 id_len | id | u8 lane_len | lane | u16 shard` of the subscription "b" in the lane "transactional". */
const SHARD_BYTES = 1 + 1 + 1 + "transactional".length + 2;
const OP_EVENTS = 6;
const OP_PONG = 9;

/** EVENTS frames: offsets must follow each other without a gap. */
class EscReceiver implements Receiver {
  isReady = false;
  count = 0;
  readonly #payloadAt: number;
  readonly #onPayload: ((bytes: Buffer, at: number) => void) | undefined;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of a block's frames that are still to come and need not be looked at. */
  #skip = 0;
  /** Bytes of the EVENTS frame that is being read. */
  #frameLeft = 0;
  #nextOffset = -1;

  constructor(payloadAt: number, onPayload: ((bytes: Buffer, at: number) => void) | undefined) {
    this.#payloadAt = payloadAt;
    this.#onPayload = onPayload;
  }

  take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      at += skipped;
      this.#skip -= skipped;
      if (this.#skip > 0) break;
      const next = this.#frameLeft > 0 ? this.#block(bytes, at) : this.#frame(bytes, at);
      if (next < 0) break;
      at = next;
    }
    this.#rest = bytes.subarray(at);
  }

  /** @returns Where to go on, -1 when more is needed. */
  #frame(bytes: Buffer, at: number): number {
    if (at + 6 > bytes.length) return -1;
    const end = at + 4 + bytes.readUInt32BE(at);
    const opcode = bytes[at + 5];
    if (opcode === OP_EVENTS) {
      const blocks = at + 6 + SHARD_BYTES;
      if (blocks > bytes.length) return -1;
      this.#frameLeft = end - blocks;
      return blocks;
    }
    if (end > bytes.length) return -1;
    if (opcode !== OP_PONG) throw new Error(`esc said ${bytes.toString("utf8", at + 6, end)}`);
    this.isReady = true;
    return end;
  }

  #block(bytes: Buffer, at: number): number {
    if (at + BLOCK_HEADER_BYTES > bytes.length) return -1;
    const frames = bytes.readUInt32BE(at + 20);
    const from = at + BLOCK_HEADER_BYTES;
    if (this.#onPayload !== undefined && from + frames > bytes.length) return -1;
    const offset = Number(bytes.readBigUInt64BE(at));
    if (this.#nextOffset >= 0 && offset !== this.#nextOffset) {
      throw new Error(`Event ${offset} came instead of ${this.#nextOffset}`);
    }
    const count = bytes.readUInt32BE(at + 8);
    this.#nextOffset = offset + count;
    this.count += count;
    this.#frameLeft -= BLOCK_HEADER_BYTES + frames;
    if (this.#onPayload === undefined) this.#skip = frames;
    else {
      const length = frames / count;
      for (let event = from; event < from + frames; event += length) {
        this.#onPayload(bytes, event + this.#payloadAt);
      }
    }
    return this.#onPayload === undefined ? from : from + frames;
  }
}

const NATS_CONNECT = 'CONNECT {"verbose":false,"pedantic":false}\r\n';

export function natsRelay(): RelayDialect {
  const head = `PUB ${TOPIC} ${PAYLOAD_BYTES}\r\n`;
  return {
    server: "nats",
    message: Buffer.concat([Buffer.from(head), PAYLOAD, Buffer.from("\r\n")]),
    payloadAt: head.length,
    hello: Buffer.from(NATS_CONNECT),
    subscribe: () => Buffer.from(`${NATS_CONNECT}SUB bench.> 1\r\nPING\r\n`),
    receiver: (onPayload) => new NatsReceiver(onPayload),
  };
}

const NATS_MSG = `MSG ${TOPIC} 1 ${PAYLOAD_BYTES}\r\n`;
const NATS_BYTES = NATS_MSG.length + PAYLOAD_BYTES + 2;
const PONG = "PONG\r\n";

/** After the greeting nothing but messages of one length: their number is their bytes. */
class NatsReceiver implements Receiver {
  isReady = false;
  readonly #onPayload: ((bytes: Buffer, at: number) => void) | undefined;
  #greeting = "";
  #bytes = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(onPayload: ((bytes: Buffer, at: number) => void) | undefined) {
    this.#onPayload = onPayload;
  }

  get count(): number {
    return Math.floor(this.#bytes / NATS_BYTES);
  }

  take(chunk: Buffer): void {
    if (!this.isReady) {
      this.#greeting += chunk.toString("latin1");
      this.isReady = this.#greeting.endsWith(PONG);
      return;
    }
    if (this.#bytes % NATS_BYTES === 0 && chunk.length >= 4 && chunk.toString("latin1", 0, 4) !== "MSG ") {
      throw new Error(`nats said ${chunk.toString("latin1", 0, 100)}`);
    }
    this.#bytes += chunk.length;
    if (this.#onPayload === undefined) return;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (; at + NATS_BYTES <= bytes.length; at += NATS_BYTES) this.#onPayload(bytes, at + NATS_MSG.length);
    this.#rest = bytes.subarray(at);
  }
}

/** The dialect of a server by name: a thread is told the name only. */
export function relayDialect(server: string): RelayDialect {
  return server === "nats" ? natsRelay() : escRelay();
}
