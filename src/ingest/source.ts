/**
 * One source thread's end towards the engine: runs go in, verdicts come back.
 *
 * Used by every ingest worker and by the main thread (HTTP publish); each has its own ring, its own
 * completions and its own counters. All methods belong to that one thread and none of them waits.
 *
 * Events of a connection are numbered from 1 in the order they are offered or refused:
 *
 *     done ≤ seq        done: all verdicts are in; seq: number of the last event
 */
import { AckTracker } from "../deliver/acks.ts";
import { LISTENERS, REJECT_REASONS } from "../event/frame.ts";
import type { Listener, RejectReason } from "../event/frame.ts";
import {
  ACKS_NAMES,
  ACKS_NONE,
  packConnection,
  packOrigin,
  RUN_BYTES_MAX,
  RUN_CONNECTION,
  RUN_COUNT,
  RUN_HAS_IDS,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_RECEIVED_HI,
  RUN_RECEIVED_LO,
  RUN_SEQ_HI,
  RUN_SEQ_LO,
} from "../event/run.ts";
import type { AcksName } from "../event/run.ts";
import { count, openCounters } from "../metrics/counters.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { openSourceLatency, SOURCE_ACK } from "../metrics/latency.ts";
import {
  SOURCE_BYTES,
  SOURCE_CONNECTIONS,
  SOURCE_CONNECTIONS_TOTAL,
  SOURCE_PAUSED,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
  SOURCE_SUBSCRIBERS,
} from "../metrics/layout.ts";
import { CompletionReader, STATUS_DUPLICATE, STATUS_OK } from "../queue/completions.ts";
import type { Completion, CompletionMemory } from "../queue/completions.ts";
import type { Doorbell } from "../queue/doorbell.ts";
import { RingWriter } from "../queue/ring.ts";
import type { RingMemory } from "../queue/ring.ts";

const TWO_32 = 4294967296;
/** A connection with this many holes in its acknowledgements is not read until some are filled. */
export const ACK_INTERVALS_MAX = 4096;
const SLOTS_MAX = 65536;

/** Who hears of a connection's events. Called inside `poll()` and `refuse()`; must not throw. */
export interface ConnectionSink {
  /** All events 1..done have their verdict; called at most once a `poll()` per connection. */
  progress(done: number): void;
  /**
   * Events firstSeq..firstSeq+count-1 were not stored. Always told before the `progress()` that covers them.
   *
   * @param status `STATUS_DROPPED` or `STATUS_FAILED` (`queue/completions.ts`).
   * @param detail With `STATUS_DROPPED` an index into DROP_REASONS.
   */
  problem(status: number, detail: number, firstSeq: number, count: number): void;
  /**
   * Events firstSeq..firstSeq+count-1 have their place, for sinks that tell it (HTTP). Told before the
   * `progress()` that covers them; absent where nobody asks, so that it costs nothing there.
   *
   * @param status `STATUS_OK` or `STATUS_DUPLICATE`.
   * @param offset Log offset of the first; of a duplicate, where it was stored the first time. -1 when it
   *   has none yet (accepted only).
   * @param shard Index in the engine's list of shards.
   */
  stored?(status: number, firstSeq: number, count: number, offset: number, shard: number): void;
}

/** One producer as the engine sees it. Made by `Source.openConnection`. */
export class Connection {
  /** Slot and generation, as in run records and completions. */
  readonly word: number;
  readonly slot: number;
  /** Index into LISTENERS. */
  readonly listener: number;
  readonly sink: ConnectionSink;
  /** ACKS_NONE, ACKS_ACCEPTED or ACKS_DURABLE. */
  acks: number;
  /** Events offered or refused so far. */
  seq = 0;
  /** Fed only while `acks` is not ACKS_NONE. */
  readonly tracker = new AckTracker();
  /** Whether `progress()` is due at the end of this `poll()`. */
  isDirty = false;
  /** The event whose acknowledgement is being timed, 0 when none is; and when its bytes were read. */
  timedSeq = 0;
  timedUs = 0;
  isOpen = true;

  constructor(word: number, slot: number, listener: number, acks: number, sink: ConnectionSink) {
    this.word = word;
    this.slot = slot;
    this.listener = listener;
    this.acks = acks;
    this.sink = sink;
  }
}

export interface SourceOptions {
  /** Number of this source, in run records. */
  readonly index: number;
  /** This source's ring; the dispatcher reads it. */
  readonly ring: RingMemory;
  readonly dispatcherDoorbell: Doorbell;
  /** Verdicts for this source: from the dispatcher and from each lane worker. */
  readonly completions: readonly CompletionMemory[];
  /** `SOURCE_COUNTERS` counters, written by this thread only. */
  readonly counters: SharedArrayBuffer;
  /** `createSourceLatencies()`: acknowledgements are timed into it, one event at a time a connection. */
  readonly latencies: SharedArrayBuffer;
  readonly shardCount: number;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** One Int32 a connection slot: 1 while the dispatcher wants no more from it. Its size limits the slots. */
  readonly blocked: SharedArrayBuffer;
}

