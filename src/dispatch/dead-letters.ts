/**
 * The dispatcher's way into the dead-letter log: runs that an overflow policy took out.
 *
 * Dead letters never block the living: when their ring is full they are lost and counted.
 */
import {
  deadLetterGrowth,
  deadLetterHeaders,
  stampDeadLetter,
  writeDeadLetter,
} from "../event/dead-letter.ts";
import { frameLength } from "../event/ext.ts";
import { DROP_REASONS, LISTENERS } from "../event/frame.ts";
import type { DropReason } from "../event/frame.ts";
import {
  ACKS_NONE,
  packOrigin,
  RUN_BYTES_MAX,
  RUN_COUNT,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_RECEIVED_LO,
} from "../event/run.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import { count } from "../metrics/counters.ts";
import { DEAD_LETTERS, DEAD_LETTERS_LOST } from "../metrics/layout.ts";
import { openCounters } from "../metrics/counters.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { RingWriter } from "../queue/ring.ts";
import type { DispatchDeadLetters } from "./options.ts";

/** Source number of runs that the engine itself makes. */
export const SOURCE_ENGINE = 255;

/** Events of one run that died together: frames `bytes[from..to)`. */
export interface Casualties {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Index of the run's header. */
  readonly runAt: number;
  readonly from: number;
  readonly to: number;
}

export class DeadLetterBox {
  readonly #writer: RingWriter;
  readonly #view: DataView;
  readonly #doorbell: Doorbell;
  readonly #counters: Float64Array;
  readonly #nowUs: () => number;
  /** By shard and reason. */
  readonly #headers: Uint8Array[] = [];

  constructor(options: DispatchDeadLetters, nowUs: () => number) {
    this.#writer = new RingWriter(options.ring);
    this.#view = new DataView(options.ring.data);
    this.#doorbell = new Doorbell(options.doorbell);
    this.#counters = openCounters(options.counters);
    this.#nowUs = nowUs;
  }

  /** Whether so much waits that another run's dead letters may not find room. */
  get isCrowded(): boolean {
    return this.#writer.depthBytes() * 2 > this.#writer.capacityBytes;
  }

  /** Writes the dead letters of a run's events; visible after `flush()`. */
  bury(casualties: Casualties, shard: ShardInfo, reason: DropReason): void {
    const { bytes, to } = casualties;
    const headers = this.#headersOf(shard, reason);
    const growth = deadLetterGrowth(headers);
    let from = casualties.from;
    while (from < to) {
      let end = from;
      let events = 0;
      let room = 0;
      do {
        const length = frameLength(bytes, end);
        if (events > 0 && room + length + growth > RUN_BYTES_MAX) break;
        room += length + growth;
        end += length;
        events++;
      } while (end < to);
      const written = this.#write(casualties, from, end, events, room, headers);
      count(
        this.#counters,
        written ? DEAD_LETTERS + DROP_REASONS.indexOf(reason) : DEAD_LETTERS_LOST,
        events,
      );
      from = end;
    }
  }

  /** Made once for each shard and reason: under overload events die by the hundred thousand a second. */
  #headersOf(shard: ShardInfo, reason: DropReason): Uint8Array {
    const timeUs = this.#nowUs();
    const index = shard.index * DROP_REASONS.length + DROP_REASONS.indexOf(reason);
    const known = this.#headers[index];
    if (known !== undefined) {
      stampDeadLetter(known, timeUs);
      return known;
    }
    const made = deadLetterHeaders({ reason, lane: shard.lane, shard: shard.shard, attempts: 0, timeUs });
    this.#headers[index] = made;
    return made;
  }

  #write(
    casualties: Casualties,
    from: number,
    to: number,
    events: number,
    room: number,
    headers: Uint8Array,
  ): boolean {
    const writer = this.#writer;
    // The bound may be some bytes too large, where an event keeps its size; finish() gives them back.
    const index = writer.reserve(RUN_HEADER_BYTES + room);
    if (index < 0) return false;
    const { bytes, words } = casualties;
    let end = index + RUN_HEADER_BYTES;
    for (let at = from; at < to; at += frameLength(bytes, at)) {
      end = writeDeadLetter(writer.bytes, this.#view, end, bytes, at, headers);
    }
    writer.shrink(index, end - index);
    const word = index >> 2;
    const run = casualties.runAt >> 2;
    for (let field = RUN_RECEIVED_LO; field < RUN_HEADER_BYTES / 4; field++) {
      writer.words[word + field] = words[run + field] as number;
    }
    writer.words[word + RUN_COUNT] = events;
    const flags = (words[run + RUN_ORIGIN] as number) >>> 24;
    const internal = LISTENERS.indexOf("internal");
    writer.words[word + RUN_ORIGIN] = packOrigin(SOURCE_ENGINE, internal, ACKS_NONE, flags);
    return true;
  }

  /** Makes the dead letters visible and wakes the thread that stores them. */
  flush(): void {
    if (this.#writer.publish()) this.#doorbell.ring();
  }
}
