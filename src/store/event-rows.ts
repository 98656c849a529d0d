/**
 * Events on their way into the store, as columns: frames back to back as they are in the log, and where
 * each one lies. Reused from batch to batch; adding an event allocates nothing.
 *
 * Owned by one consumer; the store reads it during `commit()` only.
 */
import { decodeFrame } from "../event/decode.ts";
import { frameLength } from "../event/ext.ts";

/** An event as a row of the table `events`. */
export interface EventRow {
  readonly logId: number;
  readonly offset: number;
  readonly topic: string;
  readonly priority: number;
  /** Microseconds since the Unix epoch. */
  readonly receivedUs: number;
  readonly timeUs: number | null;
  readonly id: string | null;
  readonly key: string | null;
  /** JSON list of `[name, value]`, in the order of the event. */
  readonly headers: string | null;
  readonly payload: Uint8Array;
}

export class EventRows {
  count = 0;
  bytes: Uint8Array;
  /** Index of each event's length prefix in `bytes`. */
  readonly frameAt: Uint32Array;
  readonly logId: Int32Array;
  readonly offset: Float64Array;
  readonly receivedUs: Float64Array;
  readonly #bytesMax: number;
  #used = 0;

  /**
   * @param countMax Most events.
   * @param bytesMax Most bytes of frames; a larger frame goes alone.
   */
  constructor(countMax: number, bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.bytes = new Uint8Array(Math.min(bytesMax, 64 * 1024));
    this.frameAt = new Uint32Array(countMax);
    this.logId = new Int32Array(countMax);
    this.offset = new Float64Array(countMax);
    this.receivedUs = new Float64Array(countMax);
  }

  /** Bytes of the frames in it. */
  get usedBytes(): number {
    return this.#used;
  }

  /**
   * Copies one event.
   *
   * @param at Index of its length prefix in `bytes`.
   * @returns `false`, with nothing done, when the batch is full.
   */
  add(logId: number, offset: number, receivedUs: number, bytes: Uint8Array, at: number): boolean {
    const index = this.count;
    const length = frameLength(bytes, at);
    const used = this.#used + length;
    if (index === this.frameAt.length || (used > this.#bytesMax && index > 0)) return false;
    if (used > this.bytes.length) this.#grow(used);
    this.bytes.set(bytes.subarray(at, at + length), this.#used);
    this.frameAt[index] = this.#used;
    this.logId[index] = logId;
    this.offset[index] = offset;
    this.receivedUs[index] = receivedUs;
    this.#used = used;
    this.count = index + 1;
    return true;
  }

  clear(): void {
    this.count = 0;
    this.#used = 0;
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, Math.min(this.#bytesMax, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.#used));
    this.bytes = grown;
  }
}

/** One event of the batch as a row. Its payload is a view: copy it to keep it. */
export function eventRow(rows: EventRows, index: number): EventRow {
  const event = decodeFrame(rows.bytes, rows.frameAt[index] as number);
  return {
    logId: rows.logId[index] as number,
    offset: rows.offset[index] as number,
    topic: storable(event.topic),
    priority: event.priority,
    receivedUs: rows.receivedUs[index] as number,
    timeUs: event.timeUs ?? null,
    id: event.id === undefined ? null : storable(event.id),
    key: event.key === undefined ? null : storable(event.key),
    headers: event.headers.length === 0 ? null : JSON.stringify(event.headers),
    payload: event.payload,
  };
}

/** Text as every backend can hold it: PostgreSQL has no NUL in text, so U+FFFD stands for it in all of them. */
export function storable(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\uFFFD") : text;
}

/** Of each topic in the batch, the row that was received last (of equals, the last one). */
export function lastOfTopics(rows: EventRows): EventRow[] {
  const newest = new Map<string, number>();
  for (let index = 0; index < rows.count; index++) {
    const topic = topicKey(rows, index);
    const known = newest.get(topic);
    if (known === undefined || (rows.receivedUs[index] as number) >= (rows.receivedUs[known] as number)) {
      newest.set(topic, index);
    }
  }
  return [...newest.values()].map((index) => eventRow(rows, index));
}

/** The topic's bytes as text, one character a byte: cheaper than UTF-8 and as good as a key. */
function topicKey(rows: EventRows, index: number): string {
  const { bytes } = rows;
  const at = (rows.frameAt[index] as number) + 5;
  const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return Buffer.from(bytes.buffer, bytes.byteOffset + at + 2, length).toString("latin1");
}
