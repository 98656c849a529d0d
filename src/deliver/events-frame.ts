/**
 * The EVENTS frame: events on their way to a subscriber.
 *
 *     frame   = u32be len | 0x20 | 0x06 | u8 id_len | id | u8 lane_len | lane | u16be shard | block*
 *     block   = u64be base_offset | u32be count | u64be received_us | u32be bytes | frames
 *     frames  = event frames as their producer sent them; offsets base_offset, base_offset + 1, …
 *
 * A frame speaks of one subscription and one shard. Offsets rise from block to block; a gap means that
 * the events between did not match. A frame is at most EVENTS_BYTES_MAX long, unless one event alone
 * is larger: then it holds that event only.
 */
import { FRAME_PREFIX_BYTES, HEAD_CONTROL, OP_EVENTS } from "../event/frame.ts";

/** Longest EVENTS frame with more than one event, length prefix included. */
export const EVENTS_BYTES_MAX = 256 * 1024;
export const BLOCK_HEADER_BYTES = 24;
const TWO_32 = 4294967296;

/** The fixed beginning of every EVENTS frame of one subscription and shard, length prefix left open. */
export function eventsHeader(id: string, lane: string, shard: number): Uint8Array {
  const idBytes = new TextEncoder().encode(id);
  const laneBytes = new TextEncoder().encode(lane);
  const header = new Uint8Array(FRAME_PREFIX_BYTES + 2 + 1 + idBytes.length + 1 + laneBytes.length + 2);
  let at = FRAME_PREFIX_BYTES;
  header[at++] = HEAD_CONTROL;
  header[at++] = OP_EVENTS;
  header[at++] = idBytes.length;
  header.set(idBytes, at);
  at += idBytes.length;
  header[at++] = laneBytes.length;
  header.set(laneBytes, at);
  at += laneBytes.length;
  header[at] = shard >>> 8;
  header[at + 1] = shard & 0xff;
  return header;
}

/**
 * Bytes a target must have so that any single event fits: the largest frame, its block and its header.
 *
 * @param maxFrameBytes Largest `len` of an event frame.
 */
export function eventsTargetBytesMin(maxFrameBytes: number): number {
  // Ids and lane names have at most 255 bytes each.
  const headerBytesMax = FRAME_PREFIX_BYTES + 2 + 1 + 255 + 1 + 255 + 2;
  return Math.max(EVENTS_BYTES_MAX, headerBytesMax + BLOCK_HEADER_BYTES + FRAME_PREFIX_BYTES + maxFrameBytes);
}

/** Writes a block's header at `at`. @param frameBytes Bytes of the frames that follow it. */
export function writeBlockHeader(
  target: Uint8Array,
  at: number,
  baseOffset: number,
  count: number,
  receivedUs: number,
  frameBytes: number,
): void {
  writeU64(target, at, baseOffset);
  writeU32(target, at + 8, count);
  writeU64(target, at + 12, receivedUs);
  writeU32(target, at + 20, frameBytes);
}

/** Writes an unsigned 32-bit number, big-endian. */
export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function writeU64(target: Uint8Array, at: number, value: number): void {
  writeU32(target, at, (value / TWO_32) >>> 0);
  writeU32(target, at + 4, value >>> 0);
}
