/**
 * The run: consecutive event frames of one producer, handed over as one record.
 *
 * Everything between a listener and the log moves runs, never single events: one copy, one header,
 * one cursor update for as many events as happened to arrive together.
 *
 *      0  u32 length       header and frames, unpadded (the ring's length word)
 *      4  u32 count        event frames in the run, ≥ 1
 *      8  u64 receivedUs   microseconds since the Unix epoch, when the bytes were read
 *     16  u32 connection   slot (low 16 bits) and generation (high 16 bits) in the source thread
 *     20  u8  source       which source thread (index), 255 for the engine itself
 *     21  u8  listener     index into LISTENERS
 *     22  u8  acks         ACKS_NONE, ACKS_ACCEPTED or ACKS_DURABLE
 *     23  u8  flags        RUN_HAS_IDS: at least one frame may carry a message id
 *     24  u64 firstSeq     number of the run's first event on its connection, from 1
 *     32  frames           wire layout, back to back
 *
 * Little-endian (the native order of every supported machine), 8-byte aligned. The same 32 bytes go
 * to disk as part of a log batch.
 */

export const RUN_HEADER_BYTES = 32;

// 32-bit word indexes inside the header.
export const RUN_LENGTH = 0;
export const RUN_COUNT = 1;
export const RUN_RECEIVED_LO = 2;
export const RUN_RECEIVED_HI = 3;
export const RUN_CONNECTION = 4;
/** source | listener << 8 | acks << 16 | flags << 24 */
export const RUN_ORIGIN = 5;
export const RUN_SEQ_LO = 6;
export const RUN_SEQ_HI = 7;

export const ACKS_NONE = 0;
export const ACKS_ACCEPTED = 1;
export const ACKS_DURABLE = 2;
/** Names in the order of their numbers. */
export const ACKS_NAMES = ["none", "accepted", "durable"] as const;
export type AcksName = (typeof ACKS_NAMES)[number];

export const RUN_HAS_IDS = 1;

/** Most frame bytes in one run, unless a single frame is larger: keeps dropping and parking fine-grained. */
export const RUN_BYTES_MAX = 64 * 1024;

/** Packs the origin word. */
export function packOrigin(source: number, listener: number, acks: number, flags: number): number {
  return source | (listener << 8) | (acks << 16) | (flags << 24);
}

/** Packs a connection word. @param slot 0..65535. @param generation Taken modulo 65536. */
export function packConnection(slot: number, generation: number): number {
  return slot | (generation << 16);
}
