/**
 * Which counter lies where: one block a source thread, one a shard for the dispatcher's side, one a
 * shard for the lane worker's side. Each block has exactly one writer thread.
 */
// Indexes within a range are those of LISTENERS, REJECT_REASONS and DROP_REASONS (event/frame.ts).

/** Room kept for names to come, so that appending one never moves another. */
const LISTENERS_MAX = 16;
const REJECT_REASONS_MAX = 32;
const DROP_REASONS_MAX = 32;

// Block of one source thread (an ingest worker, or the main thread for HTTP, WebSocket, gRPC).
/** + listener index: event frames read, well formed or not. */
export const SOURCE_RECEIVED = 0;
/** + listener index: bytes read. */
export const SOURCE_BYTES = SOURCE_RECEIVED + LISTENERS_MAX;
/** + listener index: connections open now (a gauge). */
export const SOURCE_CONNECTIONS = SOURCE_BYTES + LISTENERS_MAX;
/** + listener index: connections accepted since start. */
export const SOURCE_CONNECTIONS_TOTAL = SOURCE_CONNECTIONS + LISTENERS_MAX;
/** + reject reason: event frames refused before they reached a lane. */
export const SOURCE_REJECTED = SOURCE_CONNECTIONS_TOTAL + LISTENERS_MAX;
/** UDP datagrams read; dropped ones are the kernel's to count. */
export const SOURCE_DATAGRAMS = SOURCE_REJECTED + REJECT_REASONS_MAX;
/** Connections refused because the limit was reached. */
export const SOURCE_CONNECTIONS_REFUSED = SOURCE_DATAGRAMS + 1;
/** Connections whose reading is stopped now because a lane is full (a gauge). */
export const SOURCE_PAUSED = SOURCE_CONNECTIONS_REFUSED + 1;
/** Subscriptions served by this thread now (a gauge). */
export const SOURCE_SUBSCRIBERS = SOURCE_PAUSED + 1;
/** Events handed to subscribers. */
export const SOURCE_DELIVERED = SOURCE_SUBSCRIBERS + 1;
/** Clients refused because of what they showed, or did not show, of themselves. */
export const SOURCE_AUTH_FAILURES = SOURCE_DELIVERED + 1;
/** + limit: times a client ran into it. */
export const SOURCE_LIMITED = SOURCE_AUTH_FAILURES + 1;
/** Limits of one client: metric label and index into the counters. Append only, 14 at most. */
export const LIMITS = [
  "connections",
  "connections_per_address",
  "connects_per_second",
  "rate",
  "login_timeout",
  "subscriber_buffer",
  "body_bytes",
  "bodies_held",
  "json_depth",
] as const;
export type Limit = (typeof LIMITS)[number];
/** + listener index: subscribers that are known to take less than comes (a gauge). */
export const SOURCE_SLOW = SOURCE_DELIVERED + 16;
export const SOURCE_COUNTERS = SOURCE_SLOW + LISTENERS_MAX;

// Block of one shard, written by the dispatcher.
/** Events put into the lane's queue. */
export const DISPATCH_ENQUEUED = 0;
/** + drop reason: events the overflow policy took out (counted as accepted, then dropped). */
export const DISPATCH_DROPPED = 1;
/** Events raised by the topic table. */
export const DISPATCH_UPGRADED = DISPATCH_DROPPED + DROP_REASONS_MAX;
/** HIGH events sent on as MEDIUM because of pressure. */
export const DISPATCH_DOWNGRADED = DISPATCH_UPGRADED + 1;
/** Pressure level now: 0 normal, 1 high, 2 critical (a gauge). */
export const DISPATCH_PRESSURE = DISPATCH_DOWNGRADED + 1;
/** Bytes parked behind a full queue (a gauge). */
export const DISPATCH_PARKED_BYTES = DISPATCH_PRESSURE + 1;
/** Times a full queue was met. */
export const DISPATCH_FULL = DISPATCH_PARKED_BYTES + 1;
export const DISPATCH_COUNTERS = DISPATCH_FULL + 8;

// Block of one thread that writes dead letters.
/** + drop reason: events handed to the dead-letter log. */
export const DEAD_LETTERS = 0;
/** Dead letters lost because their ring was full. */
export const DEAD_LETTERS_LOST = DEAD_LETTERS + DROP_REASONS_MAX;
export const DEAD_LETTER_COUNTERS = DEAD_LETTERS_LOST + 8;

// Block of one shard, written by its lane worker.
/** Events taken from the queue that were not duplicates. Dropped ones are added by the dispatcher. */
export const LANE_ACCEPTED = 0;
export const LANE_DURABLE = 1;
export const LANE_PROCESSED = 2;
export const LANE_DUPLICATES = 3;
/** Batches appended, and syncs done: their ratio to events shows how well commits group. */
export const LANE_BATCHES = 4;
export const LANE_SYNCS = 5;
/** 1 while the log of this shard cannot be written. */
export const LANE_FAILED = 6;
/** + drop reason: events taken from the queue that could not be processed. */
export const LANE_DROPPED = 7;
/** Bytes appended to the log since start. */
export const LANE_BYTES = LANE_DROPPED + DROP_REASONS_MAX;
/** Damaged batches met while reading the log. */
export const LANE_CORRUPT = LANE_BYTES + 1;
export const LANE_COUNTERS = LANE_CORRUPT + 16;

export { DROP_REASONS_MAX, LISTENERS_MAX, REJECT_REASONS_MAX };
