/**
 * All shards' logs as the subscribers of one thread read them.
 *
 * A subscriber asks for the batch that holds an offset. At the tail that batch is in memory, copied when
 * the first subscriber read it; far behind, it comes from one of a few readers that all of them share,
 * preferably one that stands there already. So memory is bounded by the shards, not by the subscribers:
 *
 *     shards × (NEWEST_BYTES + READERS_MAX × a reader's buffer)
 *
 * One thread owns it, and one call at a time uses its answer.
 */
import type { LogBatch } from "../log/batch.ts";
import type { DamageReport } from "../log/damage.ts";
import { countingCorrupt } from "../log/damage-count.ts";
import { nodeFiles } from "../log/node-files.ts";
import { LogReader } from "../log/reader.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import { NewestBatches } from "./newest.ts";

/** Readers of one shard: places in the past that can be read at the same time without seeking. */
export const READERS_MAX = 4;

interface PlacedReader {
  readonly reader: LogReader;
  /** What it read last; `undefined` after an end or a failure. */
  batch: LogBatch | undefined;
  /** When it was last used, in calls. */
  usedAt: number;
}

interface Shard {
  readonly info: ShardInfo;
  readonly state: ShardState;
  readonly readers: PlacedReader[];
  readonly newest: NewestBatches;
  /** Visible offset when it was last looked at: it falls only when a failed disk took events back. */
  visibleSeen: number;
}

export class ShardTails {
  /** In the order of the engine's list: `index` is the place. */
  readonly shards: readonly ShardInfo[];
  readonly #shards: readonly Shard[];
  /** Up to where the last `batchAt()` that found nothing has looked: no whole batch lies before. */
  lookedTo = 0;
  readonly #report: DamageReport;
  #calls = 0;
  /** Calls there had been at the last `sweep()`. */
  #sweptCalls = 0;

  /** @param report Is told of damage a reader met and stepped over. */
  constructor(shards: readonly ShardInfo[], report: DamageReport) {
    this.shards = shards;
    this.#report = report;
    this.#shards = shards.map((info) => ({
      info,
      state: new ShardState(info.state),
      readers: [],
      newest: new NewestBatches(),
      visibleSeen: 0,
    }));
  }

  /** Every event below may be delivered. */
  visibleOffset(shardIndex: number): number {
    return this.#shardAt(shardIndex).state.visibleOffset;
  }

  /** Oldest offset still kept. */
  firstOffset(shardIndex: number): number {
    return this.#shardAt(shardIndex).state.firstOffset;
  }

  /**
   * The batch that holds `offset`, or the first one after it when that event is gone (retention, damage).
   *
   * @returns `undefined` when there is nothing visible from there on. Valid until the next call.
   * @throws The file system's error, when the log cannot be read.
   */
  batchAt(shardIndex: number, offset: number): LogBatch | undefined {
    const shard = this.#shardAt(shardIndex);
    const visible = shard.state.visibleOffset;
    if (visible < shard.visibleSeen) this.#forget(shard);
    shard.visibleSeen = visible;
    this.lookedTo = offset;
    if (offset >= visible) return undefined;
    const kept = shard.newest.find(offset);
    if (kept !== undefined) return kept;
    const placed = this.#placeReader(shard, offset);
    placed.usedAt = ++this.#calls;
    if (placed.batch !== undefined && holds(placed.batch, offset)) return placed.batch;
    placed.batch = undefined;
    const batch = placed.reader.nextBatch(visible);
    if (batch === undefined) {
      this.lookedTo = placed.reader.nextOffset;
      return undefined;
    }
    placed.batch = batch;
    const isAtTail = placed.reader.nextOffset === visible || batch.baseOffset === shard.newest.endOffset;
    if (isAtTail) shard.newest.add(batch);
    return batch;
  }

  /** Offset of the first event received at `us` or later, microseconds since the Unix epoch. */
  offsetAtTime(shardIndex: number, us: number): number {
    const shard = this.#shardAt(shardIndex);
    const placed = this.#leastUsed(shard);
    placed.usedAt = ++this.#calls;
    placed.batch = undefined;
    return placed.reader.seekTime(us, shard.state.visibleOffset);
  }

  /**
   * Closes the files of readers that nobody used since the sweep before: an open file keeps the disk space
   * of a segment that retention has removed. Call about once a minute.
   */
  sweep(): void {
    for (const { readers } of this.#shards) {
      for (let index = readers.length - 1; index >= 0; index--) {
        const placed = readers[index];
        if (placed === undefined || placed.usedAt > this.#sweptCalls) continue;
        placed.reader.close();
        readers.splice(index, 1);
      }
    }
    this.#sweptCalls = this.#calls;
  }

  /** Closes all files; the next call opens what it needs. For when nobody subscribes any more. */
  close(): void {
    for (const shard of this.#shards) this.#forget(shard);
  }

  /** A reader that stands at `offset`, or is made to. */
  #placeReader(shard: Shard, offset: number): PlacedReader {
    for (const placed of shard.readers) {
      if (placed.batch !== undefined && holds(placed.batch, offset)) return placed;
    }
    for (const placed of shard.readers) {
      if (placed.reader.nextOffset === offset) return placed;
    }
    const placed = this.#leastUsed(shard);
    placed.reader.seek(offset);
    placed.batch = undefined;
    return placed;
  }

  #leastUsed(shard: Shard): PlacedReader {
    if (shard.readers.length < READERS_MAX) {
      const reader = new LogReader(
        nodeFiles,
        shard.info.directory,
        countingCorrupt(shard.info, this.#report),
      );
      const placed: PlacedReader = { reader, batch: undefined, usedAt: 0 };
      shard.readers.push(placed);
      return placed;
    }
    return shard.readers.reduce((oldest, placed) => placed.usedAt < oldest.usedAt ? placed : oldest);
  }

  #forget(shard: Shard): void {
    shard.newest.clear();
    for (const placed of shard.readers) placed.reader.close();
    shard.readers.length = 0;
  }

  #shardAt(shardIndex: number): Shard {
    const shard = this.#shards[shardIndex];
    if (!shard) throw new RangeError(`There is no shard ${shardIndex}`);
    return shard;
  }
}

function holds(batch: LogBatch, offset: number): boolean {
  return offset >= batch.baseOffset && offset < batch.baseOffset + batch.count;
}
