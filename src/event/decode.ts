/**
 * Turns a checked frame into an object: for HTTP, `esc tail`, dead letters and tests. The hot path
 * uses `ext.ts` instead, which allocates nothing.
 */
import { framePriority, payloadEnd, payloadStart, TagCursor, topicLength, topicStart } from "./ext.ts";
import { TAG_HEADER, TAG_ID, TAG_KEY, TAG_TIME } from "./frame.ts";

/** An event as its frame says it. Text that is not UTF-8 (ids, keys, headers may be any bytes) shows U+FFFD. */
export interface DecodedEvent {
  readonly topic: string;
  readonly priority: number;
  readonly id?: string;
  /** Microseconds since the Unix epoch. */
  readonly timeUs?: number;
  readonly key?: string;
  /** In the order of the frame; names may repeat. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** A view of the frame's memory: copy it to keep it. */
  readonly payload: Uint8Array;
}

const decoder = new TextDecoder();

/** @param at Index of the frame's length prefix. */
export function decodeFrame(bytes: Uint8Array, at: number): DecodedEvent {
  const headers: (readonly [string, string])[] = [];
  let id: string | undefined;
  let timeUs: number | undefined;
  let key: string | undefined;
  const cursor = new TagCursor();
  cursor.open(bytes, at);
  while (cursor.next(bytes)) {
    const value = bytes.subarray(cursor.start, cursor.start + cursor.length);
    if (cursor.tag === TAG_ID) id = text(value);
    else if (cursor.tag === TAG_TIME) timeUs = timeOf(bytes, cursor.start);
    else if (cursor.tag === TAG_KEY) key = text(value);
    else if (cursor.tag === TAG_HEADER) {
      const separator = value.indexOf(0);
      headers.push([text(value.subarray(0, separator)), text(value.subarray(separator + 1))]);
    }
  }
  const topicAt = topicStart(at);
  return {
    topic: text(bytes.subarray(topicAt, topicAt + topicLength(bytes, at))),
    priority: framePriority(bytes, at),
    ...(id === undefined ? {} : { id }),
    ...(timeUs === undefined ? {} : { timeUs }),
    ...(key === undefined ? {} : { key }),
    headers,
    payload: bytes.subarray(payloadStart(bytes, at), payloadEnd(bytes, at)),
  };
}

/** The i64be at `at`, exact: the frame check admits nothing beyond ±2^53. */
export function timeOf(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  return view.getInt32(0) * 4294967296 + view.getUint32(4);
}

/** A web page has shared memory only if it asked for it. */
const CAN_SHARE = typeof SharedArrayBuffer !== "undefined";

/** TextDecoder refuses views of shared memory, so those are copied first. */
function text(bytes: Uint8Array): string {
  return decoder.decode(CAN_SHARE && bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes);
}
