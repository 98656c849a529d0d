/**
 * The sink: reads the logs behind their writers and commits events of chosen topics to the store, each once.
 *
 * It is the consumer of the contract in store.ts. What it knows of its position is only a belief: after any
 * error, and after a conflict, it forgets what it has collected and asks the store again. In each shard
 *
 *     stored ≤ read ≤ readable (durable, or visible where there is no such thing)
 *
 * One thread, and one call at a time.
 */
import { topicLength, topicStart } from "../event/ext.ts";
import { compilePatterns, type TopicMatcher } from "../event/topic.ts";
import { EventCursor } from "../log/batch.ts";
import type { LogDamage } from "../log/damage.ts";
import { countingCorrupt } from "../log/damage-count.ts";
import type { Files } from "../log/files.ts";
import { LogReader } from "../log/reader.ts";
import { ShardState } from "../log/shard-state.ts";
import { count } from "../metrics/counters.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { EventRows } from "./event-rows.ts";
import type { SinkOptions, SinkShard } from "./options.ts";
import {
  SINK_COMMITS,
  SINK_CONFLICTS,
  SINK_CONNECTED,
  SINK_ERRORS,
  SINK_EVENTS,
  SINK_SKIPPED,
  SINK_STORED,
} from "./sink-counters.ts";
import type { CommitResult, Store } from "./store.ts";

/** A position that moved past events nobody wants is stored at most so often. */
const MOVE_INTERVAL_MS = 5_000;
/** Log batches looked at in one turn: commands must be seen, and heartbeats beaten. */
const BATCHES_PER_TURN = 64;

export interface SinkParts {
  readonly files: Files;
  /** Opens the store; called again after it was lost. */
  readonly open: () => Promise<Store>;
  readonly nowMs: () => number;
  readonly counters: Float64Array;
  readonly commitDurations: Histogram;
  readonly onDamage: (damage: LogDamage) => void;
  /** Is told what was stored, right after the commit; the rows are valid during the call. */
  readonly onStored?: (rows: EventRows) => void;
}

/** The sink's place in one log. */
class ShardPlace {
  readonly index: number;
  readonly lane: string;
  readonly shard: number;
  readonly reader: LogReader;
  readonly cursor = new EventCursor();
  logId = 0;
  stored = 0;
  read = 0;
  /** Whether the cursor stands on an event that did not fit into the last batch. */
  isHeld = false;
  /** Whether the cursor is within a batch. */
  isOpen = false;
  readonly #state: ShardState;
  readonly #waitsForDisk: boolean;

  constructor({ info, waitsForDisk }: SinkShard, index: number, reader: LogReader) {
    this.index = index;
    this.lane = info.lane;
    this.shard = info.shard;
    this.reader = reader;
    this.#state = new ShardState(info.state);
    this.#waitsForDisk = waitsForDisk;
  }

  get firstOffset(): number {
    return this.#state.firstOffset;
  }

  /** Everything below may be stored. */
  get readable(): number {
    const visible = this.#state.visibleOffset;
    return this.#waitsForDisk ? Math.min(visible, this.#state.durableOffset) : visible;
  }

  goTo(offset: number): void {
    this.stored = this.read = offset;
    this.isHeld = this.isOpen = false;
    this.reader.seek(offset);
  }
}

export class Sink {
  readonly #options: SinkOptions;
  readonly #parts: SinkParts;
  readonly #places: readonly ShardPlace[];
  readonly #matcher: TopicMatcher;
  readonly #rows: EventRows;
  #store: Store | undefined;
  #isFull = false;
  /** When the oldest event of the batch was collected; when a position was stored last. */
  #collectedMs = 0;
  #movedMs = 0;
  #turn = 0;

