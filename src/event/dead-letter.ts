/**
 * The dead letter: an event as it was, with the reason of its death in extra headers.
 *
 * Topic, payload, id, time and key stay; `esc-dlq-*` headers are appended to the extension area, and the
 * CRC is made anew where there was one. `revive()` takes them off again for a requeue. Where the area
 * would exceed its 65,535 bytes the event keeps its own headers and goes without ours.
 */
import { crc32 } from "./crc.ts";
import { frameLength, payloadEnd, payloadStart, TagCursor, topicLength, topicStart } from "./ext.ts";
import { FRAME_PREFIX_BYTES, HEAD_CRC, HEAD_EXT, TAG_HEADER } from "./frame.ts";
import type { DropReason } from "./frame.ts";

export interface DeadLetter {
  readonly reason: DropReason;
  /** What went wrong, for a person. */
  readonly error?: string;
  readonly lane: string;
  readonly shard: number;
  /** In the log of its lane; absent when it never got there. */
  readonly offset?: number;
  /** How often processing, or delivery to a group, was tried. */
  readonly attempts: number;
  /** Consumer group whose members could not deal with it. */
  readonly group?: string;
  /** When it died, microseconds since the Unix epoch. */
  readonly timeUs: number;
}

const PREFIX = "esc-dlq-";
const EXT_BYTES_MAX = 0xffff;
const EXT_ENTRY_BYTES = 3;
/** Longest error text kept. */
const ERROR_CHARS_MAX = 1000;
const TIME_DIGITS = 16;
const DIGIT_0 = 0x30;
/** Up to here a loop is faster than a view and a native copy, and leaves no garbage. */
const LOOP_BYTES_MAX = 160;

/** The headers as bytes of an extension area; the same for all events that died together. */
export function deadLetterHeaders(letter: DeadLetter): Uint8Array {
  const entries = [
    ["reason", letter.reason],
    ["error", letter.error?.slice(0, ERROR_CHARS_MAX)],
    ["lane", letter.lane],
    ["shard", letter.shard],
    ["offset", letter.offset],
    ["attempts", letter.attempts],
    ["group", letter.group],
    ["time-us", letter.timeUs],
  ] as const;
  const parts: Uint8Array[] = [];
  for (const [name, value] of entries) {
    if (value === undefined) continue;
    const text = Buffer.from(`${PREFIX}${name}\0${value}`);
    parts.push(Uint8Array.of(TAG_HEADER, text.length >> 8, text.length & 0xff), text);
  }
  return Buffer.concat(parts);
}

/**
 * Gives headers the time of another death, in place: they end with it, and a time has 16 digits from 2001 to 2286.
 *
 * @param headers From `deadLetterHeaders()`.
 */
export function stampDeadLetter(headers: Uint8Array, timeUs: number): void {
  let rest = timeUs;
  for (let at = headers.length - 1; at >= headers.length - TIME_DIGITS; at--) {
    const tens = Math.floor(rest / 10);
    headers[at] = DIGIT_0 + (rest - tens * 10);
    rest = tens;
  }
}

/** Most bytes a frame grows by when `headers` are added. */
export function deadLetterGrowth(headers: Uint8Array): number {
  return headers.length + 2;
}

/**
 * Writes the dead letter of the frame `bytes[at..)` at `target[to]`.
 *
 * @param headers From `deadLetterHeaders()`.
 * @param target Room for the frame and `deadLetterGrowth(headers)`.
 * @param view The memory of `target`, index for index.
 * @returns Index behind the new frame.
 */
