/** Things to do at a moment of event time: a binary heap of moments, each with its list. */
export class Timers<T> {
  readonly #moments: number[] = [];
  readonly #things = new Map<number, T[]>();

  /** The earliest moment; Infinity when there is none. */
  get nextUs(): number {
    return this.#moments[0] ?? Infinity;
  }

  add(us: number, thing: T): void {
    const list = this.#things.get(us);
    if (list !== undefined) {
      list.push(thing);
      return;
    }
    this.#things.set(us, [thing]);
    const heap = this.#moments;
    let at = heap.length;
    heap.push(us);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as number) <= us) break;
      heap[at] = heap[parent] as number;
      at = parent;
    }
    heap[at] = us;
  }

  /** Takes out everything of the earliest moment. */
  take(): readonly T[] {
    const heap = this.#moments;
    const us = heap[0];
    const last = heap.pop();
    if (us === undefined || last === undefined) return [];
    if (heap.length > 0) this.#sink(last);
    const things = this.#things.get(us) ?? [];
    this.#things.delete(us);
    return things;
  }

  clear(): void {
    this.#moments.length = 0;
    this.#things.clear();
  }

  #sink(us: number): void {
    const heap = this.#moments;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if ((heap[child] as number) >= us) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = us;
  }
}
