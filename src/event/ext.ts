/**
 * Finds the parts of a checked frame without allocating: for the dispatcher (topic, key), the
 * deduplication (message id) and everybody who shows events. `at` is always the index of the
 * frame's length prefix. Frames are trusted here: `FrameScanner` has checked them.
 */
import {
  BODY_BYTES_MIN,
  FRAME_PREFIX_BYTES,
  HEAD_CRC,
  HEAD_EXT,
  HEAD_PRIORITY,
  TAG_HEADER,
  TAG_ID,
} from "./frame.ts";

const TOPIC_AT = FRAME_PREFIX_BYTES + BODY_BYTES_MIN;
const EXT_ENTRY_BYTES = 3;

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Bytes of the whole frame, prefix included. */
export function frameLength(bytes: Uint8Array, at: number): number {
  const length = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return FRAME_PREFIX_BYTES + length;
}

export function framePriority(bytes: Uint8Array, at: number): number {
  return (bytes[at + FRAME_PREFIX_BYTES] as number) & HEAD_PRIORITY;
}

/** Index of the topic's first byte. */
export function topicStart(at: number): number {
  return at + TOPIC_AT;
}

/** Bytes of the topic, 1..255. */
export function topicLength(bytes: Uint8Array, at: number): number {
  return u16(bytes, at + FRAME_PREFIX_BYTES + 1);
}

/** Index of the payload's first byte: behind the topic and the extension area. */
export function payloadStart(bytes: Uint8Array, at: number): number {
  const topicEnd = at + TOPIC_AT + topicLength(bytes, at);
  if (((bytes[at + FRAME_PREFIX_BYTES] as number) & HEAD_EXT) === 0) return topicEnd;
  return topicEnd + 2 + u16(bytes, topicEnd);
}

/** Index behind the payload's last byte: the CRC, if there is one, does not belong to it. */
export function payloadEnd(bytes: Uint8Array, at: number): number {
  const end = at + frameLength(bytes, at);
  return ((bytes[at + FRAME_PREFIX_BYTES] as number) & HEAD_CRC) === 0 ? end : end - 4;
}

/** A place in a frame, filled by `find()` and `next()`; keep one and use it again. */
export class TagCursor {
  /** Index of the value's first byte. */
  start = 0;
  /** Bytes of the value. */
  length = 0;
  /** Tag of the entry. */
  tag = 0;
  #next = 0;
  #end = 0;

  /** Steps to the first entry with this tag. @returns `false` when the frame has none. */
  find(bytes: Uint8Array, at: number, tag: number): boolean {
    this.open(bytes, at);
    while (this.next(bytes)) {
      if (this.tag === tag) return true;
    }
    return false;
  }

  /** Goes to the beginning of the frame's extension area; `next()` then steps through it. */
  open(bytes: Uint8Array, at: number): void {
    const topicEnd = at + TOPIC_AT + topicLength(bytes, at);
    if (((bytes[at + FRAME_PREFIX_BYTES] as number) & HEAD_EXT) === 0) {
      this.#next = this.#end = topicEnd;
      return;
    }
    this.#next = topicEnd + 2;
    this.#end = this.#next + u16(bytes, topicEnd);
  }

  /** Steps to the next entry. @returns `false` when there is none. */
  next(bytes: Uint8Array): boolean {
    if (this.#next >= this.#end) return false;
    this.tag = bytes[this.#next] as number;
    this.length = u16(bytes, this.#next + 1);
    this.start = this.#next + EXT_ENTRY_BYTES;
    this.#next = this.start + this.length;
    return true;
  }
}

const shared = new TagCursor();

/**
 * Finds the first value of a tag.
 *
 * @returns The cursor, or `undefined` when the frame has no such tag. One cursor a thread: read it
 *   before the next call.
 */
export function findTag(bytes: Uint8Array, at: number, tag: number): TagCursor | undefined {
  if (((bytes[at + FRAME_PREFIX_BYTES] as number) & HEAD_EXT) === 0) return undefined;
  return shared.find(bytes, at, tag) ? shared : undefined;
}

/** Whether the frame carries a message id. */
export function hasId(bytes: Uint8Array, at: number): boolean {
  return findTag(bytes, at, TAG_ID) !== undefined;
}

/** Whether the frame carries headers. */
export function hasHeaders(bytes: Uint8Array, at: number): boolean {
  return findTag(bytes, at, TAG_HEADER) !== undefined;
}