/** WebSockets are counted where they are opened; datagrams have no connections, only slots. */
const NOT_COUNTED: ReadonlySet<number> = new Set([LISTENERS.indexOf("ws"), LISTENERS.indexOf("udp")]);

export class Source {
  readonly counters: Float64Array;
  /** Bytes handed on since start: while it grows, input is coming. */
  bytesOffered = 0;
  /** Largest run, header not counted, that the ring can ever take. */
  readonly runBytesMax: number;
  readonly #index: number;
  readonly #writer: RingWriter;
  readonly #doorbell: Doorbell;
  readonly #completions: readonly CompletionReader[];
  readonly #blocked: Int32Array;
  readonly #connections: (Connection | undefined)[];
  readonly #generations: Uint16Array;
  /** Free slots, oldest first: a slot rests as long as possible before its next generation. */
  readonly #free: Int32Array;
  #freeAt = 0;
  #freeCount: number;
  readonly #dirty: Connection[] = [];
  /** One a shard. */
  readonly #ackLatencies: readonly Histogram[];
  readonly #nowUs: () => number;

  constructor(options: SourceOptions) {
    this.counters = openCounters(options.counters);
    this.#index = options.index;
    this.#writer = new RingWriter(options.ring);
    this.runBytesMax = this.#writer.capacityBytes / 2 - RUN_HEADER_BYTES;
    this.#doorbell = options.dispatcherDoorbell;
    this.#completions = options.completions.map((memory) => new CompletionReader(memory));
    this.#blocked = new Int32Array(options.blocked);
    const slotCount = Math.min(this.#blocked.length, SLOTS_MAX);
    this.#connections = new Array<Connection | undefined>(slotCount).fill(undefined);
    // A restarted thread must not meet verdicts meant for its predecessor's connections.
    this.#generations = crypto.getRandomValues(new Uint16Array(slotCount));
    this.#free = Int32Array.from({ length: slotCount }, (_, slot) => slot);
    this.#freeCount = slotCount;
    this.#nowUs = options.nowUs;
    this.#ackLatencies = Array.from(
      { length: options.shardCount },
      (_, shard) => openSourceLatency(options.latencies, shard, SOURCE_ACK),
    );
    // Gauges start at what is true now; counters go on from where a predecessor stopped.
    this.counters.fill(0, SOURCE_CONNECTIONS, SOURCE_CONNECTIONS + LISTENERS.length);
    this.counters[SOURCE_PAUSED] = 0;
    this.counters[SOURCE_SUBSCRIBERS] = 0;
  }

  /** Connections that can still be opened. */
  get freeSlots(): number {
    return this.#freeCount;
  }

