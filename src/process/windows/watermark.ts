/**
 * How far event time has come: no event below the watermark is expected any more.
 *
 *     watermark = min over busy shards (newest event time) - outOfOrder
 *
 * A shard without events for `idleMs` is not waited for. When none is busy, time goes on by the clock from where
 * the newest event left it, so that windows close without another event. It never goes back.
 */
export class Watermark {
  /** Event time below which windows are closed; -Infinity before the first event. */
  us = -Infinity;
  readonly #outOfOrderUs: number;
  readonly #idleUs: number;
  /** Newest event time of each shard, and when (by the clock) it last had an event. */
  readonly #newestUs: number[] = [];
  readonly #seenUs: number[] = [];
  /** Newest event time of all shards, and when it came. */
  #allNewestUs = -Infinity;
  #allSeenUs = -Infinity;

  constructor(outOfOrderMs: number, idleMs: number) {
    this.#outOfOrderUs = outOfOrderMs * 1000;
    this.#idleUs = idleMs * 1000;
  }

  /** An event of a shard. @param nowUs By the clock. @returns Whether the watermark moved. */
  see(shard: number, timeUs: number, nowUs: number): boolean {
    this.#seenUs[shard] = nowUs;
    this.#allSeenUs = nowUs;
    const newest = this.#newestUs[shard];
    if (newest !== undefined && timeUs <= newest) return false;
    this.#newestUs[shard] = timeUs;
    if (timeUs > this.#allNewestUs) this.#allNewestUs = timeUs;
    return this.#raise(this.#lowest(nowUs));
  }

  /** Time has passed without events. @param nowUs By the clock; all events that came before were seen. */
  pass(nowUs: number): boolean {
    if (this.#allSeenUs === -Infinity) return false;
    const silentUs = nowUs - this.#allSeenUs;
    if (silentUs >= this.#idleUs) return this.#raise(this.#allNewestUs + silentUs);
    return this.#raise(this.#lowest(nowUs));
  }

  /** When `pass()` may next raise the watermark to `us`, by the clock; Infinity: without an event never. */
  dueUs(us: number): number {
    if (this.#allSeenUs === -Infinity || us === Infinity) return Infinity;
    const neededUs = us + this.#outOfOrderUs - this.#allNewestUs;
    return this.#allSeenUs + Math.max(this.#idleUs, neededUs);
  }

  save(): unknown {
    return { us: finite(this.us), newest: this.#newestUs.map(finite), allNewest: finite(this.#allNewestUs) };
  }

  /** @param nowUs By the clock: shards get their time of silence anew. */
  load(saved: unknown, nowUs: number): void {
    const { us, newest, allNewest } = saved as {
      us: number | null;
      newest: (number | null)[];
      allNewest: number | null;
    };
    this.us = us ?? -Infinity;
    this.#allNewestUs = allNewest ?? -Infinity;
    if (allNewest !== null) this.#allSeenUs = nowUs;
    for (const [shard, newestUs] of newest.entries()) {
      if (newestUs === null) continue;
      this.#newestUs[shard] = newestUs;
      this.#seenUs[shard] = nowUs;
    }
  }

  #lowest(nowUs: number): number {
    let lowest = Infinity;
    const shards = this.#newestUs;
    for (let shard = 0; shard < shards.length; shard++) {
      const newest = shards[shard];
      if (newest === undefined || nowUs - (this.#seenUs[shard] as number) >= this.#idleUs) continue;
      if (newest < lowest) lowest = newest;
    }
    return lowest === Infinity ? -Infinity : lowest;
  }

  #raise(newestUs: number): boolean {
    const us = newestUs - this.#outOfOrderUs;
    if (us <= this.us) return false;
    this.us = us;
    return true;
  }
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
