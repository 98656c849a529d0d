/**
 * Events of the feeds, as runs of frames offered to the engine.
 *
 *     event ─▶ run being filled ─▶ runs that wait ─▶ source        waiting ≤ WAITING_BYTES_MAX
 *
 * A venue cannot be told to wait: while the engine has no room, runs wait here, and beyond the limit the newest
 * events are lost, counted, and told once there is room again. The feed thread only.
 */
import { encodeEvent, frameBytesOf, type OutgoingEvent } from "../../event/encode.ts";
import { FRAME_PREFIX_BYTES } from "../../event/frame.ts";
import { RUN_BYTES_MAX } from "../../event/run.ts";
import type { Connection, Source } from "../source.ts";

const WAITING_BYTES_MAX = 64 * 1024 * 1024;

interface Run {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly receivedUs: number;
}

export class EventWriter {
  /** Events lost for want of room, and events larger than a frame may be. */
  lostCount = 0;
  tooLargeCount = 0;
  /** Events on their way to the engine so far, those that wait included; and how many of them are in the log. */
  sentCount = 0;
  durableCount = 0;
  readonly #source: Source;
  readonly #connection: Connection;
  readonly #bodyBytesMax: number;
  readonly #nowUs: () => number;
  #bytes = new Uint8Array(RUN_BYTES_MAX);
  #length = 0;
  #count = 0;
  readonly #waiting: Run[] = [];
  #waitingBytes = 0;

  /** @param acks `durable`: `durableCount` follows `sentCount`; `none`: it stays 0. */
  constructor(source: Source, bodyBytesMax: number, nowUs: () => number, acks: "none" | "durable" = "none") {
    this.#source = source;
    this.#bodyBytesMax = bodyBytesMax;
    this.#nowUs = nowUs;
    const connection = source.openConnection("feed", acks, {
      progress: (count) => {
        this.durableCount = count;
      },
      problem() {},
    });
    if (connection === undefined) throw new RangeError("No connection slot is free for the feeds");
    this.#connection = connection;
  }

  /** Bytes of events that wait for room. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Adds one event; `flush()` sends it on its way. */
  write(event: OutgoingEvent): void {
    const length = frameBytesOf(event);
    if (length - FRAME_PREFIX_BYTES > this.#bodyBytesMax) {
      this.tooLargeCount++;
      return;
    }
    if (this.#length + length > RUN_BYTES_MAX) this.#endRun();
    if (length > this.#bytes.length) this.#bytes = new Uint8Array(length);
    this.#length = encodeEvent(this.#bytes, this.#length, event);
    this.#count++;
  }

  /** Offers all that was written, in order. @returns Whether all of it found room. */
  flush(): boolean {
    this.#endRun();
    let taken = 0;
    for (const run of this.#waiting) {
      if (this.#source.isBlocked(this.#connection) || !this.#offer(run)) break;
      this.#waitingBytes -= run.bytes.length;
      taken++;
    }
    if (taken > 0) {
      this.#waiting.splice(0, taken);
      this.#source.publish();
    }
    return this.#waiting.length === 0;
  }

  #endRun(): void {
    if (this.#count === 0) return;
    const run = {
      bytes: this.#bytes.subarray(0, this.#length),
      count: this.#count,
      receivedUs: this.#nowUs(),
    };
    this.#length = 0;
    this.#count = 0;
    this.sentCount += run.count;
    const isFirst = this.#waiting.length === 0 && !this.#source.isBlocked(this.#connection);
    if (isFirst && this.#offer(run)) {
      this.#source.publish();
    } else if (this.#waitingBytes + run.bytes.length > WAITING_BYTES_MAX) {
      this.lostCount += run.count;
      this.sentCount -= run.count;
    } else {
      this.#waiting.push({ ...run, bytes: run.bytes.slice() });
      this.#waitingBytes += run.bytes.length;
    }
    if (this.#bytes.length > RUN_BYTES_MAX) this.#bytes = new Uint8Array(RUN_BYTES_MAX);
  }

  #offer({ bytes, count, receivedUs }: Run): boolean {
    return this.#source.offer(this.#connection, bytes, 0, bytes.length, count, receivedUs, true);
  }
}
