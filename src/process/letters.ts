/**
 * A thread's way into the dead-letter log: what cannot be processed, or delivered to a group, waits here until the
 * ring has room.
 *
 * A position is committed only while nothing waits and the ring is empty, so a dead letter may be written twice
 * after a crash, and is never lost. The processor has one, and main has one for consumer groups.
 */
import { deadLetterGrowth, deadLetterHeaders, writeDeadLetter } from "../event/dead-letter.ts";
import { frameLength, hasId } from "../event/ext.ts";
import { DROP_REASONS, type DropReason, LISTENERS } from "../event/frame.ts";
import {
  ACKS_NONE,
  packOrigin,
  RUN_COUNT,
  RUN_HAS_IDS,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_RECEIVED_HI,
  RUN_RECEIVED_LO,
} from "../event/run.ts";
import { count, openCounters } from "../metrics/counters.ts";
import { DEAD_LETTERS } from "../metrics/layout.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { type RingMemory, RingWriter } from "../queue/ring.ts";

/** Source number of runs that the engine itself makes. */
const SOURCE_ENGINE = 255;
const TWO_32 = 4294967296;
/** Dead letters that may wait: beyond, the processor reads nothing more. */
const WAITING_MAX = 1000;

/** An event that is to die. The frame is copied. */
export interface DyingEvent {
  readonly bytes: Uint8Array;
  /** Index of its length prefix. */
  readonly at: number;
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly receivedUs: number;
  /** Consumer group that gave it up. */
  readonly group?: string;
}

interface Waiting {
  readonly frame: Uint8Array;
  readonly headers: Uint8Array;
  readonly receivedUs: number;
}

export class LetterBox {
  readonly #writer: RingWriter;
  readonly #view: DataView;
  readonly #doorbell: Doorbell;
  readonly #counters: Float64Array;
  #waiting: Waiting[] = [];

  /** @param doorbell Of the thread that stores dead letters. @param counters DEAD_LETTER_COUNTERS of this thread. */
  constructor(ring: RingMemory, doorbell: SharedArrayBuffer, counters: SharedArrayBuffer) {
    this.#writer = new RingWriter(ring);
    this.#view = new DataView(ring.data);
    this.#doorbell = new Doorbell(doorbell);
    this.#counters = openCounters(counters);
  }

  get isFull(): boolean {
    return this.#waiting.length >= WAITING_MAX;
  }

  /** Whether all dead letters were taken by the thread that stores them. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#writer.depthBytes() === 0;
  }

  /** Takes an event's copy. */
  add(event: DyingEvent, reason: DropReason, error: string, attempts: number, nowUs: number): void {
    const { bytes, at, lane, shard, offset, receivedUs, group } = event;
    this.#waiting.push({
      frame: bytes.slice(at, at + frameLength(bytes, at)),
      headers: deadLetterHeaders({
        reason,
        error,
        lane,
        shard,
        offset,
        attempts,
        ...(group === undefined ? {} : { group }),
        timeUs: nowUs,
      }),
      receivedUs,
    });
    count(this.#counters, DEAD_LETTERS + DROP_REASONS.indexOf(reason), 1);
  }

  /** Hands on what waits, as far as there is room. @returns Whether anything went. */
  flush(): boolean {
    let sent = 0;
    while (sent < this.#waiting.length && this.#write(this.#waiting[sent] as Waiting)) sent++;
    if (sent === 0) return false;
    this.#waiting = this.#waiting.slice(sent);
    this.#writer.publish();
    this.#doorbell.ring();
    return true;
  }

  #write({ frame, headers, receivedUs }: Waiting): boolean {
    const writer = this.#writer;
    const at = writer.reserve(RUN_HEADER_BYTES + frame.length + deadLetterGrowth(headers));
    if (at < 0) return false;
    const end = writeDeadLetter(writer.bytes, this.#view, at + RUN_HEADER_BYTES, frame, 0, headers);
    writer.shrink(at, end - at);
    const { words } = writer;
    const word = at >> 2;
    words.fill(0, word + 1, word + RUN_HEADER_BYTES / 4);
    words[word + RUN_COUNT] = 1;
    words[word + RUN_RECEIVED_LO] = receivedUs;
    words[word + RUN_RECEIVED_HI] = receivedUs / TWO_32;
    const flags = hasId(frame, 0) ? RUN_HAS_IDS : 0;
    words[word + RUN_ORIGIN] = packOrigin(SOURCE_ENGINE, LISTENERS.indexOf("internal"), ACKS_NONE, flags);
    return true;
  }
}
