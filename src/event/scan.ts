/**
 * The frame check: the one place where outside bytes become events everybody behind trusts.
 *
 * `scan()` walks the longest run of good event frames at the start of what it is given and says
 * why it stopped. Results are number fields of one object, so that a run of a thousand frames
 * allocates nothing. Each listener thread has its own scanner.
 *
 *     from ≤ end ≤ frameEnd ≤ to
 *     from..end       `count` good event frames, whole
 *     end..frameEnd   the control frame or the refused event at which the scan stopped
 */
import { crc32 } from "./crc.ts";
import {
  BODY_BYTES_MIN,
  FRAME_PREFIX_BYTES,
  HEAD_CONTROL,
  HEAD_CRC,
  HEAD_EXT,
  HEAD_PRIORITY,
  HEAD_RESERVED,
  ID_BYTES_MAX,
  PRIORITY_CRITICAL,
  REJECT_REASONS,
  TAG_HEADER,
  TAG_ID,
  TAG_KEY,
  TAG_TIME,
  TOPIC_BYTES_MAX,
} from "./frame.ts";
import type { RejectReason } from "./frame.ts";
import { RUN_BYTES_MAX } from "./run.ts";
import { isUtf8 } from "./utf8.ts";

/** The bytes end inside a frame (or exactly behind the last one): read more. */
export const SCAN_NEED_MORE = 0;
/** A control frame lies at `end`..`frameEnd`. */
export const SCAN_CONTROL = 1;
/** A well-framed event that must be refused lies at `end`..`frameEnd`; `reason` says why. */
export const SCAN_BAD_EVENT = 2;
/** The length prefix at `end` is out of range: nothing behind it can be understood. */
export const SCAN_FRAMING_LOST = 3;
/** The run has reached `RUN_BYTES_MAX`: hand it on and scan again from `end`. */
export const SCAN_RUN_FULL = 4;

/** Bytes before the topic: length prefix, head, topic length. */
const TOPIC_AT = FRAME_PREFIX_BYTES + BODY_BYTES_MIN;
const EXT_ENTRY_BYTES = 3;
/** Event times beyond ±2^53 µs (the year 2255) are refused: a sign of another unit, and not exact as a number. */
const TIME_HIGH_LIMIT = 1 << 21;

function reasonIndex(reason: RejectReason): number {
  return REJECT_REASONS.indexOf(reason);
}
const GOOD = -1;
const BAD_LENGTH = reasonIndex("bad_length");
const BAD_HEAD = reasonIndex("bad_head");
const BAD_PRIORITY = reasonIndex("bad_priority");
const BAD_TOPIC_LENGTH = reasonIndex("bad_topic_length");
const BAD_TOPIC_UTF8 = reasonIndex("bad_topic_utf8");
const BAD_EXT = reasonIndex("bad_ext");
const BAD_CRC = reasonIndex("bad_crc");

export class FrameScanner {
  /** Index behind the last good event frame. */
  end = 0;
  /** Good event frames from `from` to `end`. */
  count = 0;
  /** 1 when at least one of them has an extension area with a message id, else 0. */
  hasIds = 0;
  /** Index behind the frame the scan stopped at; with `SCAN_NEED_MORE`: where the cut frame will end, or -1. */
  frameEnd = 0;
  /** Index into `REJECT_REASONS`, with `SCAN_BAD_EVENT` and `SCAN_FRAMING_LOST`. */
  reason = 0;

  readonly #bodyBytesMax: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);

  /** @param maxFrameBytes Largest body, the four bytes of the prefix not counted. */
  constructor(maxFrameBytes: number) {
    this.#bodyBytesMax = maxFrameBytes;
  }