  constructor(shards: readonly SinkShard[], options: SinkOptions, parts: SinkParts) {
    this.#options = options;
    this.#parts = parts;
    this.#matcher = compilePatterns(options.topics);
    this.#rows = new EventRows(options.batchEvents, options.batchBytes);
    const report = (damage: LogDamage) => {
      count(parts.counters, SINK_SKIPPED, damage.toOffset - damage.fromOffset);
      parts.onDamage(damage);
    };
    this.#places = shards.map((shard, index) =>
      new ShardPlace(
        shard,
        index,
        new LogReader(parts.files, shard.info.directory, countingCorrupt(shard.info, report)),
      )
    );
  }

  get isConnected(): boolean {
    return this.#store !== undefined;
  }

  /** The open store, for pruning. */
  get store(): Store | undefined {
    return this.#store;
  }

  /** Opens the store if need be and goes to where it says. @throws {EscError} As `openStore()` and `positions()`. */
  async connect(): Promise<void> {
    const { counters, open } = this.#parts;
    try {
      this.#store ??= await open();
      const places = this.#places.map(({ lane, shard, firstOffset, readable }) => ({
        lane,
        shard,
        startOffset: this.#options.start === "earliest" ? firstOffset : readable,
      }));
      const positions = await this.#store.positions(this.#options.consumer, places);
      for (const [index, place] of this.#places.entries()) {
        const position = positions[index];
        if (position === undefined) throw new RangeError(`The store has no position of shard ${index}`);
        place.logId = position.logId;
        place.goTo(position.nextOffset);
        counters[SINK_STORED + index] = place.stored;
      }
      this.#rows.clear();
      this.#isFull = false;
      counters[SINK_CONNECTED] = 1;
    } catch (error) {
      count(counters, SINK_ERRORS, 1);
      await this.disconnect();
      throw error;
    }
  }

  /** Whether there is something to read, or a batch is to be committed now. */
  hasWork(): boolean {
    return this.#store !== undefined &&
      (this.isDue() ||
        (!this.#isFull && this.#places.some((place) => place.isHeld || place.read < place.readable)));
  }

  /** Reads on until the batch is full or there is nothing more. @returns Whether there is more to read at once. */
  collect(): boolean {
    let budget = BATCHES_PER_TURN;
    // Another shard begins each time, so that a busy one does not keep the others waiting.
    const first = this.#turn++;
    for (let step = 0; step < this.#places.length; step++) {
      const place = this.#places[(first + step) % this.#places.length] as ShardPlace;
      while (!this.#isFull && budget > 0 && this.#advance(place)) budget--;
      if (this.#isFull || budget === 0) return true;
    }
    return false;
  }

  /** Whether the batch is full, or its oldest event has waited long enough. */
  isDue(): boolean {
    return this.#isFull || this.dueMs() <= 0;
  }

  /** Milliseconds until something is to be committed; `Infinity` while there is nothing. */
  dueMs(): number {
    const now = this.#parts.nowMs();
    if (this.#rows.count > 0) return this.#collectedMs + this.#options.flushIntervalMs - now;
    if (this.#places.some((place) => place.read > place.stored)) {
      return this.#movedMs + MOVE_INTERVAL_MS - now;
    }
    return Infinity;
  }

  /**
   * Commits what was collected, if anything.
   *
   * @throws {EscError} When the outcome is unknown: the store is closed, and `connect()` finds out.
   */
  async flush(): Promise<CommitResult> {
    const store = this.#store;
    const moved = this.#places.filter((place) => place.read > place.stored);
    if (store === undefined || moved.length === 0) return "committed";
    const { counters, nowMs, commitDurations } = this.#parts;
    const startMs = performance.now();
    let result: CommitResult;
    try {
      result = await store.commit({
        consumer: this.#options.consumer,
        moves: moved.map(({ logId, stored, read }) => ({ logId, fromOffset: stored, nextOffset: read })),
        events: this.#rows,
      });
    } catch (error) {
      count(counters, SINK_ERRORS, 1);
      await this.disconnect();
      throw error;
    }
    if (result === "conflict") {
      count(counters, SINK_CONFLICTS, 1);
      await this.connect();
      return result;
    }
    commitDurations.record(Math.round((performance.now() - startMs) * 1000), 1);
    count(counters, SINK_EVENTS, this.#rows.count);
    count(counters, SINK_COMMITS, 1);
    for (const place of moved) {
      place.stored = place.read;
      counters[SINK_STORED + place.index] = place.stored;
    }
    this.#parts.onStored?.(this.#rows);
    this.#rows.clear();
    this.#isFull = false;
    this.#movedMs = nowMs();
    return result;
  }

  /** Forgets the store; what was collected is read again after `connect()`. */
  async disconnect(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    this.#parts.counters[SINK_CONNECTED] = 0;
    // It is given up because it fails: that it cannot be closed well either is no news.
    await store?.close().catch(() => {});
  }

  async close(): Promise<void> {
    await this.disconnect();
    for (const place of this.#places) place.reader.close();
  }

  /** Takes events from the place's batch, or opens its next one. @returns `false` when there is nothing. */
  #advance(place: ShardPlace): boolean {
    if (!place.isOpen) {
      const batch = place.reader.nextBatch(place.readable);
      if (batch === undefined) {
        // Damage or retention at the end was stepped over.
        place.read = Math.max(place.read, Math.min(place.reader.nextOffset, place.readable));
        return false;
      }
      place.cursor.open(batch, place.read);
      place.isOpen = true;
    }
    const { cursor } = place;
    while (place.isHeld || cursor.next()) {
      place.isHeld = false;
      if (this.#isWanted(cursor) && !this.#add(place)) {
        place.isHeld = true;
        this.#isFull = true;
        return true;
      }
      place.read = cursor.offset + 1;
    }
    place.isOpen = false;
    return true;
  }

  #isWanted({ bytes, frameAt }: EventCursor): boolean {
    return this.#matcher.matchesAll ||
      this.#matcher.matches(bytes, topicStart(frameAt), topicLength(bytes, frameAt));
  }

  #add({ logId, cursor }: ShardPlace): boolean {
    if (this.#rows.count === 0) this.#collectedMs = this.#parts.nowMs();
    return this.#rows.add(logId, cursor.offset, cursor.receivedUs, cursor.bytes, cursor.frameAt);
  }
}
