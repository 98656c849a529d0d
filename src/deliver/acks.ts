/**
 * Merges verdicts that come in any order into one cumulative number a connection.
 *
 * The events of a connection go to several shards, each shard answers for its own, so the answers
 * form intervals with holes: `done` is the end of what has no hole. Runs in the thread that owns
 * the connection.
 *
 *     done < starts[0] ≤ ends[0] < starts[1] - 1 …    (disjoint, sorted, never touching)
 */

const INTERVALS_AT_FIRST = 8;

export class AckTracker {
  /** Every event 1..done has its verdict. */
  done = 0;
  // Circular would save the shift at the front, but intervals are few and their front moves rarely.
  #starts = new Float64Array(INTERVALS_AT_FIRST);
  #ends = new Float64Array(INTERVALS_AT_FIRST);
  #first = 0;
  #last = 0;

  /** Intervals waiting behind a hole; whoever feeds the connection stops when there are too many. */
  get intervalCount(): number {
    return this.#last - this.#first;
  }

  /**
   * Records that `count` events from `firstSeq` on have their verdict. Overlaps are harmless.
   *
   * @returns Whether `done` has grown.
   */
  add(firstSeq: number, count: number): boolean {
    const end = firstSeq + count - 1;
    if (end <= this.done) return false;
    if (firstSeq > this.done + 1) {
      this.#keep(firstSeq, end);
      return false;
    }
    this.done = end;
    while (this.#first < this.#last && (this.#starts[this.#first] as number) <= this.done + 1) {
      this.done = Math.max(this.done, this.#ends[this.#first] as number);
      this.#first++;
    }
    if (this.#first === this.#last) this.#first = this.#last = 0;
    return true;
  }

  /** Inserts an interval, merged with all it overlaps or touches. */
  #keep(start: number, end: number): void {
    const starts = this.#starts;
    const ends = this.#ends;
    // First interval that ends at or behind start - 1: the first that can touch. Mostly none or the last.
    let low = this.#first;
    let high = this.#last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) < start - 1) low = middle + 1;
      else high = middle;
    }
    let behind = low;
    let mergedStart = start;
    let mergedEnd = end;
    while (behind < this.#last && (starts[behind] as number) <= end + 1) {
      mergedStart = Math.min(mergedStart, starts[behind] as number);
      mergedEnd = Math.max(mergedEnd, ends[behind] as number);
      behind++;
    }
    if (behind === low) {
      low = this.#openGap(low);
    } else if (behind > low + 1) {
      starts.copyWithin(low + 1, behind, this.#last);
      ends.copyWithin(low + 1, behind, this.#last);
      this.#last -= behind - low - 1;
    }
    this.#starts[low] = mergedStart;
    this.#ends[low] = mergedEnd;
  }

  /** Makes room for one interval at `at`. @returns Where it is now. */
  #openGap(at: number): number {
    let place = at;
    if (this.#last === this.#starts.length) {
      const length = this.#last - this.#first;
      const capacity = Math.max(INTERVALS_AT_FIRST, length * 2);
      const starts = new Float64Array(capacity);
      const ends = new Float64Array(capacity);
      starts.set(this.#starts.subarray(this.#first, this.#last));
      ends.set(this.#ends.subarray(this.#first, this.#last));
      this.#starts = starts;
      this.#ends = ends;
      place -= this.#first;
      this.#first = 0;
      this.#last = length;
    }
    this.#starts.copyWithin(place + 1, place, this.#last);
    this.#ends.copyWithin(place + 1, place, this.#last);
    this.#last++;
    return place;
  }
}
