/**
 * What esc and the process of a TypeScript handler say to each other, over its stdin and stdout:
 *
 *     u32 bytes that follow | u8 kind | body           little-endian
 *
 *     esc → process   STATE   JSON [[name, JSON text], ...]: what the handler remembers; before the first RUN
 *                     RUN     a parcel of events
 *     process → esc   READY   JSON: what the handler's file says of itself
 *                     REFUSED JSON text: why the file is no handler; the process ends
 *                     ANSWER  JSON, see `BatchAnswer`: for some events of the RUN, in their order; the last one for
 *                             all that are left
 */
import type { Outcome } from "../outcome.ts";

export const STATE = 1;
export const RUN = 2;
export const READY = 16;
export const REFUSED = 17;
export const ANSWER = 18;

const PREFIX_BYTES = 5;
/** Longest message: a parcel has one event at least, and an event may be large. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** What a handler's file says of itself. */
export interface HandlerFile {
  readonly topics: readonly string[];
  readonly budgetMs?: number;
  readonly attempts?: number;
  readonly pauseMs?: number;
}

/** A name and its value as JSON; `null`: it was deleted. */
export type StateChange = readonly [name: string, value: string | null];

/** Outcomes by index of the event; those that are not listed are plain successes. */
export interface BatchAnswer {
  /** It is for all events before this one that were not answered before. */
  readonly end: number;
  readonly outcomes: readonly (readonly [index: number, outcome: Outcome])[];
  readonly changes: readonly StateChange[];
}

/** One message, ready to be written. */
export function encodeMessage(kind: number, body: Uint8Array | string): Uint8Array<ArrayBuffer> {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const message = new Uint8Array(PREFIX_BYTES + bytes.length);
  new DataView(message.buffer).setUint32(0, bytes.length + 1, true);
  message[4] = kind;
  message.set(bytes, PREFIX_BYTES);
  return message;
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  readonly #take: (kind: number, body: Buffer) => void;
  #pending = Buffer.alloc(0);
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** @param take Gets each message; the body is its own. */
  constructor(take: (kind: number, body: Buffer) => void) {
    this.#take = take;
  }

  /** @throws {RangeError} When what comes is no message. */
  feed(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted()) return;
    let bytes = Buffer.concat(this.#chunks, this.#bytes);
    while (bytes.length >= PREFIX_BYTES) {
      const end = 4 + bytes.readUInt32LE(0);
      if (end > MESSAGE_BYTES_MAX) throw new RangeError(`A message of ${end} bytes cannot be`);
      if (bytes.length < end) break;
      this.#take(bytes[4] as number, bytes.subarray(PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#pending = bytes;
    this.#chunks = bytes.length === 0 ? [] : [bytes];
    this.#bytes = bytes.length;
  }

  /** Bytes that the next message needs, as far as known. */
  #wanted(): number {
    const first = this.#pending;
    return first.length >= 4 ? 4 + first.readUInt32LE(0) : PREFIX_BYTES;
  }
}
