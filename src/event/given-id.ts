/** Gives a message id to an event. */
import { crc32 } from "./crc.ts";
import { findTag, frameLength, hasId, payloadEnd, payloadStart, topicLength, topicStart } from "./ext.ts";
import { FRAME_PREFIX_BYTES, HEAD_CRC, HEAD_EXT, ID_BYTES_MAX, TAG_ID } from "./frame.ts";

const EXT_ENTRY_BYTES = 3;
const EXT_LENGTH_BYTES = 2;
const EXT_BYTES_MAX = 0xffff;
const CRC_BYTES = 4;

/**
 * Copies one frame with `id` added; topic, payload and everything else stay as they are. Allocates; not for hot
 * paths.
 *
 * @param id ASCII, 1..64 characters.
 * @param frameBytesMax Largest frame, prefix included.
 * @returns The frame itself when it has an id already, or when it would become too large.
 */
export function withGivenId(frame: Uint8Array, id: string, frameBytesMax: number): Uint8Array {
  return hasId(frame, 0) ? frame : withNewId(frame, id, frameBytesMax);
}

/**
 * The same, in place of the id that the event may have.
 *
 * @returns The frame itself when it would become too large.
 */
export function withNewId(frame: Uint8Array, id: string, frameBytesMax: number): Uint8Array {
  const text = Buffer.from(id, "latin1");
  if (text.length === 0 || text.length > ID_BYTES_MAX) {
    throw new RangeError(`Id "${id}" is not 1 to 64 bytes`);
  }
  const topicEnd = topicStart(0) + topicLength(frame, 0);
  const payloadAt = payloadStart(frame, 0);
  const hasExt = payloadAt > topicEnd;
  const ext = hasExt ? frame.subarray(topicEnd + EXT_LENGTH_BYTES, payloadAt) : frame.subarray(0, 0);
  const own = withoutId(frame, ext);
  const extBytes = own.length + EXT_ENTRY_BYTES + text.length;
  const grown = frameLength(frame, 0) - ext.length + extBytes + (hasExt ? 0 : EXT_LENGTH_BYTES);
  if (extBytes > EXT_BYTES_MAX || grown > frameBytesMax) return frame;
  const bytes = new Uint8Array(grown);
  const view = new DataView(bytes.buffer);
  bytes.set(frame.subarray(0, topicEnd));
  view.setUint16(topicEnd, extBytes);
  let at = topicEnd + EXT_LENGTH_BYTES;
  bytes.set(own, at);
  at += own.length;
  bytes[at] = TAG_ID;
  view.setUint16(at + 1, text.length);
  bytes.set(text, at + EXT_ENTRY_BYTES);
  at += EXT_ENTRY_BYTES + text.length;
  bytes.set(frame.subarray(payloadAt, payloadEnd(frame, 0)), at);
  const head = (frame[FRAME_PREFIX_BYTES] as number) | HEAD_EXT;
  bytes[FRAME_PREFIX_BYTES] = head;
  view.setUint32(0, grown - FRAME_PREFIX_BYTES);
  if ((head & HEAD_CRC) !== 0) {
    view.setUint32(grown - CRC_BYTES, crc32(bytes, view, FRAME_PREFIX_BYTES, grown - CRC_BYTES));
  }
  return bytes;
}

/** The entries of an extension area but that of the message id. */
function withoutId(frame: Uint8Array, ext: Uint8Array): Uint8Array {
  const id = findTag(frame, 0, TAG_ID);
  if (id === undefined) return ext;
  const at = frame.byteOffset + id.start - EXT_ENTRY_BYTES - ext.byteOffset;
  return Buffer.concat([ext.subarray(0, at), ext.subarray(at + EXT_ENTRY_BYTES + id.length)]);
}
