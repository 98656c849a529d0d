/**
 * Turns an event into its frame: for clients, HTTP, files and tests. The inverse is `decode.ts`.
 */
import { crc32 } from "./crc.ts";
import {
  BODY_BYTES_MIN,
  FRAME_PREFIX_BYTES,
  HEAD_CRC,
  HEAD_EXT,
  ID_BYTES_MAX,
  PRIORITY_CRITICAL,
  TAG_HEADER,
  TAG_ID,
  TAG_KEY,
  TAG_TIME,
  TOPIC_BYTES_MAX,
} from "./frame.ts";
import { utf8Length } from "./utf8.ts";

/** An event as a program describes it. Text is written as UTF-8. */
export interface OutgoingEvent {
  readonly topic: string;
  /** 0..4; BATCH by default. */
  readonly priority?: number | undefined;
  readonly payload: Uint8Array | string;
  /** Message id, 1..64 bytes. */
  readonly id?: string | undefined;
  /** Event time, integer microseconds since the Unix epoch. */
  readonly timeUs?: number | undefined;
  /** Key for order and shard, at least 1 byte. */
  readonly key?: string | Uint8Array | undefined;
  /** Name and value; the name is not empty and holds no U+0000. */
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
  /** Whether to append the CRC. */
  readonly crc?: boolean | undefined;
}

const EXT_ENTRY_BYTES = 3;
const encoder = new TextEncoder();

/**
 * Says what is wrong with an event, in words for the one who sent it.
 *
 * @param bodyBytesMax The server's `max_frame_bytes`.
 * @returns `undefined` when `encodeEvent` will make a frame every esc accepts.
 */
export function eventProblem(event: OutgoingEvent, bodyBytesMax: number): string | undefined {
  const topicBytes = utf8Length(event.topic);
  if (topicBytes < 1 || topicBytes > TOPIC_BYTES_MAX) {
    return `Topic has ${topicBytes} bytes: it needs 1 to ${TOPIC_BYTES_MAX}`;
  }
  if (!event.topic.isWellFormed()) return "Topic has a lone surrogate: it cannot be written as UTF-8";
  const priority = event.priority ?? 0;
  if (!Number.isInteger(priority) || priority < 0 || priority > PRIORITY_CRITICAL) {
    return `Priority ${priority} is not an integer from 0 to ${PRIORITY_CRITICAL}`;
  }
  if (event.id !== undefined) {
    const idBytes = utf8Length(event.id);
    if (idBytes < 1 || idBytes > ID_BYTES_MAX) {
      return `Message id has ${idBytes} bytes: it needs 1 to ${ID_BYTES_MAX}`;
    }
  }
  if (event.timeUs !== undefined && !Number.isSafeInteger(event.timeUs)) {
    return `Event time ${event.timeUs} is not an integer number of microseconds below 2^53`;
  }
  if (event.key !== undefined && event.key.length === 0) return "Key is empty";
  for (const [name] of event.headers ?? []) {
    if (name === "" || name.includes("\0")) return `Header name "${name}" is empty or contains U+0000`;
  }
  if (extBytes(event) > 0xffff + 2) return "Message id, key and headers together exceed 65,535 bytes";
  const bodyBytes = frameBytesOf(event) - FRAME_PREFIX_BYTES;
  if (bodyBytes > bodyBytesMax) return `Event has ${bodyBytes} bytes: the limit is ${bodyBytesMax}`;
  return undefined;
}

/** Bytes the event's frame will have, length prefix included. */
export function frameBytesOf(event: OutgoingEvent): number {
  return FRAME_PREFIX_BYTES + BODY_BYTES_MIN + utf8Length(event.topic) + extBytes(event) +
    bytesOf(event.payload) + (event.crc === true ? 4 : 0);
}

/** A new buffer with exactly the event's frame. */
export function encodeFrame(event: OutgoingEvent): Uint8Array {
  const target = new Uint8Array(frameBytesOf(event));
  encodeEvent(target, 0, event);
  return target;
}

/**
 * Writes the event's frame at `target[at]`.
 *
 * Fields are not checked (`eventProblem()` does that), only the room is.
 *
 * @returns Index behind the frame.
 * @throws {RangeError} If `target` has no room for it.
 */
export function encodeEvent(target: Uint8Array, at: number, event: OutgoingEvent): number {
  const length = frameBytesOf(event);
  const end = at + length;
  if (end > target.length) {
    throw new RangeError(`Frame of ${length} bytes does not fit at ${at} of ${target.length}`);
  }
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  const extLength = extBytes(event);
  view.setUint32(at, length - FRAME_PREFIX_BYTES);
  target[at + 4] = (event.priority ?? 0) | (extLength > 0 ? HEAD_EXT : 0) |
    (event.crc === true ? HEAD_CRC : 0);
  let cursor = writeBytes(target, at + 7, event.topic);
  view.setUint16(at + 5, cursor - at - 7);
  if (extLength > 0) {
    view.setUint16(cursor, extLength - 2);
    cursor = writeExt(target, view, cursor + 2, event);
  }
  cursor = writeBytes(target, cursor, event.payload);
  if (event.crc === true) view.setUint32(cursor, crc32(target, view, at + FRAME_PREFIX_BYTES, cursor));
  return end;
}

function writeExt(target: Uint8Array, view: DataView, at: number, event: OutgoingEvent): number {
  let cursor = at;
  if (event.id !== undefined) cursor = writeEntry(target, view, cursor, TAG_ID, event.id);
  if (event.timeUs !== undefined) {
    target[cursor] = TAG_TIME;
    view.setUint16(cursor + 1, 8);
    view.setBigInt64(cursor + EXT_ENTRY_BYTES, BigInt(event.timeUs));
    cursor += EXT_ENTRY_BYTES + 8;
  }
  if (event.key !== undefined) cursor = writeEntry(target, view, cursor, TAG_KEY, event.key);
  for (const [name, value] of event.headers ?? []) {
    cursor = writeEntry(target, view, cursor, TAG_HEADER, `${name}\0${value}`);
  }
  return cursor;
}

function writeEntry(
  target: Uint8Array,
  view: DataView,
  at: number,
  tag: number,
  value: string | Uint8Array,
): number {
  const end = writeBytes(target, at + EXT_ENTRY_BYTES, value);
  target[at] = tag;
  view.setUint16(at + 1, end - at - EXT_ENTRY_BYTES);
  return end;
}

function writeBytes(target: Uint8Array, at: number, value: string | Uint8Array): number {
  if (typeof value === "string") return at + encoder.encodeInto(value, target.subarray(at)).written;
  target.set(value, at);
  return at + value.length;
}

function bytesOf(value: string | Uint8Array): number {
  return typeof value === "string" ? utf8Length(value) : value.length;
}

/** Bytes of the extension area with its length, 0 when the event needs none. */
function extBytes(event: OutgoingEvent): number {
  let bytes = 0;
  if (event.id !== undefined) bytes += EXT_ENTRY_BYTES + utf8Length(event.id);
  if (event.timeUs !== undefined) bytes += EXT_ENTRY_BYTES + 8;
  if (event.key !== undefined) bytes += EXT_ENTRY_BYTES + bytesOf(event.key);
  for (const [name, value] of event.headers ?? []) {
    bytes += EXT_ENTRY_BYTES + utf8Length(name) + 1 + utf8Length(value);
  }
  return bytes === 0 ? 0 : bytes + 2;
}
