/**
 * The frame: how one event looks on the wire, in every queue, in the log and at the subscriber.
 *
 *     frame = u32be len | body                        3 ≤ len ≤ max_frame_bytes
 *     event = u8 head | u16be topic_len | topic | [ext] | payload | [u32be crc]
 *     head  = bits 0-2 priority | 0x80 crc present | 0x40 ext present | 0x20 control; bits 3-4 zero
 *     ext   = u16be ext_len | { u8 tag | u16be len | value }*
 *     crc   = CRC-32 (IEEE) of every body byte before it
 *
 * The bytes are checked once, at the listener; behind it every frame is trusted.
 */

/** Bytes of the length prefix. */
export const FRAME_PREFIX_BYTES = 4;
/** Smallest body: head and topic length. */
export const BODY_BYTES_MIN = 3;
export const MAX_FRAME_BYTES_DEFAULT = 1 << 20;
export const TOPIC_BYTES_MAX = 255;

export const HEAD_PRIORITY = 0x07;
export const HEAD_RESERVED = 0x18;
export const HEAD_CONTROL = 0x20;
export const HEAD_EXT = 0x40;
export const HEAD_CRC = 0x80;

export const PRIORITY_BATCH = 0;
export const PRIORITY_LOW = 1;
export const PRIORITY_MEDIUM = 2;
export const PRIORITY_HIGH = 3;
export const PRIORITY_CRITICAL = 4;

/** Names in the order of their numbers. */
export const PRIORITY_NAMES = ["BATCH", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;
export type PriorityName = (typeof PRIORITY_NAMES)[number];

/** Message id, 1..64 bytes: deduplication. */
export const TAG_ID = 1;
/** Event time, i64be microseconds since the Unix epoch. */
export const TAG_TIME = 2;
/** Key: order and shard. */
export const TAG_KEY = 3;
/** Header: name 0x00 value. May repeat. */
export const TAG_HEADER = 4;
export const ID_BYTES_MAX = 64;

export const OP_HELLO = 1;
export const OP_WELCOME = 2;
export const OP_ACK = 3;
export const OP_ERROR = 4;
export const OP_SUBSCRIBE = 5;
export const OP_EVENTS = 6;
export const OP_CONFIRM = 7;
export const OP_PING = 8;
export const OP_PONG = 9;

/**
 * Why an event was refused: metric label, ERROR code and index into the counters, in this order.
 * Codes are stable; append only.
 */
export const REJECT_REASONS = [
  "bad_length", // length prefix out of range; framing is lost
  "bad_head", // reserved head bits set, or a control frame where none may be
  "bad_priority", // priority over 4
  "bad_topic_length", // topic_len 0, over 255, or past the frame
  "bad_topic_utf8",
  "bad_ext", // extension area malformed, unknown tag, or a value out of range
  "bad_crc",
  "bad_control", // control frame that cannot be understood
  "truncated", // datagram or connection ended inside a frame
  "backpressure", // datagram refused because its lane is full: UDP cannot be told to wait
  "unauthorized",
  "rate_limited",
  "shutting_down",
  "forbidden", // the sender is known, and may not send to this topic
] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/**
 * Why an accepted event was not stored in its lane: DLQ reason, metric label, counter index.
 * Codes are stable; append only.
 */
export const DROP_REASONS = [
  "queue_full", // drop_new, or retries of a full queue exhausted
  "drop_old", // made room for a newer event
  "backpressure_drop", // batch events shed under pressure
  "log_failed", // the log cannot be written and the lane may not wait
  "processing_failed",
  "processor_paused",
  "sla_breach",
  "max_retries_exceeded",
  "dedup_expired",
  "emergency_drop", // taken out by the control plane in an emergency
  "shed", // a batch event, taken out by the control plane under load
  "max_deliveries", // no member of a consumer group could deal with it
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Where an event came in: metric label, and its number in run records. Append only. */
export const LISTENERS = ["tcp", "udp", "http", "ws", "grpc", "file", "internal", "feed"] as const;
export type Listener = (typeof LISTENERS)[number];
