/**
 * The engine's end of one source, for tests: reads the source ring as the dispatcher does, keeps the
 * frames in order, and answers with verdicts.
 */
import { FRAME_PREFIX_BYTES } from "../../src/event/frame.ts";
import {
  ACKS_NONE,
  RUN_CONNECTION,
  RUN_COUNT,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_SEQ_HI,
  RUN_SEQ_LO,
} from "../../src/event/run.ts";
import { createCounters } from "../../src/metrics/counters.ts";
import { createSourceLatencies } from "../../src/metrics/latency.ts";
import { SOURCE_COUNTERS } from "../../src/metrics/layout.ts";
import { CompletionWriter, createCompletions, STATUS_OK } from "../../src/queue/completions.ts";
import { createDoorbell, Doorbell } from "../../src/queue/doorbell.ts";
import { createRing, RingReader } from "../../src/queue/ring.ts";
import { Source } from "../../src/ingest/source.ts";

export interface Run {
  connection: number;
  firstSeq: number;
  count: number;
  acks: number;
  listener: number;
  hasIds: boolean;
  frames: Buffer;
}

export class EngineEnd {
  readonly ring;
  readonly completions = createCompletions(1024);
  readonly counters = createCounters(SOURCE_COUNTERS);
  readonly latencies = createSourceLatencies(1);
  readonly blocked: SharedArrayBuffer;
  readonly dispatcherDoorbell = createDoorbell();
  readonly sourceDoorbell = createDoorbell();
  /** Runs taken and kept, when `keeps`. */
  readonly runs: Run[] = [];
  eventCount = 0;
  byteCount = 0;
  /** Running CRC of all frames taken. */
  crc = 0;
  keeps = true;
  readonly #reader: RingReader;
  readonly #writer: CompletionWriter;
  readonly #bell: Doorbell;

  constructor(options: { ringBytes?: number; slots?: number } = {}) {
    this.ring = createRing(options.ringBytes ?? 1 << 20);
    this.blocked = new SharedArrayBuffer((options.slots ?? 64) * 4);
    this.#reader = new RingReader(this.ring);
    this.#writer = new CompletionWriter(this.completions);
    this.#bell = new Doorbell(this.sourceDoorbell);
  }

  /** A source on this engine, in this thread. */
  openSource(): Source {
    return new Source({
      index: 0,
      ring: this.ring,
      dispatcherDoorbell: new Doorbell(this.dispatcherDoorbell),
      completions: [this.completions],
      counters: this.counters,
      latencies: this.latencies,
      shardCount: 1,
      blocked: this.blocked,
      nowUs: () => Date.now() * 1000,
    });
  }

  counter(index: number): number {
    return new Float64Array(this.counters)[index] ?? NaN;
  }

  /** Takes everything published; answers those who asked. @returns Events taken. */
  take(options: { answers?: boolean; runsMax?: number } = {}): number {
    let taken = 0;
    for (let left = options.runsMax ?? Infinity; left > 0; left--) {
      const at = this.#reader.next();
      if (at < 0) break;
      const { words, bytes } = this.#reader;
      const word = at >> 2;
      const origin = words[word + RUN_ORIGIN] as number;
      const run: Run = {
        connection: (words[word + RUN_CONNECTION] as number) >>> 0,
        firstSeq: ((words[word + RUN_SEQ_HI] as number) >>> 0) * 2 ** 32 +
          ((words[word + RUN_SEQ_LO] as number) >>> 0),
        count: words[word + RUN_COUNT] as number,
        acks: (origin >>> 16) & 0xff,
        listener: (origin >>> 8) & 0xff,
        hasIds: (origin >>> 24) === 1,
        frames: Buffer.from(bytes.slice(at + RUN_HEADER_BYTES, at + (words[word] as number))),
      };
      this.eventCount += run.count;
      this.byteCount += run.frames.length;
      this.crc = Bun.hash.crc32(run.frames, this.crc);
      taken += run.count;
      if (this.keeps) this.runs.push(run);
      if (options.answers !== false && run.acks !== ACKS_NONE) this.answer(run);
    }
    this.#reader.release();
    return taken;
  }

  /** Sends one verdict on a run, or on a part of it. */
  answer(run: { connection: number; firstSeq: number; count: number }, status = STATUS_OK, detail = 0): void {
    if (!this.#writer.offer(run.connection, status, run.count, run.firstSeq, -1, 0, detail)) {
      throw new Error("The completions ring is full");
    }
    this.#writer.publish();
    this.#bell.ring();
  }

  /** All frames taken, back to back. */
  frames(): Buffer {
    return Buffer.concat(this.runs.map((run) => run.frames));
  }

  /** The same, one by one. */
  frameList(): Buffer[] {
    return splitFrames(this.frames());
  }
}

/** Cuts bytes into frames. @throws {RangeError} When they end inside one. */
export function splitFrames(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + FRAME_PREFIX_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new RangeError("Cut frame");
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}