  /** @returns The connection, or `undefined` when all slots are taken. */
  openConnection(listener: Listener, acks: AcksName, sink: ConnectionSink): Connection | undefined {
    if (this.#freeCount === 0) return undefined;
    const slot = this.#free[this.#freeAt] as number;
    this.#freeAt = (this.#freeAt + 1) % this.#free.length;
    this.#freeCount--;
    const generation = ((this.#generations[slot] as number) + 1) & 0xffff;
    this.#generations[slot] = generation;
    Atomics.store(this.#blocked, slot, 0);
    const index = LISTENERS.indexOf(listener);
    const word = packConnection(slot, generation) >>> 0;
    const connection = new Connection(word, slot, index, ACKS_NAMES.indexOf(acks), sink);
    this.#connections[slot] = connection;
    if (!NOT_COUNTED.has(index)) this.countOpened(listener);
    return connection;
  }

  /** Counts a connection that is open. WebSockets do it themselves: many of them never carry a frame. */
  countOpened(listener: Listener): void {
    const index = LISTENERS.indexOf(listener);
    count(this.counters, SOURCE_CONNECTIONS + index, 1);
    count(this.counters, SOURCE_CONNECTIONS_TOTAL + index, 1);
  }

  /** Takes back what `countOpened()` counted as open. */
  countClosed(listener: Listener): void {
    count(this.counters, SOURCE_CONNECTIONS + LISTENERS.indexOf(listener), -1);
  }

  /** Ends a connection: verdicts still to come find nobody. What was offered stays. Twice is harmless. */
  closeConnection(connection: Connection): void {
    if (!connection.isOpen) return;
    connection.isOpen = false;
    this.#connections[connection.slot] = undefined;
    this.#free[(this.#freeAt + this.#freeCount) % this.#free.length] = connection.slot;
    this.#freeCount++;
    if (!NOT_COUNTED.has(connection.listener)) {
      count(this.counters, SOURCE_CONNECTIONS + connection.listener, -1);
    }
  }

  /**
   * Copies one run of checked frames into the ring; `publish()` makes it visible.
   *
   * @param bytes Frames `from`..`to`: at most `RUN_BYTES_MAX` bytes, or a single larger frame. This is
   *   what one `FrameScanner.scan()` finds. Copied: the caller may reuse it.
   * @param eventCount Frames in it, at least 1.
   * @param receivedUs When the bytes were read, microseconds since the Unix epoch.
   * @param hasIds Whether at least one frame carries a message id.
   * @returns `false` when the ring has no room now; nothing is written or counted then.
   * @throws {RangeError} If the run can never fit (a bug in the caller, or a ring too small for max_frame_bytes).
   */
  offer(
    connection: Connection,
    bytes: Uint8Array,
    from: number,
    to: number,
    eventCount: number,
    receivedUs: number,
    hasIds: boolean,
  ): boolean {
    const length = to - from;
    if (length > this.runBytesMax || (length > RUN_BYTES_MAX && eventCount > 1)) {
      throw new RangeError(`Run of ${eventCount} events and ${length} bytes is too large`);
    }
    const writer = this.#writer;
    const at = writer.reserve(RUN_HEADER_BYTES + length);
    if (at < 0) return false;
    const words = writer.words;
    const word = at >> 2;
    const firstSeq = connection.seq + 1;
    words[word + RUN_COUNT] = eventCount;
    words[word + RUN_RECEIVED_LO] = receivedUs;
    words[word + RUN_RECEIVED_HI] = receivedUs / TWO_32;
    words[word + RUN_CONNECTION] = connection.word;
    const flags = hasIds ? RUN_HAS_IDS : 0;
    words[word + RUN_ORIGIN] = packOrigin(this.#index, connection.listener, connection.acks, flags);
    words[word + RUN_SEQ_LO] = firstSeq;
    words[word + RUN_SEQ_HI] = firstSeq / TWO_32;
    writer.bytes.set(bytes.subarray(from, to), at + RUN_HEADER_BYTES);
    connection.seq += eventCount;
    if (connection.acks !== ACKS_NONE && connection.timedSeq === 0) {
      connection.timedSeq = connection.seq;
      connection.timedUs = receivedUs;
    }
    count(this.counters, SOURCE_RECEIVED + connection.listener, eventCount);
    count(this.counters, SOURCE_BYTES + connection.listener, length);
    this.bytesOffered += length;
    return true;
  }

  /**
   * Refuses one event at its place in the connection's sequence: counted as received and rejected,
   * and done as far as acknowledgements go. Telling the client is the caller's business.
   *
   * @returns The event's number.
   */
  refuse(connection: Connection, reason: RejectReason): number {
    this.countRejected(connection.listener, reason, 1);
    connection.seq++;
    if (connection.acks !== ACKS_NONE && connection.tracker.add(connection.seq, 1)) {
      this.#markDirty(connection);
    }
    return connection.seq;
  }

  /** Counts frames that were refused without a place in a sequence (control frames, cut frames, datagrams). */
  countRejected(listener: number, reason: RejectReason, frames: number): void {
    count(this.counters, SOURCE_RECEIVED + listener, frames);
    count(this.counters, SOURCE_REJECTED + REJECT_REASONS.indexOf(reason), frames);
  }

  /** Makes all offered runs visible to the dispatcher and wakes it if it sleeps. Once a batch. */
  publish(): void {
    if (this.#writer.publish()) this.#doorbell.ring();
  }

  /** Whether the ring is at most half full: the moment to go on with what was kept back. */
  hasRoom(): boolean {
    return this.#writer.depthBytes() * 2 <= this.#writer.capacityBytes;
  }

  /** Whether this connection must not be read now: its lane is full, or too many answers are missing. */
  isBlocked(connection: Connection): boolean {
    return Atomics.load(this.#blocked, connection.slot) !== 0 ||
      connection.tracker.intervalCount >= ACK_INTERVALS_MAX;
  }

  /** Takes all verdicts that have arrived and tells the sinks. @returns Whether there were any. */
  poll(): boolean {
    let met = false;
    for (const reader of this.#completions) {
      let taken = false;
      while (reader.next()) {
        taken = true;
        this.#take(reader.current);
      }
      // Freed before the sinks are told: the deciding threads never wait for a sink.
      if (taken) reader.release();
      met = met || taken;
    }
    const dirty = this.#dirty;
    for (let index = 0; index < dirty.length; index++) {
      const connection = dirty[index] as Connection;
      connection.isDirty = false;
      if (connection.isOpen) connection.sink.progress(connection.tracker.done);
    }
    met = met || dirty.length > 0;
    dirty.length = 0;
    return met;
  }

  #take(completion: Completion): void {
    const connection = this.#connections[completion.connection & 0xffff];
    // Another generation: the producer that waited for this has gone.
    if (connection === undefined || connection.word !== completion.connection) return;
    const { status, detail, firstSeq } = completion;
    if (status !== STATUS_OK && status !== STATUS_DUPLICATE) {
      connection.sink.problem(status, detail, firstSeq, completion.count);
    } else if (connection.sink.stored !== undefined) {
      connection.sink.stored(status, firstSeq, completion.count, completion.offset, completion.shard);
    }
    if (!connection.tracker.add(firstSeq, completion.count)) return;
    if (connection.timedSeq !== 0 && connection.tracker.done >= connection.timedSeq) {
      this.#ackLatencies[completion.shard]?.record(this.#nowUs() - connection.timedUs, 1);
      connection.timedSeq = 0;
    }
    this.#markDirty(connection);
  }

  #markDirty(connection: Connection): void {
    if (connection.isDirty) return;
    connection.isDirty = true;
    this.#dirty.push(connection);
  }
}
