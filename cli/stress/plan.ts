/**
 * What a stress run sends: which event is which, and how its payload proves it.
 *
 *     payload = run (8 hex digits) ' ' client (5 digits) ' ' seq (10 digits) ' ' filler
 *
 * `seq` counts from 0 on each client. Event seq has topic seq mod topics and priority seq mod 5, unless one
 * priority is set: as the original engine's stress script does it.
 */
import { encodeFrame } from "../../src/event/encode.ts";
import { FRAME_PREFIX_BYTES, PRIORITY_NAMES } from "../../src/event/frame.ts";

export interface StressPlan {
  /** Tells this run's events from all others: 8 hex digits. */
  readonly run: string;
  readonly clients: number;
  /** Events of each client. */
  readonly events: number;
  /** Bytes of a payload. Below `IDENTITY_BYTES` it cannot say which event it is. */
  readonly size: number;
  readonly topics: readonly string[];
  /** Absent: seq mod 5. */
  readonly priority: number | undefined;
}

/** Topics unless told otherwise: one for each default lane's name. */
export const DEFAULT_TOPICS = ["stress.realtime", "stress.transaction", "stress.batch"] as const;
/** Every topic of a stress run matches this. */
export const STRESS_PATTERN = "stress.>";
export const CLIENTS_MAX = 10_000;
export const EVENTS_MAX = 1_000_000_000;
export const TOPICS_MAX = 10_000;

const RUN_DIGITS = 8;
const CLIENT_AT = RUN_DIGITS + 1;
const CLIENT_DIGITS = 5;
const SEQ_AT = CLIENT_AT + CLIENT_DIGITS + 1;
const SEQ_DIGITS = 10;
/** Bytes of a payload that say which event it is. */
export const IDENTITY_BYTES = SEQ_AT + SEQ_DIGITS + 1;
const ZERO = 0x30;
const FILLER = "abcdefghijklmnopqrstuvwxyz0123456789";
/** A block is written by one system call. */
const BLOCK_BYTES = 64 * 1024;

/** `count` topics. */
export function stressTopics(count: number | undefined): readonly string[] {
  if (count === undefined) return DEFAULT_TOPICS;
  return Array.from({ length: count }, (_, index) => `stress.t${index}`);
}

/**
 * Frames of one client, encoded once and sent again and again: only the digits of `seq` change.
 *
 * Frame i of the block carries every event whose seq mod `count` is i.
 */
export class FrameBlock {
  readonly bytes: Buffer;
  /** Frames in the block: a multiple of topics and priorities. */
  readonly count: number;
  /** Index of frame i; one more entry is the end of the last. */
  readonly starts: Int32Array;
  /** Length of the longest frame's body. */
  readonly bodyBytesMax: number;
  readonly #payloads: Int32Array;

  constructor(plan: StressPlan, client: number) {
    const cycle = leastCommonMultiple(plan.topics.length, PRIORITY_NAMES.length);
    const payload = identity(plan, client) + FILLER.repeat(Math.ceil(plan.size / FILLER.length));
    const frames = Array.from({ length: cycle }, (_, seq) =>
      encodeFrame({
        topic: plan.topics[seq % plan.topics.length] ?? "",
        priority: plan.priority ?? seq % PRIORITY_NAMES.length,
        payload: payload.slice(0, plan.size),
      }));
    const cycleBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    this.bodyBytesMax = Math.max(...frames.map((frame) => frame.length)) - FRAME_PREFIX_BYTES;
    const cycles = Math.max(1, Math.floor(BLOCK_BYTES / cycleBytes));
    this.count = cycle * cycles;
    this.bytes = Buffer.alloc(cycleBytes * cycles);
    this.starts = new Int32Array(this.count + 1);
    this.#payloads = new Int32Array(this.count);
    let at = 0;
    for (let index = 0; index < this.count; index++) {
      const frame = frames[index % cycle] ?? new Uint8Array(0);
      this.bytes.set(frame, at);
      this.starts[index] = at;
      at += frame.length;
      this.#payloads[index] = at - plan.size;
    }
    this.starts[this.count] = at;
  }

  /** Makes the frames `from..from+count` carry the events `seq..seq+count`. */
  number(from: number, count: number, seq: number): void {
    const { bytes } = this;
    for (let index = 0; index < count; index++) {
      let left = seq + index;
      const at = (this.#payloads[from + index] as number) + SEQ_AT;
      for (let digit = at + SEQ_DIGITS - 1; digit >= at; digit--) {
        const rest = (left / 10) | 0;
        bytes[digit] = ZERO + left - rest * 10;
        left = rest;
      }
    }
  }

  /**
   * Whether the frame that came back is the one sent for the event `seq`, but for its first five bytes (length and
   * head, which a server may rewrite) and the digits.
   *
   * @param bytes Memory with the frame at `at`, of `frameBytes`.
   */
  isIntact(seq: number, bytes: Buffer, at: number, frameBytes: number): boolean {
    const index = seq % this.count;
    const start = this.starts[index] as number;
    if ((this.starts[index + 1] as number) - start !== frameBytes) return false;
    const digits = (this.#payloads[index] as number) + SEQ_AT;
    const topic = start + FRAME_PREFIX_BYTES + 1;
    const moved = at - start;
    return this.bytes.compare(bytes, topic + moved, digits + moved, topic, digits) === 0 &&
      this.bytes.compare(
          bytes,
          digits + SEQ_DIGITS + moved,
          at + frameBytes,
          digits + SEQ_DIGITS,
          start + frameBytes,
        ) ===
        0;
  }
}

/** Which event a payload claims to be; reused: read it before the next `readIdentity()`. */
export interface EventIdentity {
  client: number;
  seq: number;
}

/** Reads whose event `bytes[at..]` is. @returns `false` when it is not of this run. */
export function readIdentity(run: Uint8Array, bytes: Uint8Array, at: number, into: EventIdentity): boolean {
  for (let index = 0; index < RUN_DIGITS; index++) {
    if (bytes[at + index] !== run[index]) return false;
  }
  into.client = readDigits(bytes, at + CLIENT_AT, CLIENT_DIGITS);
  into.seq = readDigits(bytes, at + SEQ_AT, SEQ_DIGITS);
  return true;
}

function readDigits(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) value = value * 10 + (bytes[index] as number) - ZERO;
  return value;
}

function identity(plan: StressPlan, client: number): string {
  return `${plan.run} ${String(client).padStart(CLIENT_DIGITS, "0")} ${"0".repeat(SEQ_DIGITS)} `;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return a / x * b;
}