  /**
   * Checks frames from `bytes[from..to)`; the answer is the verdict, the fields hold the rest.
   *
   * The run found never exceeds `RUN_BYTES_MAX` bytes, unless it is a single larger frame.
   */
  scan(bytes: Uint8Array, from: number, to: number): number {
    if (this.#bytes !== bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const view = this.#view;
    const bodyBytesMax = this.#bodyBytesMax;
    const runEnd = from + RUN_BYTES_MAX;
    let at = from;
    let count = 0;
    let verdict = SCAN_NEED_MORE;
    this.hasIds = 0;
    this.frameEnd = -1;
    while (at + FRAME_PREFIX_BYTES <= to) {
      // Signed on purpose: a length of 2^31 or more is negative and fails the same test.
      const length = view.getInt32(at);
      if (length < BODY_BYTES_MIN || length > bodyBytesMax) {
        this.reason = BAD_LENGTH;
        verdict = SCAN_FRAMING_LOST;
        break;
      }
      const frameEnd = at + FRAME_PREFIX_BYTES + length;
      this.frameEnd = frameEnd;
      if (frameEnd > to) break;
      const head = bytes[at + FRAME_PREFIX_BYTES] as number;
      const topicEnd = at + TOPIC_AT + view.getUint16(at + FRAME_PREFIX_BYTES + 1);
      let reason = GOOD;
      if (head <= PRIORITY_CRITICAL) {
        if (topicEnd > frameEnd || topicEnd === at + TOPIC_AT || topicEnd - at > TOPIC_AT + TOPIC_BYTES_MAX) {
          reason = BAD_TOPIC_LENGTH;
        } else if (!isTopic(bytes, view, at + TOPIC_AT, topicEnd)) {
          reason = BAD_TOPIC_UTF8;
        }
      } else if (head === HEAD_CONTROL) {
        verdict = SCAN_CONTROL;
        break;
      } else {
        reason = this.#checkSlowly(bytes, view, at, topicEnd, frameEnd);
      }
      if (reason !== GOOD) {
        this.reason = reason;
        verdict = SCAN_BAD_EVENT;
        break;
      }
      if (frameEnd > runEnd && count > 0) {
        verdict = SCAN_RUN_FULL;
        break;
      }
      count++;
      at = frameEnd;
    }
    if (at + FRAME_PREFIX_BYTES > to) this.frameEnd = -1;
    this.end = at;
    this.count = count;
    return verdict;
  }

  /** Checks a frame that is not plain: bad head, extensions, CRC. @returns Reject reason or `GOOD`. */
  #checkSlowly(bytes: Uint8Array, view: DataView, at: number, topicEnd: number, frameEnd: number): number {
    const head = bytes[at + FRAME_PREFIX_BYTES] as number;
    if ((head & (HEAD_RESERVED | HEAD_CONTROL)) !== 0) return BAD_HEAD;
    if ((head & HEAD_PRIORITY) > PRIORITY_CRITICAL) return BAD_PRIORITY;
    const bodyEnd = (head & HEAD_CRC) === 0 ? frameEnd : frameEnd - 4;
    const topicLength = topicEnd - at - TOPIC_AT;
    if (topicLength === 0 || topicLength > TOPIC_BYTES_MAX || topicEnd > bodyEnd) return BAD_TOPIC_LENGTH;
    if (!isTopic(bytes, view, at + TOPIC_AT, topicEnd)) return BAD_TOPIC_UTF8;
    let ids = 0;
    if ((head & HEAD_EXT) !== 0) {
      ids = checkExt(bytes, view, topicEnd, bodyEnd);
      if (ids < 0) return BAD_EXT;
    }
    if ((head & HEAD_CRC) !== 0) {
      const expected = view.getInt32(bodyEnd) >>> 0;
      if (crc32(bytes, view, at + FRAME_PREFIX_BYTES, bodyEnd) !== expected) return BAD_CRC;
    }
    // Only a good frame may mark the run.
    if (ids > 0) this.hasIds = 1;
    return GOOD;
  }
}

/** Whether a topic of 1..255 bytes is UTF-8: four bytes at a time while it is ASCII. */
function isTopic(bytes: Uint8Array, view: DataView, from: number, to: number): boolean {
  let at = from;
  for (; at + 4 <= to; at += 4) {
    if ((view.getInt32(at) & 0x80808080) !== 0) return isUtf8(bytes, at, to);
  }
  for (; at < to; at++) {
    if ((bytes[at] as number) >= 0x80) return isUtf8(bytes, at, to);
  }
  return true;
}

/**
 * Checks the extension area that starts at `at` and must end at or before `bodyEnd`.
 *
 * @returns 1 when it holds a message id, 0 when not, -1 when it is malformed: cut short, an unknown
 *   tag, a value of a wrong size, or a second message id, time or key.
 */
function checkExt(bytes: Uint8Array, view: DataView, at: number, bodyEnd: number): number {
  if (at + 2 > bodyEnd) return -1;
  let entry = at + 2;
  const end = entry + view.getUint16(at);
  if (end > bodyEnd) return -1;
  let seen = 0;
  while (entry < end) {
    if (entry + EXT_ENTRY_BYTES > end) return -1;
    const tag = bytes[entry] as number;
    const value = entry + EXT_ENTRY_BYTES;
    const length = view.getUint16(entry + 1);
    entry = value + length;
    if (entry > end || length === 0) return -1;
    if (tag === TAG_HEADER) {
      // The name is not empty, so the separator is never the first byte.
      let separator = value;
      while (separator < entry && bytes[separator] !== 0) separator++;
      if (separator === value || separator === entry) return -1;
      continue;
    }
    if (tag < TAG_ID || tag > TAG_KEY || (seen & (1 << tag)) !== 0) return -1;
    seen |= 1 << tag;
    if (tag === TAG_ID && length > ID_BYTES_MAX) return -1;
    if (tag === TAG_TIME) {
      if (length !== 8) return -1;
      const high = view.getInt32(value);
      if (high >= TIME_HIGH_LIMIT || high < -TIME_HIGH_LIMIT) return -1;
    }
  }
  return (seen & (1 << TAG_ID)) === 0 ? 0 : 1;
}
