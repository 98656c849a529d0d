/**
 * Events packed one after the other, as they wait for a handler and travel to its process:
 *
 *     u32 bytes of the record | u32 flags | f64 offset | f64 received, microseconds | u32 shard | u16 bytes of the
 *     lane's name | u16 priority | u32 bytes of the added fields | u32 0 | lane | JSON with added fields | frame | zeros
 *
 * Little-endian; a record is a multiple of 8 bytes. The frame is the event as it is in the log.
 */
import { frameLength } from "../../../event/ext.ts";
import { EventRecord } from "../../rules/event-facts.ts";
import { plain } from "../../rules/expression.ts";

const HEADER_BYTES = 40;
const FIRST_BYTES = 16 * 1024;
const FLAGS = 4;
const OFFSET = 8;
const RECEIVED = 16;
const SHARD = 24;
const LANE_BYTES = 28;
const PRIORITY = 30;
const ADDED_BYTES = 32;
/** It is tried before all that wait of its key. */
const FLAG_FIRST = 1;

/** Events in their order. Grows as events are added; never shrinks. */
export class Parcel {
  /** Events in it. */
  count = 0;
  /** Bytes of all records. */
  length = 0;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);

  /** All records: valid until the next `add()`. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  /** Adds a copy of an event, with what rules have made of it. */
  add(event: EventRecord, isFirst: boolean): void {
    const { bytes, at, lane } = event;
    const frameBytes = frameLength(bytes, at);
    const added = event.enriched === undefined
      ? undefined
      : Buffer.from(JSON.stringify(event.enriched, plain));
    const laneBytes = Buffer.byteLength(lane);
    const addedBytes = added?.length ?? 0;
    const start = this.#reserve(HEADER_BYTES + laneBytes + addedBytes + frameBytes);
    const view = this.#view;
    view.setUint32(start + FLAGS, isFirst ? FLAG_FIRST : 0, true);
    view.setFloat64(start + OFFSET, event.offset, true);
    view.setFloat64(start + RECEIVED, event.receivedUs, true);
    view.setUint32(start + SHARD, event.shard, true);
    view.setUint16(start + LANE_BYTES, laneBytes, true);
    view.setUint16(start + PRIORITY, event.priority, true);
    view.setUint32(start + ADDED_BYTES, addedBytes, true);
    let to = start + HEADER_BYTES;
    Buffer.from(this.#bytes.buffer).write(lane, to);
    to += laneBytes;
    if (added !== undefined) this.#bytes.set(added, to);
    to += addedBytes;
    this.#bytes.set(bytes.subarray(at, at + frameBytes), to);
  }

  /** Adds the record a cursor stands at. */
  addRecord(cursor: ParcelCursor): void {
    const start = this.#reserve(cursor.recordBytes);
    this.#bytes.set(cursor.record, start);
  }

  /** Adds all records of what `bytes` gave. */
  addAll(bytes: Uint8Array): void {
    const cursor = new ParcelCursor(bytes);
    while (cursor.next()) this.addRecord(cursor);
  }

  clear(): void {
    this.count = 0;
    this.length = 0;
  }

  #reserve(wanted: number): number {
    const recordBytes = (wanted + 7) & ~7;
    const start = this.length;
    if (start + recordBytes > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(FIRST_BYTES, this.#bytes.length * 2, start + recordBytes));
      grown.set(this.bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#view.setUint32(start, recordBytes, true);
    this.#view.setUint32(start + HEADER_BYTES - 4, 0, true);
    this.#bytes.fill(0, start + wanted, start + recordBytes);
    this.length += recordBytes;
    this.count++;
    return start;
  }
}

/** Steps through the records of a parcel. */
export class ParcelCursor {
  /** Which record, from 0; -1 before the first. */
  index = -1;
  recordBytes = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #lanes = new Map<number, string>();
  #at = 0;
  #nextAt = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  next(): boolean {
    if (this.#nextAt >= this.#bytes.length) return false;
    this.#at = this.#nextAt;
    this.recordBytes = this.#view.getUint32(this.#at, true);
    this.#nextAt = this.#at + this.recordBytes;
    this.index++;
    return true;
  }

  get record(): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#nextAt);
  }

  get isFirst(): boolean {
    return (this.#view.getUint32(this.#at + FLAGS, true) & FLAG_FIRST) !== 0;
  }

  /** Whether the event came from this shard. */
  isOf(lane: string, shard: number): boolean {
    return this.#view.getUint32(this.#at + SHARD, true) === shard && this.#lane() === lane;
  }

  /** Opens the event, with what rules have made of it. */
  open(event: EventRecord): void {
    const view = this.#view;
    const at = this.#at;
    const addedAt = at + HEADER_BYTES + view.getUint16(at + LANE_BYTES, true);
    const addedBytes = view.getUint32(at + ADDED_BYTES, true);
    event.lane = this.#lane();
    event.shard = view.getUint32(at + SHARD, true);
    event.open(
      this.#bytes,
      addedAt + addedBytes,
      view.getFloat64(at + OFFSET, true),
      view.getFloat64(at + RECEIVED, true),
    );
    event.setPriority(view.getUint16(at + PRIORITY, true));
    if (addedBytes === 0) return;
    const added = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + addedAt, addedBytes).toString();
    for (const [name, value] of Object.entries(JSON.parse(added))) event.enrich(name, value);
  }

  /** Names repeat: one text for each. */
  #lane(): string {
    const at = this.#at + HEADER_BYTES;
    const length = this.#view.getUint16(this.#at + LANE_BYTES, true);
    let hash = length;
    for (let index = at; index < at + length; index++) hash = (hash * 31 + (this.#bytes[index] ?? 0)) | 0;
    let lane = this.#lanes.get(hash);
    if (lane === undefined) {
      lane = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + at, length).toString();
      this.#lanes.set(hash, lane);
    }
    return lane;
  }
}
