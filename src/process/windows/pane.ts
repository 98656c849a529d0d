/** One window of one key: what its aggregates have come to, and what was told of it. */
import type { Aggregate, PaneState, SavedThing, Thing } from "./aggregates.ts";

/** `startUs ≤ time < endUs`. */
export interface Span {
  readonly startUs: number;
  readonly endUs: number;
}

export class Pane implements PaneState {
  readonly key: string;
  startUs: number;
  endUs: number;
  /** Events in it. */
  count = 0;
  /** Results told. */
  revision = 0;
  /** Changed since the last result. */
  isDirty = false;
  /** Its end has passed: what comes now is a correction. */
  isClosed = false;
  /** Taken into another pane, or done with. */
  isGone = false;
  /** Spans under which results were told that still count; `undefined`: none. */
  told: Span[] | undefined;
  readonly numbers: Float64Array;
  readonly things: Thing[];

  constructor(key: string, startUs: number, endUs: number, aggregates: readonly Aggregate[]) {
    this.key = key;
    this.startUs = startUs;
    this.endUs = endUs;
    let numberCount = 0;
    for (const aggregate of aggregates) numberCount += aggregate.numberCount;
    this.numbers = new Float64Array(numberCount);
    this.things = new Array<Thing>(aggregates.length).fill(undefined);
    for (const aggregate of aggregates) aggregate.init(this);
  }

  save(): SavedPane {
    const { key, startUs, endUs, count, revision, isDirty, isClosed, told, numbers, things } = this;
    return {
      key,
      span: [startUs, endUs],
      count,
      revision,
      flags: (isDirty ? 1 : 0) | (isClosed ? 2 : 0),
      // JSON has no infinities: only untouched extremes have one.
      numbers: Array.from(numbers, (value) => Number.isFinite(value) ? value : null),
      things: things.map((thing) => thing ?? null),
      ...(told === undefined ? {} : { told }),
    };
  }

  static restore(saved: SavedPane, aggregates: readonly Aggregate[]): Pane {
    const pane = new Pane(saved.key, saved.span[0], saved.span[1], aggregates);
    pane.count = saved.count;
    pane.revision = saved.revision;
    pane.isDirty = (saved.flags & 1) !== 0;
    pane.isClosed = (saved.flags & 2) !== 0;
    if (saved.told !== undefined) pane.told = [...saved.told];
    for (const [at, value] of saved.numbers.entries()) pane.numbers[at] = value ?? Infinity;
    for (const aggregate of aggregates) {
      const thing = saved.things[aggregate.thing];
      if (thing !== null && thing !== undefined) {
        pane.things[aggregate.thing] = aggregate.restore(thing as SavedThing);
      }
    }
    return pane;
  }
}

export interface SavedPane {
  readonly key: string;
  readonly span: readonly [startUs: number, endUs: number];
  readonly count: number;
  readonly revision: number;
  readonly flags: number;
  readonly numbers: readonly (number | null)[];
  readonly things: readonly unknown[];
  readonly told?: readonly Span[];
}
