/**
 * Events of one shard that were sent to a subscriber and not confirmed yet, as stretches of offsets.
 *
 * Bounded by the subscription's `max_in_flight`: a stretch holds at least one event.
 */
export class InFlight {
  /** Pairs: first offset and number of events, ascending. Those before `#head` are confirmed. */
  readonly #stretches: number[] = [];
  #head = 0;
  #count = 0;

  /** Events sent and not confirmed. */
  get count(): number {
    return this.#count;
  }

  /** Notes a sent stretch of consecutive offsets; it lies behind everything noted before. */
  sent(baseOffset: number, count: number): void {
    const stretches = this.#stretches;
    const last = stretches.length - 2;
    if (last >= this.#head && (stretches[last] as number) + (stretches[last + 1] as number) === baseOffset) {
      stretches[last + 1] = (stretches[last + 1] as number) + count;
    } else {
      stretches.push(baseOffset, count);
    }
    this.#count += count;
  }

  /** Confirms every event below `offset`. */
  confirm(offset: number): void {
    const stretches = this.#stretches;
    while (this.#head < stretches.length) {
      const base = stretches[this.#head] as number;
      const count = stretches[this.#head + 1] as number;
      const below = Math.min(Math.max(offset - base, 0), count);
      this.#count -= below;
      if (below < count) {
        stretches[this.#head] = base + below;
        stretches[this.#head + 1] = count - below;
        break;
      }
      this.#head += 2;
    }
    // Moving the rest down costs as much as it frees, so each stretch is moved at most once on average.
    if (this.#head * 2 >= stretches.length) {
      stretches.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
