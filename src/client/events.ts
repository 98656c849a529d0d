/**
 * Events as a subscriber meets them: a cursor over one EVENTS frame, moved from event to event without
 * allocating.
 *
 *     payload = u8 id_len | id | u8 lane_len | lane | u16be shard | block*
 *     block   = u64be base_offset | u32be count | u64be received_us | u32be bytes | frames
 *
 * The frames of a block have consecutive offsets from `base_offset` on.
 */
import { EscError } from "../errors.ts";
import { type DecodedEvent, decodeFrame } from "../event/decode.ts";
import { BODY_BYTES_MIN, FRAME_PREFIX_BYTES } from "../event/frame.ts";
import {
  frameLength,
  framePriority,
  payloadEnd,
  payloadStart,
  topicLength,
  topicStart,
} from "../event/ext.ts";

const BLOCK_HEADER_BYTES = 24;
const FRAME_BYTES_MIN = FRAME_PREFIX_BYTES + BODY_BYTES_MIN;
const decoder = new TextDecoder();

/** Steps through the events of one EVENTS frame. Reused for the next one: keep nothing of it. */
export class EventCursor {
  /** Memory that every index below points into. */
  bytes: Uint8Array = new Uint8Array(0);
  lane = "";
  shard = 0;
  /** Offset of the current event. */
  offset = 0;
  /** When the server received the current event, microseconds since the Unix epoch. */
  receivedUs = 0;
  /** Index of the current event's frame, length prefix included. */
  frameAt = 0;
  /** Events stepped to since `open()`. */
  steppedCount = 0;
  #view = new DataView(this.bytes.buffer);
  /** Index of the frame after the current one. */
  #nextAt = 0;
  #blockEnd = 0;
  #end = 0;
  #nextOffset = 0;

  /**
   * Goes to the beginning of an EVENTS payload.
   *
   * @returns Id of the subscription it belongs to.
   * @throws {EscError} `BAD_CONTROL` when the payload is not as drawn above.
   */
  open(bytes: Uint8Array, at: number, end: number): string {
    if (this.bytes.buffer !== bytes.buffer || this.bytes.byteOffset !== bytes.byteOffset) {
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.bytes = bytes;
    const idEnd = at + 1 + (bytes[at] ?? 0);
    const laneEnd = idEnd + 1 + (bytes[idEnd] ?? 0);
    if (at >= end || laneEnd + 2 > end) throw malformed("its header passes its end");
    this.lane = text(bytes, idEnd + 1, laneEnd);
    this.shard = this.#view.getUint16(laneEnd);
    this.#nextAt = laneEnd + 2;
    this.#blockEnd = this.#nextAt;
    this.#end = end;
    this.steppedCount = 0;
    return text(bytes, at + 1, idEnd);
  }

  /**
   * Steps to the next event.
   *
   * @returns `false` behind the last one.
   * @throws {EscError} `BAD_CONTROL` when a block or a frame passes its end.
   */
  next(): boolean {
    while (this.#nextAt === this.#blockEnd) {
      if (this.#nextAt === this.#end) return false;
      this.#openBlock();
    }
    this.frameAt = this.#nextAt;
    if (this.frameAt + FRAME_BYTES_MIN > this.#blockEnd) throw malformed("a block ends inside a frame");
    const frameBytes = frameLength(this.bytes, this.frameAt);
    this.#nextAt += frameBytes;
    if (frameBytes < FRAME_BYTES_MIN || this.#nextAt > this.#blockEnd) {
      throw malformed("a frame passes the end of its block");
    }
    this.offset = this.#nextOffset++;
    this.steppedCount++;
    return true;
  }

  /** Offset after the last event or block stepped to: where a reader goes on. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  get priority(): number {
    return framePriority(this.bytes, this.frameAt);
  }

  /** Index of the current payload's first byte. */
  get payloadAt(): number {
    return payloadStart(this.bytes, this.frameAt);
  }

  /** Index behind the current payload's last byte. */
  get payloadEnd(): number {
    return payloadEnd(this.bytes, this.frameAt);
  }

  /** The current event's topic. Allocates a string. */
  topic(): string {
    const at = topicStart(this.frameAt);
    return text(this.bytes, at, at + topicLength(this.bytes, this.frameAt));
  }

  /** The current event's payload: a view, valid as long as the cursor stands here. */
  payload(): Uint8Array {
    return this.bytes.subarray(this.payloadAt, this.payloadEnd);
  }

  /** Everything of the current event as an object whose payload is a view. */
  decode(): DecodedEvent {
    return decodeFrame(this.bytes, this.frameAt);
  }

  #openBlock(): void {
    const at = this.#nextAt;
    const view = this.#view;
    if (at + BLOCK_HEADER_BYTES > this.#end) throw malformed("a block header passes its end");
    this.#nextOffset = readUint64(view, at);
    this.receivedUs = readUint64(view, at + 12);
    this.#nextAt = at + BLOCK_HEADER_BYTES;
    this.#blockEnd = this.#nextAt + view.getUint32(at + 20);
    if (this.#blockEnd > this.#end) throw malformed("a block passes its end");
  }
}

function malformed(problem: string): EscError {
  return new EscError("BAD_CONTROL", `Server sent an EVENTS frame that cannot be read: ${problem}`);
}

function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

function text(bytes: Uint8Array, at: number, end: number): string {
  return decoder.decode(bytes.subarray(at, end));
}
