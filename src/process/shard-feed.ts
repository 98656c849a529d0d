/** The processor's place in one shard's log, and the batch that is next. One thread. */
import { type LogBatch } from "../log/batch.ts";
import type { DamageReport } from "../log/damage.ts";
import { countingCorrupt } from "../log/damage-count.ts";
import type { Files } from "../log/files.ts";
import { LogReader } from "../log/reader.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";

export class ShardFeed {
  readonly info: ShardInfo;
  readonly #state: ShardState;
  readonly #reader: LogReader;
  /** Offset of the next event that was not processed. */
  position: number;
  #batch: LogBatch | undefined;

  constructor(files: Files, info: ShardInfo, position: number, onDamage: DamageReport) {
    this.info = info;
    this.#state = new ShardState(info.state);
    this.#reader = new LogReader(files, info.directory, countingCorrupt(info, onDamage));
    this.position = position;
    this.#reader.seek(position);
  }

  /** Whether events are visible that were not processed. */
  get isBehind(): boolean {
    return this.#batch !== undefined || this.position < this.#state.visibleOffset;
  }

  /** The batch with the next event, or the next one after it; `undefined`: none now. Valid until `done()`. */
  next(): LogBatch | undefined {
    if (this.#batch !== undefined) return this.#batch;
    const visible = this.#state.visibleOffset;
    if (this.position >= visible) return undefined;
    this.#batch = this.#reader.nextBatch(visible);
    // Damage, or events that retention has taken: there is nothing to process.
    if (this.#batch === undefined) this.position = Math.max(this.position, this.#reader.nextOffset);
    return this.#batch;
  }

  /** All events of the batch were processed. */
  done(): void {
    if (this.#batch !== undefined) this.position = this.#batch.baseOffset + this.#batch.count;
    this.#batch = undefined;
  }

  close(): void {
    this.#reader.close();
  }
}