export function writeDeadLetter(
  target: Uint8Array,
  view: DataView,
  to: number,
  bytes: Uint8Array,
  at: number,
  headers: Uint8Array,
): number {
  const topicEnd = topicStart(at) + topicLength(bytes, at);
  const payloadAt = payloadStart(bytes, at);
  const ownBytes = Math.max(0, payloadAt - topicEnd - 2);
  if (ownBytes + headers.length > EXT_BYTES_MAX) {
    copy(bytes, at, at + frameLength(bytes, at), target, to);
    return to + frameLength(bytes, at);
  }
  copy(bytes, at, topicEnd, target, to);
  let end = to + topicEnd - at;
  view.setUint16(end, ownBytes + headers.length);
  end += 2;
  copy(bytes, payloadAt - ownBytes, payloadAt, target, end);
  target.set(headers, end + ownBytes);
  end += ownBytes + headers.length;
  const payloadTo = payloadEnd(bytes, at);
  copy(bytes, payloadAt, payloadTo, target, end);
  end += payloadTo - payloadAt;
  target[to + FRAME_PREFIX_BYTES] = (bytes[at + FRAME_PREFIX_BYTES] as number) | HEAD_EXT;
  return finish(target, view, to, end);
}

function copy(bytes: Uint8Array, from: number, to: number, target: Uint8Array, at: number): void {
  if (to - from > LOOP_BYTES_MAX) target.set(bytes.subarray(from, to), at);
  else for (let index = from; index < to; index++) target[at + index - from] = bytes[index] as number;
}

/** A dead letter taken apart. */
export interface Revived {
  /** The event's own frame: what it was before it died. */
  readonly frame: Uint8Array;
  /** The `esc-dlq-*` headers, without the prefix: `reason`, `lane`, `shard`, … */
  readonly facts: ReadonlyMap<string, string>;
}

/** The inverse of `writeDeadLetter`: the event as it was, and why it died. Allocates; not for hot paths. */
export function revive(bytes: Uint8Array, at: number): Revived {
  const facts = new Map<string, string>();
  const own: Uint8Array[] = [];
  const cursor = new TagCursor();
  cursor.open(bytes, at);
  while (cursor.next(bytes)) {
    const value = Buffer.from(bytes.slice(cursor.start, cursor.start + cursor.length));
    const separator = value.indexOf(0);
    if (cursor.tag === TAG_HEADER && value.toString("latin1", 0, PREFIX.length) === PREFIX) {
      facts.set(value.toString("utf8", PREFIX.length, separator), value.toString("utf8", separator + 1));
    } else {
      own.push(bytes.slice(cursor.start - EXT_ENTRY_BYTES, cursor.start + cursor.length));
    }
  }
  const topicEnd = topicStart(at) + topicLength(bytes, at);
  const payload = bytes.subarray(payloadStart(bytes, at), payloadEnd(bytes, at));
  const ext = Buffer.concat(own);
  const extBytes = ext.length === 0 ? 0 : ext.length + 2;
  const head = bytes[at + FRAME_PREFIX_BYTES] as number;
  const frame = new Uint8Array(topicEnd - at + extBytes + payload.length + ((head & HEAD_CRC) === 0 ? 0 : 4));
  const view = new DataView(frame.buffer);
  frame.set(bytes.subarray(at, topicEnd));
  let end = topicEnd - at;
  frame[FRAME_PREFIX_BYTES] = ext.length === 0 ? head & ~HEAD_EXT : head;
  if (ext.length > 0) {
    view.setUint16(end, ext.length);
    frame.set(ext, end + 2);
    end += 2 + ext.length;
  }
  frame.set(payload, end);
  finish(frame, view, 0, end + payload.length);
  return { frame, facts };
}

/** Appends the CRC where the head says so, and writes the length prefix. @returns Index behind the frame. */
function finish(target: Uint8Array, view: DataView, at: number, bodyEnd: number): number {
  let end = bodyEnd;
  if (((target[at + FRAME_PREFIX_BYTES] as number) & HEAD_CRC) !== 0) {
    view.setUint32(end, crc32(target, view, at + FRAME_PREFIX_BYTES, end));
    end += 4;
  }
  view.setUint32(at, end - at - FRAME_PREFIX_BYTES);
  return end;
}
